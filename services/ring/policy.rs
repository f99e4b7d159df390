//! Storage policies (Swift: common/storage_policy.py).

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use ssync_conf::Section;
use ssync_types::PolicyIndex;

/// What a cluster without policies has.
const LEGACY_NAME: &str = "Policy-0";
const SEGMENT_SIZE: u64 = 1_048_576;
const OPTIONS: [&str; 6] = ["name", "aliases", "policy_type", "default", "deprecated", "diskfile_module"];
const CODING_OPTIONS: [&str; 5] = [
    "ec_type",
    "ec_num_data_fragments",
    "ec_num_parity_fragments",
    "ec_object_segment_size",
    "ec_duplication_factor",
];

/// How a policy keeps objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyKind {
    /// Whole copies.
    Replication,
    /// Fragments, of which some are enough.
    ErasureCoding {
        /// The code, by its name in PyECLib.
        ec_type: String,
        /// Fragments that are needed.
        data: u16,
        /// Fragments that may be lost.
        parity: u16,
        /// Bytes that are coded at a time.
        segment_size: u64,
        /// Copies of each fragment.
        duplication: u16,
    },
}

/// A storage policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its number.
    pub index: PolicyIndex,
    /// Its name.
    pub name: String,
    /// Other names for it.
    pub aliases: Vec<String>,
    /// Whether new containers get it.
    pub is_default: bool,
    /// Whether no new containers may get it.
    pub deprecated: bool,
    /// How it keeps objects.
    pub kind: PolicyKind,
}

impl Policy {
    /// The name of its ring, and of its directory on a device, less the plural: `object` or `object-N`.
    #[must_use]
    pub fn ring_name(&self) -> String {
        match self.index.get() {
            0 => "object".to_owned(),
            index => format!("object-{index}"),
        }
    }

    /// The file of its ring.
    #[must_use]
    pub fn ring_path(&self, swift_dir: &Path) -> PathBuf {
        swift_dir.join(self.ring_name() + ".ring.gz")
    }

    /// How many replicas its ring must have, if that is fixed (Swift: ECStoragePolicy.validate_ring_data).
    #[must_use]
    pub fn required_replicas(&self) -> Option<u32> {
        match self.kind {
            PolicyKind::Replication => None,
            PolicyKind::ErasureCoding { data, parity, duplication, .. } => {
                Some((u32::from(data) + u32::from(parity)).saturating_mul(duplication.into()))
            }
        }
    }

    /// The policy of a `[storage-policy:N]` section. An error is the problem, for people.
    fn of(index: &str, section: &Section) -> Result<Self, String> {
        let number: u32 =
            index.trim().parse().map_err(|_| format!("{index:?} is no index; an index is 0 or more"))?;
        let kind = kind(section)?;
        let coding = !matches!(kind, PolicyKind::Replication);
        for (key, _) in section.iter() {
            let known = OPTIONS.contains(&key) || (coding && CODING_OPTIONS.contains(&key));
            if !known {
                return Err(format!("{key} is no option of such a policy"));
            }
        }
        let name = section.text("name", "").to_owned();
        let aliases = section.list("aliases").filter(|alias| **alias != name).map(str::to_owned).collect();
        let (is_default, deprecated) = (section.flag("default", false), section.flag("deprecated", false));
        let policy = Self { index: PolicyIndex::new(number), name, aliases, is_default, deprecated, kind };
        policy.check().map(|()| policy)
    }

