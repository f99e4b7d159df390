//! One case after the other: what went wrong, what was answered, what is left, and whether it works again.

use std::collections::{BTreeMap, BTreeSet};

use rustix::io::Errno;
use ssync_types::{Durability, Reason};

use super::{
    bench::{Answer, Bench, Fault, Setup, State, unnoted, view},
    operations::{Lesser, Operation},
};
use crate::simulation::{Again, Model, SimDisk};

/// Errors that a disk, or the machine that it is in, may have.
const ERRORS: [Errno; 12] = [
    Errno::IO,
    Errno::NOSPC,
    Errno::DQUOT,
    Errno::ROFS,
    Errno::MFILE,
    Errno::NFILE,
    Errno::ACCESS,
    Errno::NOMEM,
    Errno::STALE,
    Errno::INTR,
    Errno::NODATA,
    Errno::UCLEAN,
];
/// Those tried also from one call on for good.
const LASTING: [Errno; 5] = [Errno::IO, Errno::NOSPC, Errno::ROFS, Errno::MFILE, Errno::INTR];
/// Those after which the power is cut.
const CUT_AFTER: [Errno; 3] = [Errno::IO, Errno::MFILE, Errno::INTR];
const CUTS: [(Model, u64); 4] =
    [(Model::Ordered, 1), (Model::Ordered, 2), (Model::Weak, 3), (Model::Weak, 4)];

const NOW: &str = "now";

type View = BTreeMap<String, String>;

/// What an operation does when nothing goes wrong.
struct Undisturbed {
    state: State,
    before: SimDisk,
    answer: Answer,
    calls: Vec<(String, String)>,
    views: [View; 2],
    trees: [BTreeSet<String>; 2],
    /// After the same once more.
    again: BTreeSet<String>,
}

/// One case.
struct Case<'a> {
    operation: &'a Operation,
    usual: &'a Undisturbed,
    fault: Fault,
    durability: Durability,
    title: String,
}

/// Of so many cases one is tried, all of them with SSYNC_TEST_FULL set. Prime to the number of errors that each call gets, so
/// that every call and every error comes up.
fn stride() -> usize {
    match (std::env::var_os("SSYNC_TEST_FULL"), cfg!(debug_assertions)) {
        (Some(_), _) => 1,
        (None, false) => 5,
        (None, true) => 29,
    }
}

/// Runs an operation with each of its calls failing in each way. Says how many cases that were, and what was wrong.
pub(super) fn run(operation: &Operation) -> (usize, Vec<String>) {
    let (mut count, mut wrong) = (0, Vec::new());
    for (number, setup) in operation.setups.iter().enumerate() {
        let usual = Undisturbed::of(operation, *setup);
        let stride = stride();
        for fault in usual.faults(operation.slow).into_iter().skip(number % stride).step_by(stride) {
            let title = usual.title(operation, &format!("{setup:?}"), fault);
            let case = Case { operation, usual: &usual, fault, durability: setup.durability, title };
            count += 1;
            if let Err(problem) = case.check() {
                wrong.push(format!("{}: {problem}", case.title));
            }
        }
    }
    (count, wrong)
}

impl Undisturbed {
    fn of(operation: &Operation, setup: Setup) -> Self {
        let (before, durability) = (Bench::build(setup), setup.durability);
        let disk = before.snapshot();
        let bench = Bench::on(&disk, durability, None);
        let answer = (operation.act)(&bench);
        let calls = bench.disarm().0.iter().map(|line| call(line)).collect();
        let views = [view(&before), view(&disk)];
        let trees = [tree(&before), tree(&disk)];
        assert_eq!(unnoted(&disk), [""; 0], "{}", operation.name);
        let _ = (operation.act)(&bench);
        Self { state: setup.state, before, answer, calls, views, trees, again: tree(&disk) }
    }

