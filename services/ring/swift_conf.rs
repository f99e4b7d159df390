//! swift.conf: what all nodes of a cluster must agree on.

use std::path::Path;

use ssync_conf::{Conf, Section};
use ssync_types::HashPathConfig;

use crate::{Constraints, Policies, SwiftConfError};

const POLICY_PREFIX: &str = "storage-policy:";

/// swift.conf: what all nodes of a cluster must agree on.
#[derive(Debug, Clone)]
pub struct SwiftConf {
    hash_path: HashPathConfig,
    policies: Policies,
    constraints: Constraints,
}

impl SwiftConf {
    /// Reads `swift.conf` in a directory.
    pub fn load(swift_dir: &Path) -> Result<Self, SwiftConfError> {
        let path = swift_dir.join("swift.conf");
        let conf = Conf::load_swift_conf(&path)?;
        let salt = conf.find("swift-hash")?.unwrap_or_else(|| Section::new("swift-hash"));
        // The file was read as Latin-1, a character for each byte, so this gives the bytes back.
        let salted =
            |key| salt.text(key, "").chars().filter_map(|c| u8::try_from(c).ok()).collect::<Vec<u8>>();
        let hash_path =
            HashPathConfig::new(salted("swift_hash_path_prefix"), salted("swift_hash_path_suffix"))
                .map_err(|source| SwiftConfError::HashPath { path: path.clone(), source })?;
        let mut sections = Vec::new();
        for name in conf.sections() {
            if let (Some(index), Some(section)) = (name.strip_prefix(POLICY_PREFIX), conf.find(name)?) {
                sections.push((index.to_owned(), section));
            }
        }
        let policies =
            Policies::of(&sections).map_err(|problem| SwiftConfError::Policies { path, problem })?;
        let constraints = match conf.find("swift-constraints")? {
            Some(section) => Constraints::of(&section)?,
            None => Constraints::default(),
        };
        Ok(Self { hash_path, policies, constraints })
    }

    /// The salt of object hashes.
    #[must_use]
    pub fn hash_path(&self) -> &HashPathConfig {
        &self.hash_path
    }

    /// The storage policies.
    #[must_use]
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The limits of names, metadata and sizes.
    #[must_use]
    pub fn constraints(&self) -> &Constraints {
        &self.constraints
    }
}