    fn check(&self) -> Result<(), String> {
        let mut seen = HashSet::new();
        for name in self.names() {
            let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if name.is_empty() || !plain {
                return Err(format!("{name:?} is no name; a name has letters, digits and `-`"));
            }
            if name.eq_ignore_ascii_case(LEGACY_NAME) && self.index.get() != 0 {
                return Err(format!("the name {LEGACY_NAME} is kept for policy 0"));
            }
            if !seen.insert(name.to_ascii_uppercase()) {
                return Err(format!("the name {name} stands twice"));
            }
        }
        if self.is_default && self.deprecated {
            return Err("a deprecated policy cannot be the default".to_owned());
        }
        match &self.kind {
            // Some data cannot be rebuilt under that code (https://bugs.launchpad.net/swift/+bug/1639691).
            PolicyKind::ErasureCoding { ec_type, parity, .. } if ec_type == "isa_l_rs_vand" && *parity >= 5 && !self.deprecated => {
                Err("isa_l_rs_vand with five or more parity fragments loses data; such a policy must be deprecated".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        [&self.name].into_iter().chain(&self.aliases).map(String::as_str)
    }
}

fn kind(section: &Section) -> Result<PolicyKind, String> {
    let (kind, module) = match section.text("policy_type", "replication") {
        "replication" => (PolicyKind::Replication, "egg:swift#replication.fs"),
        "erasure_coding" => (erasure_coding(section)?, "egg:swift#erasure_coding.fs"),
        other => return Err(format!("{other:?} is no policy_type; it is replication or erasure_coding")),
    };
    match section.text("diskfile_module", module) {
        given if given == module => Ok(kind),
        other => Err(format!(
            "diskfile_module {other} keeps objects in a way that is not known here; only {module} is"
        )),
    }
}

fn erasure_coding(section: &Section) -> Result<PolicyKind, String> {
    let number = |key| section.integer(key, 0_u16, 1..=u16::MAX).map_err(|error| error.to_string());
    let needed = |key| match number(key)? {
        0 => Err(format!("{key} is missing")),
        given => Ok(given),
    };
    // Any code will do: fragments are kept here, not made.
    let ec_type = section.text("ec_type", "").to_owned();
    if ec_type.is_empty() {
        return Err("ec_type is missing".to_owned());
    }
    let segment_size = section.integer("ec_object_segment_size", SEGMENT_SIZE, 1..=u64::from(u32::MAX));
    Ok(PolicyKind::ErasureCoding {
        ec_type,
        data: needed("ec_num_data_fragments")?,
        parity: needed("ec_num_parity_fragments")?,
        segment_size: segment_size.map_err(|error| error.to_string())?,
        duplication: number("ec_duplication_factor")?.max(1),
    })
}

/// A cluster's storage policies: at least one, and one of them the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies(BTreeMap<PolicyIndex, Policy>);

impl Policies {
    /// The policies of these sections, by index (Swift: StoragePolicyCollection._validate_policies).
    pub(crate) fn of(sections: &[(String, Section)]) -> Result<Self, String> {
        let mut policies = Self(BTreeMap::new());
        for (index, section) in sections {
            policies.add(
                Policy::of(index, section)
                    .map_err(|problem| format!("[storage-policy:{index}]: {problem}"))?,
            )?;
        }
        if policies.0.is_empty() {
            policies.add(Policy::legacy())?;
        }
        if policies.get(PolicyIndex::new(0)).is_none() {
            return Err("there are policies, but none with index 0; add [storage-policy:0]".to_owned());
        }
        if policies.iter().all(|policy| policy.deprecated) {
            return Err("every policy is deprecated; one must not be".to_owned());
        }
        if policies.0.len() == 1 {
            policies.0.values_mut().for_each(|only| only.is_default = true);
        }
        match policies.iter().filter(|policy| policy.is_default).count() {
            1 => Ok(policies),
            0 => Err("no policy is the default; set `default = yes` in one".to_owned()),
            _ => Err("more than one policy is the default; keep one".to_owned()),
        }
    }

    fn add(&mut self, policy: Policy) -> Result<(), String> {
        let taken = policy.names().find(|name| self.by_name(name).is_some());
        if let Some(name) = taken {
            return Err(format!("the name {name} is used by two policies"));
        }
        match self.0.insert(policy.index, policy) {
            Some(first) => Err(format!("index {} is used by two policies", first.index)),
            None => Ok(()),
        }
    }

    /// The policy of this index.
    #[must_use]
    pub fn get(&self, index: PolicyIndex) -> Option<&Policy> {
        self.0.get(&index)
    }

    /// The policy of this name or alias, in whatever case.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Policy> {
        self.iter().find(|policy| policy.names().any(|other| other.eq_ignore_ascii_case(name)))
    }

    /// The policy that new containers get.
    #[must_use]
    pub fn default_policy(&self) -> Option<&Policy> {
        self.iter().find(|policy| policy.is_default)
    }

    /// The policies, by index.
    pub fn iter(&self) -> impl Iterator<Item = &Policy> {
        self.0.values()
    }
}

impl Policy {
    fn legacy() -> Self {
        Self {
            index: PolicyIndex::new(0),
            name: LEGACY_NAME.to_owned(),
            aliases: Vec::new(),
            is_default: true,
            deprecated: false,
            kind: PolicyKind::Replication,
        }
    }
}
