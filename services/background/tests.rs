//! Who gives way, and who does not.

use std::{sync::mpsc, thread};

use rustix::process::getpriority_process;

use crate::{Background, give_way, niceness, start_thread};

fn own() -> i32 {
    getpriority_process(None).unwrap()
}

/// What is known by a thread that gives way. The test's own thread cannot take it back.
fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(move || {
        give_way();
        work()
    })
    .join()
    .unwrap()
}

#[test]
fn a_thread_gives_way_once_however_often_it_is_asked() {
    let first = own();
    assert_eq!(beside(own), niceness::lowered(first));
    assert!(niceness::lowered(0) > 0 && niceness::lowered(19) == 19 && niceness::lowered(15) == 19);
    let again = || {
        give_way();
        thread::spawn(|| {
            give_way();
            own()
        })
    };
    assert_eq!(beside(again).join().unwrap(), niceness::lowered(first));
    assert_eq!(own(), first, "the others stay");
}

#[test]
fn one_that_gives_way_may_start_one_that_does_not() {
    // Whichever test is first has the starter in place.
    start_thread("first".to_owned(), || ()).unwrap();
    let (answer, answered) = mpsc::channel();
    beside(move || {
        start_thread("second".to_owned(), move || {
            answer.send((own(), thread::current().name().map(str::to_owned))).unwrap();
        })
    })
    .unwrap();
    assert_eq!(answered.recv().unwrap(), (own(), Some("second".to_owned())));
}

#[test]
fn all_that_runs_in_the_background_gives_way() {
    let background = Background::start().unwrap();
    let handle = background.handle();
    let found = handle.block_on(async {
        let task = tokio::spawn(async { own() }).await;
        let blocking = tokio::task::spawn_blocking(own).await;
        let background = handle.spawn(async { (own(), tokio::task::spawn_blocking(own).await) }).await;
        (task.unwrap(), blocking.unwrap(), background.unwrap())
    });
    let lowered = niceness::lowered(own());
    let (task, blocking, (within, nested)) = found;
    assert_eq!([task, blocking, within, nested.unwrap()], [lowered; 4]);
}
