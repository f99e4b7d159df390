//! Damage of every kind that a survey must see: else it proves nothing that it sees none.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{
    disks::{Device, Disks},
    ledger::{Ledger, State},
    scene::{NODES, Scene},
    survey::Survey,
};

/// What can be done to an object.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// A byte of one copy changes.
    Rot,
    /// All copies go.
    Loss,
    /// One copy goes.
    Gap,
    /// A handoff keeps a copy.
    Leftover,
    /// All copies lose what was posted to them.
    Forgetting,
}

const ALL: [Damage; 5] = [Damage::Rot, Damage::Loss, Damage::Gap, Damage::Leftover, Damage::Forgetting];

/// With everything stopped, each kind is done to an object of its own, and the next survey must name them all; but not what is
/// none.
pub(crate) fn assert_would_be_seen(scene: &mut Scene, ledger: &Ledger, survey: &Survey) -> Result<()> {
    (1..=NODES).for_each(|number| scene.cloud.stop_node(number));
    assert_stray_metadata_are_no_damage(scene, ledger, survey)?;
    let mut done = Vec::new();
    for damage in ALL {
        let name = ledger.one_that_is(|state| damage.suits(state), &done)?;
        Object { scene, survey, name: &name, on: survey.primaries(&name).into_iter().collect() }
            .suffer(damage)
            .with_context(|| format!("{damage:?} of {name}"))?;
        done.push(name);
    }
    let faults = Survey::of(scene.cluster(), ledger)?.faults(ledger);
    for (damage, name) in ALL.iter().zip(&done) {
        let named = format!("object {name}:");
        let seen = faults.iter().any(|fault| fault.starts_with(&named));
        ensure!(seen, "nobody saw {damage:?} of {name}: {faults:#?}");
    }
    scene.say("damage of every kind would have been seen");
    Ok(())
}

/// A node has taken a POST where it had missed the DELETE.
fn assert_stray_metadata_are_no_damage(scene: &Scene, ledger: &Ledger, survey: &Survey) -> Result<()> {
    let mut deleted = ledger.objects.keys().flat_map(|name| {
        let on = survey.primaries(name).pop_first();
        on.filter(|on| survey.entry(on, name).is_some_and(|copy| copy["kind"] == "tombstone"))
            .map(|on| (name, on))
    });
    let (name, on) = deleted.next().context("no object has a tombstone")?;
    let folder = survey.folder(scene.cluster(), &on, name)?;
    let names = fs::read_dir(&folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let tombstone = names.into_iter().find(|file| file.ends_with(".ts")).context("no tombstone")?;
    let later = tombstone.trim_end_matches(".ts").parse::<f64>()? + 1.0;
    // With its extended attributes.
    let (from, to) = (folder.join(&tombstone), folder.join(format!("{later:.5}.meta")));
    let copied = Command::new("cp").arg("-a").args([from, to]).status()?;
    ensure!(copied.success(), "cp: {copied}");
    let astray = Disks::look(scene.cluster())?.astray(&scene.rings.primaries);
    let faults = Survey::of(scene.cluster(), ledger)?.faults(ledger);
    ensure!(
        astray.is_empty() && faults.is_empty(),
        "{name} has metadata beside a tombstone: {astray:?} {faults:?}"
    );
    Ok(())
}

impl Damage {
    fn suits(self, state: &State) -> bool {
        match (self, state) {
            (Self::Forgetting, State::Present { post, .. }) => post.is_some(),
            (_, State::Present { put, .. }) => !put.ends_with("-0"),
            (_, State::Absent) => false,
        }
    }
}

struct Object<'a> {
    scene: &'a Scene,
    survey: &'a Survey,
    name: &'a str,
    on: Vec<Device>,
}

impl Object<'_> {
    fn suffer(&self, damage: Damage) -> Result<()> {
        match damage {
            Damage::Rot => self.rot(),
            Damage::Loss => self.on.iter().try_for_each(|device| self.lose(device)),
            Damage::Gap => self.lose(&self.on[2]),
            Damage::Leftover => self.leave_over(),
            Damage::Forgetting => self.on.iter().try_for_each(|device| self.forget(device)),
        }
    }

    fn folder(&self, device: &Device) -> Result<PathBuf> {
        self.survey.folder(self.scene.cluster(), device, self.name)
    }

    /// In place, so that the extended attributes stay.
    fn rot(&self) -> Result<()> {
        let file = self.survey.data_file(self.scene.cluster(), &self.on[1], self.name)?;
        let mut content = fs::read(&file)?;
        *content.first_mut().context("an empty file")? ^= 1;
        Ok(fs::write(&file, content)?)
    }

    fn lose(&self, device: &Device) -> Result<()> {
        Ok(fs::remove_dir_all(self.folder(device)?)?)
    }

    fn leave_over(&self) -> Result<()> {
        let cluster = self.scene.cluster();
        let elsewhere = Device::all(cluster).into_iter().find(|device| !self.on.contains(device));
        let from = self.folder(&self.on[0])?;
        let below = from.strip_prefix(self.on[0].path(cluster))?;
        let to = elsewhere.context("no other device")?.path(cluster).join(below);
        fs::create_dir_all(to.parent().context("no parent")?)?;
        let copied = Command::new("cp").arg("-a").args([&from, &to]).status()?;
        ensure!(copied.success(), "cp: {copied}");
        Ok(())
    }

    fn forget(&self, device: &Device) -> Result<()> {
        for entry in fs::read_dir(self.folder(device)?)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "meta") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}