    fn faults(&self, few: bool) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (number, (name, _)) in (0..).zip(&self.calls) {
            for error in ERRORS.into_iter().filter(|error| !few || CUT_AFTER.contains(error)) {
                // A mount check is no call of its own to the operating system, and begins no read.
                if name != "still_mounted" || error != Errno::INTR {
                    faults.push(Fault::Error(number, error, Again::Once));
                }
            }
            let lasting = LASTING.into_iter().filter(|_| !few);
            faults.extend(lasting.map(|error| Fault::Error(number, error, Again::Always)));
            if name == "read_at" || name == "write_at" {
                faults.push(Fault::Short(number));
            }
        }
        faults
    }

    fn title(&self, operation: &Operation, setup: &str, fault: Fault) -> String {
        let (Fault::Error(number, ..) | Fault::Short(number)) = fault;
        format!("{} in {setup}, {fault:?} at {:?}", operation.name, self.calls[number as usize])
    }
}

/// Name and path of a line of the log, without its number and its error.
fn call(line: &str) -> (String, String) {
    let line = line.split_once(": ").map_or(line, |(call, _)| call);
    let mut words = line.splitn(3, ' ').skip(1).map(str::to_owned);
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

/// What is where, without what is there only to work with.
fn tree(disk: &SimDisk) -> BTreeSet<String> {
    let work = ["hashes.pkl", "hashes.invalid", ".lock", ".lock-1", ".lock-replication"];
    let counts = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or_default();
        !work.contains(&name)
            && !is_temporary(path)
            && !["tmp/", "tmp/held/", "tmp-1/", "tmp-1/held/"].contains(&path.as_str())
    };
    disk.paths().into_iter().filter(counts).map(plain).collect()
}

/// Without the random end of a second quarantine's name.
fn plain(path: String) -> String {
    match path.split_once('-') {
        Some((before, rest)) if path.starts_with("quarantined/objects/") && rest.len() >= 32 => {
            format!("{before}-*{}", &rest[32..])
        }
        _ => path,
    }
}

/// Without directories: empty ones that could not be removed stay.
fn filled(tree: BTreeSet<String>) -> BTreeSet<String> {
    tree.into_iter().filter(|path| !path.ends_with('/')).collect()
}

fn is_temporary(path: &str) -> bool {
    let in_tmp = path.starts_with("tmp/") || path.starts_with("tmp-1/");
    (in_tmp && !path.ends_with('/')) || path.ends_with(".tmp")
}

fn is_object(path: &str) -> bool {
    path.starts_with("objects") && path.split('/').count() >= 4
}

/// Whether Swift takes this error of this call for damage (spec 1.12).
fn is_damage((name, path): &(String, String), error: Errno) -> bool {
    let bad_sector = matches!(error, Errno::NODATA | Errno::UCLEAN);
    is_object(path)
        && match name.as_str() {
            "read_at" => error == Errno::IO,
            "attribute" => bad_sector || error == Errno::IO,
            "list" | "open" | "open_dir" => bad_sector,
            _ => false,
        }
}

