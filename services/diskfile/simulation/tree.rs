//! The file system as programs see it, with the errors that Linux gives.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustix::io::Errno;

use super::{
    contents::Contents,
    journal::{Change, Id, Journal, Model, Names},
    random::Random,
};

pub(super) const ROOT: Id = 0;
/// After how long a file system writes names back by itself: 5 s for ext4, 30 s for XFS.
const WRITE_BACK: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Directory(Names),
    File(Contents),
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// What programs know it by; used again when it is gone.
    pub(super) number: u64,
    pub(super) links: usize,
    pub(super) modified: SystemTime,
    pub(super) born: SystemTime,
    /// Made without a name, and has never had one.
    pub(super) nameless: bool,
    handles: usize,
}

/// All nodes, those programs reach and those only a power cut would bring back.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    nodes: BTreeMap<Id, Arc<Node>>,
    journal: Journal,
    next: Id,
    free_numbers: BTreeSet<u64>,
    next_number: u64,
    pub(super) now: SystemTime,
}

impl Tree {
    pub(super) fn new(now: SystemTime) -> Self {
        let mut tree = Self {
            nodes: BTreeMap::new(),
            journal: Journal::default(),
            next: ROOT,
            free_numbers: BTreeSet::new(),
            next_number: 2,
            now,
        };
        tree.add(Kind::Directory(Names::new()), false);
        tree
    }

    fn add(&mut self, kind: Kind, nameless: bool) -> Id {
        let id = self.next;
        self.next += 1;
        let number = self.free_numbers.pop_first().unwrap_or_else(|| {
            self.next_number += 1;
            self.next_number - 1
        });
        let (modified, born) = (self.now, self.now);
        let node = Node { kind, number, links: 0, modified, born, nameless, handles: 0 };
        self.nodes.insert(id, Arc::new(node));
        id
    }

    pub(super) fn node(&self, id: Id) -> &Node {
        &self.nodes[&id]
    }

    fn node_mut(&mut self, id: Id) -> &mut Node {
        Arc::make_mut(self.nodes.get_mut(&id).unwrap())
    }

    /// Blocks that are taken.
    pub(super) fn blocks(&self) -> usize {
        let taken = |node: &&Arc<Node>| node.links > 0 || node.handles > 0;
        let of = |node: &Arc<Node>| match &node.kind {
            Kind::File(contents) => 1 + node.links + contents.blocks(),
            Kind::Directory(_) => 1 + node.links,
        };
        self.nodes.values().filter(taken).map(of).sum()
    }

    /// Whether a name is free, so that to give it takes a block.
    pub(super) fn is_free(&self, path: &Path) -> bool {
        self.place(path).and_then(|place| self.at(place)).is_ok_and(|found| found.is_none())
    }

