//! A folder of objects to push, and the client that pushes it.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Child, Stdio},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use md5::{Digest as _, Md5};
use serde_json::Value;
use ssync_tests::{Node, as_own_group, repository, run_to_end, ssync_binary};
use tempfile::TempDir;

/// The salt of every cluster of the harness, and the part power.
const PLACEMENT: [&str; 6] = ["--hash-prefix", "changeme", "--hash-suffix", "changeme", "--part-power", "3"];
/// The time of every file, in ticks of ten microseconds: what does not end in a whole second.
const TICKS: u64 = 171_234_567_812_345;

/// A client of `examples/`.
pub(crate) struct Client {
    program: PathBuf,
}

impl Client {
    /// That of a language; nothing where it could not be built, for want of its tools. With SSYNC_NO_SKIPS that is an error.
    pub(crate) fn of(language: &str) -> Result<Option<Self>> {
        let program = match language {
            // Cargo has built it with the tests.
            "rust" => ssync_binary()?.with_file_name("examples").join("push"),
            _ => {
                let built = env::var_os("SSYNC_EXAMPLES");
                let built = built.map_or_else(|| repository().join("target/examples"), PathBuf::from);
                built.join(language).join("push")
            }
        };
        if program.exists() {
            return Ok(Some(Self { program }));
        }
        let missing = format!("{} does not exist: examples/{language}/build makes it", program.display());
        ensure!(env::var_os("SSYNC_NO_SKIPS").is_none() && language != "rust", "{missing}");
        eprintln!("skipped: {missing}");
        Ok(None)
    }

    fn arguments(node: &Node, device: &str, folder: &Folder, more: &[&str]) -> Vec<String> {
        let place = [node.address().to_string(), device.to_owned(), folder.root()];
        place.into_iter().chain(PLACEMENT.iter().chain(more).map(|&word| word.to_owned())).collect()
    }

    /// Pushes to its end.
    pub(crate) fn push(&self, node: &Node, device: &str, folder: &Folder, more: &[&str]) -> Result<Told> {
        let output = run_to_end(&self.program, &Self::arguments(node, device, folder, more))?;
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        let lines = String::from_utf8(output.stdout)?;
        let events = lines.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned()));
        let events = events.collect::<Result<Vec<Value>>>().with_context(|| complaints.clone())?;
        eprintln!("{complaints}");
        Ok(Told { code: output.status.code(), events })
    }

    /// Begins to push; what it prints is up to the caller.
    pub(crate) fn start(&self, node: &Node, device: &str, folder: &Folder, more: &[&str]) -> Result<Child> {
        let mut command = as_own_group(&self.program);
        command.args(Self::arguments(node, device, folder, more)).stdout(Stdio::piped());
        Ok(command.spawn()?)
    }
}

/// What a client printed, and its exit code.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: Option<i32>,
    pub(crate) events: Vec<Value>,
}

impl Told {
    pub(crate) fn of<'a>(&'a self, event: &'a str) -> impl Iterator<Item = &'a Value> {
        self.events.iter().filter(move |told| told["event"] == event)
    }

    /// Pushed, equal, failed, refused.
    pub(crate) fn done(&self) -> [u64; 4] {
        let done: Vec<_> = self.of("done").collect();
        assert_eq!(done.len(), 1, "{self:#?}");
        ["pushed", "equal", "failed", "refused"].map(|name| done[0][name].as_u64().expect("a number"))
    }

    /// Why objects failed, by their path.
    pub(crate) fn failures(&self) -> BTreeMap<&str, &str> {
        let failed = self.of("object").filter(|told| told["outcome"] == "FAILED");
        failed
            .map(|told| {
                assert!(told["message"].as_str().is_some_and(|text| !text.is_empty()), "{told}");
                (told["path"].as_str().expect("a path"), told["reason"].as_str().expect("a reason"))
            })
            .collect()
    }
}

/// Files that stand for objects.
pub(crate) struct Folder {
    folder: TempDir,
    /// By path.
    pub(crate) bodies: BTreeMap<String, Vec<u8>>,
}

impl Folder {
    /// Objects of every size that is treated differently, in all partitions, with a name that has to be written with care.
    pub(crate) fn new() -> Result<Self> {
        let mut folder = Self { folder: TempDir::new()?, bodies: BTreeMap::new() };
        for number in 0..40 {
            folder.write(&format!("/AUTH_test/c/small/{number}"), format!("body {number}").into_bytes())?;
        }
        folder.write("/AUTH_test/c/empty", Vec::new())?;
        folder.write("/AUTH_test/c/a \"quoted\\ n\u{e4}me\n\u{1f980}", b"odd".to_vec())?;
        folder.write("/AUTH_test/c/inline", vec![7; 4096])?;
        folder.write("/AUTH_test/c/beyond", vec![8; 4097])?;
        folder.write("/AUTH_test/c/large", (0..300_001_u32).map(|i| (i % 251) as u8).collect())?;
        // No object: it stands beside the containers.
        fs::write(folder.folder.path().join("AUTH_test/notes.txt"), "not an object")?;
        Ok(folder)
    }

    pub(crate) fn root(&self) -> String {
        self.folder.path().display().to_string()
    }

    pub(crate) fn write(&mut self, path: &str, body: Vec<u8>) -> Result<()> {
        let file = self.folder.path().join(&path[1..]);
        fs::create_dir_all(file.parent().context("a path without a folder")?)?;
        fs::write(&file, &body)?;
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(TICKS * 10 + 7);
        File::options().write(true).open(&file)?.set_modified(time)?;
        self.bodies.insert(path.to_owned(), body);
        Ok(())
    }

    /// A file that is none of ours under the name of an object.
    pub(crate) fn link(&self, path: &str, target: &str) -> Result<()> {
        Ok(symlink(target, self.folder.path().join(&path[1..]))?)
    }

    /// What `md5sum` prints of all, but for those named.
    pub(crate) fn checksums(&self, wrong: &[&str]) -> Result<String> {
        let mut text = String::new();
        for (path, body) in self.bodies.iter().filter(|(path, _)| !path.contains('\n')) {
            let body: &[u8] = if wrong.contains(&path.as_str()) { b"what it once was" } else { body };
            text.push_str(&format!("{}  ./{}\n", md5(body), &path[1..]));
        }
        let file = self.folder.path().join("MD5SUMS");
        fs::write(&file, text)?;
        Ok(file.display().to_string())
    }

    /// Fails unless the node has these and no others, as stock Swift reads them.
    pub(crate) fn assert_stored(&self, node: &Node, but: &[&str]) -> Result<()> {
        let tree = node.read_tree()?;
        tree.assert_sound();
        let expected = self.bodies.iter().filter(|(path, _)| !but.contains(&path.as_str()));
        let mut count = 0;
        for (path, body) in expected {
            let object = tree.object(path).with_context(|| format!("{path} was not stored"))?;
            assert_eq!(
                (&object["md5"], &object["length"]),
                (&md5(body).into(), &body.len().into()),
                "{path}"
            );
            assert_eq!(object["data"]["X-Timestamp"], "1712345678.12345", "{path}");
            assert_eq!(object["data"]["Content-Type"], "application/octet-stream", "{path}");
            count += 1;
        }
        assert_eq!(tree.objects.len(), count, "there is more than was pushed: {:?}", tree.objects.keys());
        Ok(())
    }
}

fn md5(body: &[u8]) -> String {
    let digest: [u8; 16] = Md5::digest(body).into();
    format!("{:032x}", u128::from_be_bytes(digest))
}
