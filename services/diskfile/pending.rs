//! Updates of listings that wait in `async_pending` for Swift's object updater (Swift: diskfile.py pickle_async_update).

use std::{io, path::Path};

use rustix::io::Errno;
use ssync_pickle::{Value, write_text};
use ssync_types::{Invalid, PendingUpdate};

use crate::{
    Device, DiskError,
    directory::{is, make_all},
    disk::{OpenMode, write_all},
    layout,
    quarantine::random_name,
};

/// How often a name is tried: the updater removes directories that it has emptied.
const ATTEMPTS_MAX: usize = 4;

impl Device {
    /// Keeps an update. An earlier one of the same row and time is replaced.
    pub fn write_pending(&self, update: &PendingUpdate) -> Result<(), DiskError> {
        self.kind(update.policy)?;
        let pickle = encode(update)?;
        let hash = self.settings.hash.hash(&update.path);
        let directory = layout::pending(update.policy).join(hash.suffix().to_string());
        let target = directory.join(format!("{hash}-{}", update.timestamp()?));
        self.check_mounted()?;
        let place = layout::temporary(update.policy);
        let temporary = place.join(format!("{}.tmp", random_name()));
        let written = make_all(&*self.disk, &place)
            .and_then(|_| self.write_temporary(&temporary, &pickle))
            .and_then(|()| self.rename_into(&temporary, &directory, &target))
            .and_then(|made| self.sync_names(&directory, made));
        written.map_err(|error| {
            // Renamed already, or of no use.
            let _ = self.disk.unlink(&temporary);
            self.io("write", &target, error)
        })
    }

    fn write_temporary(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = self.disk.open(path, OpenMode::CreateNew)?;
        write_all(&*file, bytes, 0)?;
        if self.is_unflushed() { Ok(()) } else { file.sync() }
    }

    /// Says how many directories had to be made.
    fn rename_into(&self, from: &Path, directory: &Path, target: &Path) -> io::Result<usize> {
        let mut made = 0;
        for _ in 1..ATTEMPTS_MAX {
            made = make_all(&*self.disk, directory)?.max(made);
            match self.disk.rename(from, target) {
                Err(error) if is(&error, Errno::NOENT) => {}
                renamed => return renamed.map(|()| made),
            }
        }
        self.disk.rename(from, target).map(|()| made)
    }
}

/// The update, as Swift's object updater reads it. Names are text; what comes of headers is text of a character for each
/// byte, as Python's servers hold them.
fn encode(update: &PendingUpdate) -> Result<Vec<u8>, Invalid> {
    let (account, container, object) = update.path.parts();
    let header = |value: &[u8]| Value::characters(value);
    let headers = update.headers.iter().map(|(name, value)| (header(name.as_bytes()), header(value)));
    let mut pairs = vec![
        (Value::text("op"), Value::text(update.op.method())),
        (Value::text("account"), text(account, "path")?),
        (Value::text("container"), text(container, "path")?),
        (Value::text("obj"), text(object, "path")?),
        (Value::text("headers"), Value::Dict(headers.collect())),
        (Value::text("db_state"), update.db_state.as_deref().map_or(Value::None, header)),
    ];
    if let Some(path) = &update.container_path {
        pairs.push((Value::text("container_path"), text(path.as_bytes(), "container_path")?));
    }
    Ok(write_text(&Value::Dict(pairs)))
}

fn text(bytes: &[u8], field: &str) -> Result<Value, Invalid> {
    std::str::from_utf8(bytes).map(Value::text).map_err(|_| {
        let shown = String::from_utf8_lossy(bytes);
        Invalid::new(field, format!("{shown:?} is not UTF-8, so no updater could deliver it"))
    })
}
