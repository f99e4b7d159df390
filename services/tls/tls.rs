//! What a process has of TLS.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use crate::{PeerRules, TlsError, TlsFiles, material::Material, metrics::Counters};

/// How TLS is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The files.
    pub files: TlsFiles,
    /// Which certificates count, and what for.
    pub rules: PeerRules,
    /// Nothing is said to another node without TLS (`require_tls`).
    pub required: bool,
}

/// Certificates, key and authorities as they are now. All clones are one.
#[derive(Clone)]
pub struct Tls {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: TlsSettings,
    pub(crate) material: RwLock<Arc<Material>>,
    pub(crate) counters: Counters,
    /// What was last said of files that cannot be used.
    pub(crate) said: Mutex<Option<TlsError>>,
}

impl Tls {
    /// Reads the files. One that has expired is taken all the same, and said: without it the node would be gone for those as well
    /// who need no TLS.
    pub fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        let material = Material::load(&settings.files)?;
        if material.is_expired() {
            tracing::error!(
                path = %settings.files.certificate.display(),
                "the certificate has expired: no other node will take it; replace the file, no restart is needed"
            );
        }
        let material = RwLock::new(Arc::new(material));
        let (counters, said) = (Counters::default(), Mutex::default());
        Ok(Self { inner: Arc::new(Inner { settings, material, counters, said }) })
    }

    /// Whether nothing is said to another node without it.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.inner.settings.required
    }

    /// A host that our own certificate names: what another process of this node has to be, wherever it is called.
    #[must_use]
    pub fn own_host(&self) -> Option<String> {
        self.material().host.clone()
    }

    pub(crate) fn rules(&self) -> &PeerRules {
        &self.inner.settings.rules
    }

    pub(crate) fn files(&self) -> &TlsFiles {
        &self.inner.settings.files
    }

    pub(crate) fn material(&self) -> Arc<Material> {
        Arc::clone(&self.inner.material.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Without the key, however well a library hides it.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}
