//! Every call of every operation fails once in every way, and from then on: what is answered, what is left, and that it works
//! again. One case in five in a release build, fewer in a debug build; all with `SSYNC_TEST_FULL=1`.

mod bench;
mod full;
mod judge;
mod operations;
mod real;
mod stories;

use std::collections::BTreeMap;

use operations::Operation;

/// Runs operations with each of their calls failing in each way.
fn run(operations: &[Operation]) {
    let (mut cases, mut wrong) = (0, Vec::new());
    for operation in operations {
        let (count, found) = judge::run(operation);
        println!("{}: {count} cases", operation.name);
        cases += count;
        wrong.extend(found);
    }
    println!("{cases} cases in all");
    assert!(wrong.is_empty(), "{} of {cases} cases went wrong\n{}", wrong.len(), some_of(&wrong));
}

/// The first few of each operation.
fn some_of(wrong: &[String]) -> String {
    const EACH: usize = 3;
    let mut kinds = BTreeMap::<_, Vec<_>>::new();
    for line in wrong {
        kinds.entry(line.split_once(", ").map_or("", |(kind, _)| kind)).or_default().push(line);
    }
    let some = kinds.values().flat_map(|lines| lines.iter().take(EACH));
    some.map(|line| line.as_str()).collect::<Vec<_>>().join("\n")
}

fn is_put(operation: &Operation) -> bool {
    operation.name.starts_with("put")
}

#[test]
fn puts() {
    run(&operations::writes().into_iter().filter(is_put).collect::<Vec<_>>());
}

#[test]
fn other_writes() {
    run(&operations::writes().into_iter().filter(|operation| !is_put(operation)).collect::<Vec<_>>());
}

#[test]
fn a_large_write() {
    run(&[operations::large_write()]);
}

#[test]
fn looks() {
    run(&operations::looks());
}

#[test]
fn keeping() {
    run(&operations::keeping());
}
