//! New certificates without a restart: connections that are open keep theirs, handshakes to come have the new one.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{Tls, TlsError, files::content, material::Material};

/// Shortest time between two looks.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// What became of a look at the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reloaded {
    /// They are those that are in use.
    Unchanged,
    /// They were replaced, and are in use now.
    Taken,
    /// They were replaced by what cannot be used: the old ones stay.
    Kept(TlsError),
}

impl Tls {
    /// Looks at the files, and takes what has changed. It may block.
    pub fn reload(&self) -> Reloaded {
        let old = self.material();
        if self.files().stamps() == old.stamps {
            self.inner.counters.recovered();
            return Reloaded::Unchanged;
        }
        let loaded =
            Material::load(self.files()).and_then(|new| match new.is_expired() && !old.is_expired() {
                true => Err(content(&self.files().certificate, "has expired")),
                false => Ok(new),
            });
        match loaded {
            Ok(new) => {
                *self.inner.material.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
                self.inner.counters.taken();
                Reloaded::Taken
            }
            Err(error) => {
                self.inner.counters.kept();
                Reloaded::Kept(error)
            }
        }
    }

    /// The same, and says what came of it. What cannot be used is said once, and again when it is another problem;
    /// `ssync_tls_reload_failing` says it all the time.
    pub fn look_again(&self) {
        let mut said = self.inner.said.lock().unwrap_or_else(PoisonError::into_inner);
        match self.reload() {
            Reloaded::Taken => {
                *said = None;
                tracing::info!(path = %self.files().certificate.display(), "certificate, key and authorities reloaded");
            }
            Reloaded::Unchanged => *said = None,
            Reloaded::Kept(error) if said.as_ref() != Some(&error) => {
                tracing::error!(%error, "new certificate, key or authorities cannot be used; the old ones stay in use");
                *said = Some(error);
            }
            Reloaded::Kept(_) => {}
        }
    }

    /// Looks again every `interval`, until it is told to stop.
    pub async fn follow(self, interval: Duration, stop: CancellationToken) {
        let interval = interval.max(INTERVAL_MIN);
        while stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            let tls = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || tls.look_again()).await {
                tracing::error!(%error, "a look at the certificates failed; the old ones stay in use");
            }
        }
    }
}
