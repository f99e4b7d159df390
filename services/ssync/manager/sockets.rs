//! The sockets that every worker serves, one after the other.

use std::{os::fd::AsFd as _, sync::Arc};

use ssync_runtime::{BindAddress, BoundSocket, Config, Inherited, Legacy, ListenError, Listener};

use crate::node::{Address, Parts, addresses};

/// They listen for as long as this lives, whether or not anybody accepts.
pub(super) struct Sockets(Vec<(Address, Arc<BoundSocket>)>);

impl Sockets {
    /// Those of a configuration; what was handed over is taken first.
    pub(super) async fn bind(
        config: &Config,
        parts: Parts,
        inherited: Inherited,
    ) -> Result<Self, ListenError> {
        Self(Vec::new()).extended(config, parts, inherited).await
    }

    /// Those of a configuration that may have changed. What is no more in it is closed with the last worker that has it.
    pub(super) async fn following(&self, config: &Config, parts: Parts) -> Result<Self, ListenError> {
        self.extended(config, parts, Inherited::default()).await
    }

    async fn extended(
        &self,
        config: &Config,
        parts: Parts,
        mut inherited: Inherited,
    ) -> Result<Self, ListenError> {
        let mut sockets = Vec::new();
        for address in addresses(config, parts) {
            let socket = match self.held(&address.at) {
                Some(held) => held,
                None => match open(&address, config, &mut inherited).await {
                    // The worker tries, and says that it does without.
                    Err(ListenError::InUse { .. }) if !address.chosen => continue,
                    opened => Arc::new(opened?),
                },
            };
            sockets.push((address, socket));
        }
        for socket in inherited.left_over() {
            super::say(&format!("a socket was handed over that no option names: {socket}"));
        }
        Ok(Self(sockets))
    }

    /// By where it listens: what it is for may have changed.
    fn held(&self, wanted: &BindAddress) -> Option<Arc<BoundSocket>> {
        self.0.iter().find(|(address, _)| address.at == *wanted).map(|(_, socket)| Arc::clone(socket))
    }

    /// For a worker that is about to be started.
    pub(super) fn legacy(&self) -> std::io::Result<Legacy> {
        Legacy::of(self.0.iter().map(|(address, socket)| (address.name, socket.as_fd())))
    }
}

/// A listener that waits for nothing here: connections are the worker's.
async fn open(
    address: &Address,
    config: &Config,
    inherited: &mut Inherited,
) -> Result<BoundSocket, ListenError> {
    let options = address.options(config);
    let listener = match inherited.take(address.name, &address.at, &options)? {
        Some(listener) => listener,
        None => Listener::bind(&address.at, &options).await?,
    };
    listener.into_socket().map_err(|source| ListenError::Io { address: address.at.clone(), source })
}