impl Case<'_> {
    fn check(&self) -> Result<(), String> {
        let disk = self.usual.before.snapshot();
        let bench = Bench::on(&disk, self.durability, Some(self.fault));
        let answer = (self.operation.act)(&bench);
        let (log, _) = bench.disarm();
        let log: Vec<_> = log.iter().map(|line| (call(line), line.contains(": "))).collect();
        let failed: Vec<_> = log.into_iter().filter(|(_, failed)| *failed).map(|(call, _)| call).collect();
        let damaged = match self.fault {
            Fault::Error(_, error, _) => failed.iter().any(|call| is_damage(call, error)),
            Fault::Short(_) => false,
        };
        self.check_handles(&disk)?;
        let harmless = matches!(self.fault, Fault::Short(_) | Fault::Error(_, Errno::INTR, Again::Once));
        if harmless {
            same("the answer", &answer, &self.usual.answer)?;
            same("what clients see", &view(&disk), &self.usual.views[1])?;
            same("the tree", &tree(&disk), &self.usual.trees[1])?;
        }
        self.check_answer(&answer, &failed, damaged)?;
        // What a release can neither remove nor put back is kept, and the log says where.
        let failed_with = |wanted: &str| failed.iter().any(|(name, _)| name == wanted);
        if self.operation.name == "release"
            && answer.is_err()
            && (failed_with("hard_link") || failed_with("make_dir"))
            && disk.paths().iter().any(|path| is_temporary(path))
        {
            return self.check_kept(&disk);
        }
        self.check_objects(NOW, &disk, &answer, damaged)?;
        self.check_tree(&disk, &failed, damaged)?;
        self.check_cuts(&disk, &answer, damaged)?;
        if !damaged {
            self.check_again(&bench)?;
        }
        Ok(())
    }

    /// Every file that was to go is in its place or in `tmp`.
    fn check_kept(&self, disk: &SimDisk) -> Result<(), String> {
        let here = disk.paths();
        let held = here.iter().filter(|path| is_temporary(path)).count();
        let gone =
            self.usual.trees[0].iter().filter(|path| !path.ends_with('/') && !here.contains(path)).count();
        if gone <= held { Ok(()) } else { Err(format!("{gone} files are gone, {held} are held")) }
    }

    fn check_cuts(&self, disk: &SimDisk, answer: &Answer, damaged: bool) -> Result<(), String> {
        if matches!(self.fault, Fault::Error(_, error, _) if CUT_AFTER.contains(&error)) {
            for (model, seed) in CUTS {
                let when = format!("after a cut {model:?} {seed}");
                self.check_objects(&when, &disk.crash(model, seed), answer, damaged)?;
            }
        }
        Ok(())
    }

    fn check_handles(&self, disk: &SimDisk) -> Result<(), String> {
        same("open files", &disk.open_handles(), &0)?;
        same("locks", &disk.locks(), &0)
    }

    fn check_answer(
        &self,
        answer: &Answer,
        failed: &[(String, String)],
        damaged: bool,
    ) -> Result<(), String> {
        let usual = &self.usual.answer;
        match answer {
            Ok(promise) => {
                let Ok(usual) = usual else {
                    return if damaged { Ok(()) } else { Err(format!("{promise:?} instead of {usual:?}")) };
                };
                let lesser = self.operation.lesser == Lesser::Lines
                    && promise
                        .lines
                        .iter()
                        .all(|line| line.ends_with(" Unknown") || usual.lines.contains(line));
                if promise.lines == usual.lines || lesser || damaged {
                    return Ok(());
                }
                Err(format!("{:?} instead of {:?}", promise.lines, usual.lines))
            }
            Err(refusal) => {
                let error = match self.fault {
                    Fault::Error(_, error, _) => Some(error),
                    Fault::Short(_) => None,
                };
                let full = matches!(error, Some(Errno::NOSPC | Errno::DQUOT));
                let mut allowed = vec![if full { Reason::DeviceFull } else { Reason::ObjectIo }];
                if failed.iter().any(|(name, _)| name == "still_mounted") {
                    // A mount check that fails says so, whatever the error was.
                    if failed.len() == 1 {
                        allowed.clear();
                    }
                    allowed.push(Reason::DeviceUnmounted);
                }
                if damaged {
                    allowed.push(Reason::ObjectDamaged);
                }
                if failed.iter().any(|(name, _)| name == "sync_dir") {
                    // The first try of it was no matter, and the second is refused.
                    allowed.push(Reason::ObjectIo);
                }
                if let Err(usual) = usual {
                    allowed.push(usual.reason);
                }
                if allowed.contains(&refusal.reason) {
                    return Ok(());
                }
                Err(format!("refused with {refusal:?}, not one of {allowed:?}"))
            }
        }
    }

    /// Every object is as it was, or as it is to be, and what was promised is kept.
    fn check_objects(
        &self,
        when: &str,
        disk: &SimDisk,
        answer: &Answer,
        damaged: bool,
    ) -> Result<(), String> {
        let [before, after] = &self.usual.views;
        let kept = answer.as_ref().map(|promise| promise.kept.as_slice()).unwrap_or_default();
        for (name, seen) in view(disk) {
            let promised = kept.contains(&name);
            let right = seen == after[&name]
                || (!promised && seen == before[&name])
                // Nobody has promised anything of what somebody else has not flushed.
                || (!promised && self.usual.state == State::Unflushed && when != NOW)
                || (damaged && (seen == "Nothing" || seen == "Ok(Nothing)"));
            if !right {
                let expected = if promised { "" } else { &before[&name] };
                return Err(format!(
                    "{when} {name} is {seen}\n  before {expected}\n  after {}",
                    after[&name]
                ));
            }
        }
        let unnoted = unnoted(disk);
        if !unnoted.is_empty() {
            return Err(format!("{when} hashes are not what they should be: {unnoted:?}"));
        }
        Ok(())
    }

    fn check_tree(&self, disk: &SimDisk, failed: &[(String, String)], damaged: bool) -> Result<(), String> {
        let failed = |wanted: &str| failed.iter().any(|(name, _)| name == wanted);
        let paths = disk.paths();
        if let Some(stray) = paths.iter().find(|path| is_temporary(path))
            && !failed("unlink")
        {
            return Err(format!("{stray} is left"));
        }
        let expected = |path: &String| self.usual.trees.iter().any(|tree| tree.contains(path));
        let unexpected: Vec<_> = tree(disk).into_iter().filter(|path| !expected(path)).collect();
        let allowed = |path: &String| {
            (damaged && path.starts_with("quarantined/"))
                // What was published and could not be flushed, or not be removed though it does not count; the objects
                // have been looked at.
                || (is_object(path) && !path.ends_with('/'))
                // Directories may have been made when what was to come into them failed; Swift leaves them.
                || (path.ends_with('/') && !path.starts_with("quarantined/"))
        };
        if let Some(path) = unexpected.iter().find(|path| !allowed(path)) {
            return Err(format!("{path} is there"));
        }
        let empty = |path: &&String| {
            let inside = |other: &String| other.len() > path.len() && other.starts_with(path.as_str());
            is_object(path) && path.ends_with('/') && !paths.iter().any(inside)
        };
        if let Some(path) = paths.iter().filter(|path| !expected(path)).find(empty)
            && !["remove_dir", "make_dir", "temporary", "open", "stat"].into_iter().any(failed)
        {
            return Err(format!("{path} is left empty"));
        }
        Ok(())
    }

    /// Nothing fails any more, and the same is done again, with the same device; where a flush failed, of a device that was
    /// mounted again.
    fn check_again(&self, bench: &Bench) -> Result<(), String> {
        let mut answer = (self.operation.act)(bench);
        bench.disarm();
        if !bench.device.doubts.is_empty() {
            if self.operation.name.starts_with("confirm") {
                // What a failed flush has lost is lost.
                return match answer {
                    Err(refusal) if refusal.reason == Reason::ObjectIo => Ok(()),
                    other => Err(format!("confirmed though a flush failed: {other:?}")),
                };
            }
            let mounted_again = Bench::on(&bench.disk, self.durability, None);
            answer = (self.operation.act)(&mounted_again);
            mounted_again.disarm();
        }
        self.check_handles(&bench.disk)?;
        let usual = &self.usual.answer;
        match (&answer, usual) {
            (Ok(again), Ok(usual)) if again.lines == usual.lines => {}
            (_, Err(_)) => {}
            _ => return Err(format!("done again: {answer:?} instead of {usual:?}")),
        }
        same("what clients see after it was done again", &view(&bench.disk), &self.usual.views[1])?;
        let tree = filled(tree(&bench.disk));
        let expected = filled(self.usual.trees[1].clone());
        if tree != expected && tree != filled(self.usual.again.clone()) {
            let differ: Vec<_> = tree.symmetric_difference(&expected).collect();
            return Err(format!("done again, these differ: {differ:?}"));
        }
        let unnoted = unnoted(&bench.disk);
        if !unnoted.is_empty() {
            return Err(format!("done again, hashes are not what they should be: {unnoted:?}"));
        }
        self.check_cuts(&bench.disk, &answer, false).map_err(|problem| format!("done again, {problem}"))
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?} instead of {expected:?}")) }
}