    /// Advances the clock; what is old enough reaches the platter by itself.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        if time >= Duration::from_millis(100) {
            self.journal.force_older(self.now, WRITE_BACK);
        }
    }

    // === Paths ===

    pub(super) fn find(&self, path: &Path) -> io::Result<Id> {
        let mut current = ROOT;
        for component in path.components() {
            let Component::Normal(name) = component else { return Err(Errno::XDEV.into()) };
            current = *self.names(current)?.get(name).ok_or(Errno::NOENT)?;
        }
        Ok(current)
    }

    /// The directory of a name, and the name.
    fn place<'a>(&self, path: &'a Path) -> io::Result<(Id, &'a OsStr)> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let directory = self.find(path.parent().unwrap_or(Path::new("")))?;
        self.names(directory)?;
        Ok((directory, name))
    }

    fn at(&self, (directory, name): (Id, &OsStr)) -> io::Result<Option<Id>> {
        Ok(self.names(directory)?.get(name).copied())
    }

    /// A name in an open directory, if that is still there.
    pub(super) fn in_directory(&self, directory: Id, name: &OsStr) -> io::Result<Option<Id>> {
        let gone = directory != ROOT && self.node(directory).links == 0;
        if gone { Err(Errno::NOENT.into()) } else { self.at((directory, name)) }
    }

    /// Where a directory is.
    pub(super) fn path_of(&self, directory: Id) -> PathBuf {
        let mut look = vec![(ROOT, PathBuf::new())];
        while let Some((id, path)) = look.pop() {
            if id == directory {
                return path;
            }
            let below = self.names(id).into_iter().flatten();
            look.extend(
                below.filter(|(_, id)| self.is_directory(**id)).map(|(name, id)| (*id, path.join(name))),
            );
        }
        PathBuf::new()
    }

    pub(super) fn names(&self, directory: Id) -> io::Result<&Names> {
        match &self.node(directory).kind {
            Kind::Directory(names) => Ok(names),
            Kind::File(_) => Err(Errno::NOTDIR.into()),
        }
    }

    pub(super) fn is_directory(&self, id: Id) -> bool {
        matches!(self.node(id).kind, Kind::Directory(_))
    }

    // === Names ===

    /// One step: names change, here and in the log.
    fn step(&mut self, changes: Vec<Change>) {
        let now = self.now;
        for change in &changes {
            let directory = self.node_mut(change.directory);
            directory.modified = now;
            let Kind::Directory(names) = &mut directory.kind else { unreachable!("checked by the caller") };
            let before = match change.to {
                Some(id) => names.insert(change.name.clone(), id),
                None => names.remove(&change.name),
            };
            if let Some(id) = change.to {
                let node = self.node_mut(id);
                node.links += 1;
                node.nameless = false;
            }
            if let Some(id) = before {
                self.node_mut(id).links -= 1;
                self.free(id);
            }
        }
        self.journal.add(now, changes);
    }

    fn change((directory, name): (Id, &OsStr), to: Option<Id>) -> Change {
        Change { directory, name: name.to_owned(), to }
    }

    pub(super) fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() {
            return Err(Errno::EXIST.into());
        }
        let (directory, name) = self.place(path)?;
        self.make_dir_in(directory, name)
    }

    pub(super) fn make_dir_in(&mut self, directory: Id, name: &OsStr) -> io::Result<()> {
        if self.in_directory(directory, name)?.is_some() {
            return Err(Errno::EXIST.into());
        }
        let id = self.add(Kind::Directory(Names::new()), false);
        self.step(vec![Self::change((directory, name), Some(id))]);
        Ok(())
    }

    pub(super) fn make_file(&mut self, path: &Path) -> io::Result<Id> {
        let place = self.place(path)?;
        let id = self.add(Kind::File(Contents::default()), false);
        self.step(vec![Self::change(place, Some(id))]);
        Ok(id)
    }

    pub(super) fn make_nameless(&mut self, directory: &Path) -> io::Result<Id> {
        let directory = self.find(directory)?;
        self.names(directory)?;
        Ok(self.add(Kind::File(Contents::default()), true))
    }

    pub(super) fn link(&mut self, id: Id, to: &Path) -> io::Result<()> {
        let (directory, name) = self.place(to)?;
        self.link_in(id, directory, name)
    }

    pub(super) fn link_in(&mut self, id: Id, directory: Id, name: &OsStr) -> io::Result<()> {
        if self.in_directory(directory, name)?.is_some() {
            return Err(Errno::EXIST.into());
        }
        let node = self.node(id);
        if matches!(node.kind, Kind::Directory(_)) {
            return Err(Errno::PERM.into());
        }
        // Only what was made without a name may get its first one so.
        if node.links == 0 && !node.nameless {
            return Err(Errno::NOENT.into());
        }
        self.step(vec![Self::change((directory, name), Some(id))]);
        Ok(())
    }

    pub(super) fn hard_link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.link(self.find(from)?, to)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let (source, target) = (self.place(from)?, self.place(to)?);
        let id = self.at(source)?.ok_or(Errno::NOENT)?;
        if to != from && to.starts_with(from) {
            return Err(Errno::INVAL.into());
        }
        if let Some(replaced) = self.at(target)? {
            match (self.is_directory(id), self.is_directory(replaced)) {
                // Two names of one file: nothing is done, says POSIX.
                _ if replaced == id => return Ok(()),
                (true, true) if !self.names(replaced)?.is_empty() => return Err(Errno::NOTEMPTY.into()),
                (true, false) => return Err(Errno::NOTDIR.into()),
                (false, true) => return Err(Errno::ISDIR.into()),
                _ => {}
            }
        }
        self.step(vec![Self::change(target, Some(id)), Self::change(source, None)]);
        Ok(())
    }

    pub(super) fn unlink(&mut self, path: &Path) -> io::Result<()> {
        let (directory, name) = self.place(path)?;
        self.unlink_in(directory, name)
    }

    pub(super) fn unlink_in(&mut self, directory: Id, name: &OsStr) -> io::Result<()> {
        let id = self.in_directory(directory, name)?.ok_or(Errno::NOENT)?;
        if self.is_directory(id) {
            return Err(Errno::ISDIR.into());
        }
        self.step(vec![Self::change((directory, name), None)]);
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        let place = self.place(path)?;
        let id = self.at(place)?.ok_or(Errno::NOENT)?;
        if !self.names(id)?.is_empty() {
            return Err(Errno::NOTEMPTY.into());
        }
        self.step(vec![Self::change(place, None)]);
        Ok(())
    }

    // === Contents ===

    pub(super) fn contents(&self, id: Id) -> io::Result<&Contents> {
        match &self.node(id).kind {
            Kind::File(contents) => Ok(contents),
            Kind::Directory(_) => Err(Errno::ISDIR.into()),
        }
    }

    pub(super) fn contents_mut(&mut self, id: Id) -> io::Result<&mut Contents> {
        match &mut self.node_mut(id).kind {
            Kind::File(contents) => Ok(contents),
            Kind::Directory(_) => Err(Errno::ISDIR.into()),
        }
    }

    pub(super) fn touch(&mut self, id: Id) {
        let now = self.now;
        self.node_mut(id).modified = now;
    }

    pub(super) fn force(&mut self, directory: Id) {
        self.journal.force(directory);
    }

    pub(super) fn force_all(&mut self) {
        self.journal.force_all();
        for node in self.nodes.values_mut() {
            if matches!(&node.kind, Kind::File(contents) if !contents.is_flushed())
                && let Kind::File(contents) = &mut Arc::make_mut(node).kind
            {
                contents.flush();
            }
        }
        self.forget();
    }

    /// Whether a file would survive a power cut as it is, name and all.
    pub(super) fn is_flushed(&self, path: &Path) -> io::Result<bool> {
        let mut current = path;
        while let Ok(place) = self.place(current) {
            if !self.journal.is_flushed(place.0, place.1) {
                return Ok(false);
            }
            current = current.parent().unwrap_or(Path::new(""));
        }
        let id = self.find(path)?;
        Ok(self.is_directory(id) || self.contents(id)?.is_flushed())
    }

    // === Handles ===

    pub(super) fn open(&mut self, id: Id) {
        self.node_mut(id).handles += 1;
    }

    pub(super) fn close(&mut self, id: Id) {
        self.node_mut(id).handles -= 1;
        self.free(id);
    }

    /// Its number may be used again once nothing holds it.
    fn free(&mut self, id: Id) {
        let node = self.node(id);
        if node.links == 0 && node.handles == 0 {
            self.free_numbers.insert(node.number);
        }
    }

    // === What happens to it ===

    /// The program is killed: its handles go, and with them the files that have no name.
    pub(super) fn killed(&self) -> Self {
        let mut tree = self.clone();
        let held: Vec<_> =
            tree.nodes.iter().filter(|(_, node)| node.handles > 0).map(|(id, _)| *id).collect();
        for id in held {
            tree.node_mut(id).handles = 0;
            tree.free(id);
        }
        tree.forget();
        tree
    }

    /// Forgets nodes that nothing can bring back.
    fn forget(&mut self) {
        let may_return = self.journal.nodes();
        self.nodes
            .retain(|id, node| *id == ROOT || node.links > 0 || node.handles > 0 || may_return.contains(id));
    }

    /// The power is cut.
    pub(super) fn cut(&self, model: Model, random: &mut Random) -> Self {
        let names = self.journal.survive(model, random);
        let mut reached = BTreeMap::from([(ROOT, 0)]);
        let mut look: Vec<Id> = vec![ROOT];
        while let Some(directory) = look.pop() {
            for id in names.get(&directory).into_iter().flat_map(|names| names.values()) {
                let links: &mut usize = reached.entry(*id).or_default();
                *links += 1;
                if *links == 1 && self.is_directory(*id) {
                    look.push(*id);
                }
            }
        }
        let mut nodes = BTreeMap::new();
        let mut kept = BTreeMap::new();
        for (id, links) in reached {
            let node = &self.nodes[&id];
            let kind = match &node.kind {
                Kind::Directory(_) => {
                    let own = names.get(&id).cloned().unwrap_or_default();
                    kept.insert(id, Arc::clone(&own));
                    Kind::Directory((*own).clone())
                }
                Kind::File(contents) => Kind::File(contents.survive(random)),
            };
            let (modified, born) = (node.modified, node.born);
            let node = Node { kind, number: node.number, links, modified, born, nameless: false, handles: 0 };
            nodes.insert(id, Arc::new(node));
        }
        // A number is free unless somebody has it. Two nodes of one number: a name came back whose number was used again
        // already. The later one gets another, as it would have on a file system that had not freed the first.
        let mut taken = BTreeSet::new();
        let mut next_number = self.next_number;
        for node in nodes.values_mut() {
            if !taken.insert(node.number) {
                Arc::make_mut(node).number = next_number;
                taken.insert(next_number);
                next_number += 1;
            }
        }
        let free_numbers = (2..next_number).filter(|number| !taken.contains(number)).collect();
        Self { nodes, journal: Journal::of(kept), next: self.next, free_numbers, next_number, now: self.now }
    }

    /// Puts a file there, flushed, with the directories above it.
    pub(super) fn plant(&mut self, path: &Path, bytes: Vec<u8>, attributes: BTreeMap<String, Vec<u8>>) {
        let mut directory = OsString::new();
        for component in path.parent().unwrap_or(Path::new("")).components() {
            directory = Path::new(&directory).join(component).into_os_string();
            let _ = self.make_dir(Path::new(&directory));
        }
        let _ = self.unlink(path);
        let id = self.make_file(path).unwrap();
        *self.contents_mut(id).unwrap() = Contents::flushed(bytes, attributes);
        self.force_all();
    }

    /// All paths, files and directories, for messages.
    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut look = vec![(ROOT, String::new())];
        while let Some((directory, above)) = look.pop() {
            for (name, id) in self.names(directory).into_iter().flatten() {
                let path = format!("{above}{}", name.to_string_lossy());
                if self.is_directory(*id) {
                    look.push((*id, format!("{path}/")));
                    paths.push(format!("{path}/"));
                } else {
                    paths.push(path);
                }
            }
        }
        paths.sort_unstable();
        paths
    }
}
