//! Starts threads at the priority of the process, whoever asks.

use std::{
    io,
    sync::{Mutex, OnceLock, PoisonError, mpsc},
    thread,
};

type Work = Box<dyn FnOnce() + Send>;

/// Asks the starter; it answers whether there is a thread.
struct Wish {
    name: String,
    work: Work,
    started: mpsc::SyncSender<io::Result<()>>,
}

static STARTER: OnceLock<Mutex<mpsc::Sender<Wish>>> = OnceLock::new();

/// Starts a thread that has the priority of the first to call this, or [`begin`], in this process: a thread that gives way may
/// ask for one that does not. Nobody waits for it to end.
pub fn start_thread(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (started, answer) = mpsc::sync_channel(1);
    let wish = Wish { name, work: Box::new(work), started };
    starter()?.lock().unwrap_or_else(PoisonError::into_inner).send(wish).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// Has the starter in place.
pub(crate) fn begin() -> io::Result<()> {
    starter().map(drop)
}

fn starter() -> io::Result<&'static Mutex<mpsc::Sender<Wish>>> {
    if let Some(starter) = STARTER.get() {
        return Ok(starter);
    }
    // Bounded by those who ask, each of whom waits for the answer.
    let (wishes, wished) = mpsc::channel();
    thread::Builder::new().name("starter".to_owned()).spawn(move || serve(&wished))?;
    // Of two that come first together one is dropped, and its thread ends.
    Ok(STARTER.get_or_init(|| Mutex::new(wishes)))
}

fn serve(wished: &mpsc::Receiver<Wish>) {
    for Wish { name, work, started } in wished {
        let _ = started.send(thread::Builder::new().name(name).spawn(work).map(drop));
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts threads is gone")
}
