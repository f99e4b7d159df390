//! The limits of sessions that an operator may change while the receiver runs.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::config::ReceiverConfig;

/// What is admitted, and for how long: the options of these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// `replication_concurrency`.
    pub replication_concurrency: u32,
    /// `replication_concurrency_per_device`.
    pub replication_concurrency_per_device: u32,
    /// `grpc_sessions_per_device`.
    pub grpc_sessions_per_device: u32,
    /// `session_updates_max`.
    pub session_updates_max: u64,
    /// `session_time_max`.
    pub session_time_max: Duration,
}

impl SessionLimits {
    /// gRPC sessions at a time on a device; 0 for no limit. Never the last of `replication_concurrency`, where that is more than one.
    #[must_use]
    pub fn device_sessions_max(&self) -> u32 {
        match (self.grpc_sessions_per_device, self.replication_concurrency) {
            (asked, 0 | 1) => asked,
            (0, slots) => slots - 1,
            (asked, slots) => asked.min(slots - 1),
        }
    }
}

/// The limits in force, and what the configuration says.
#[derive(Debug)]
pub(crate) struct Limits {
    state: Mutex<State>,
    slots: Arc<AtomicU32>,
    device_sessions: Arc<AtomicU32>,
}

#[derive(Debug)]
struct State {
    configured: SessionLimits,
    now: SessionLimits,
}

impl Limits {
    pub(crate) fn new(config: &ReceiverConfig) -> Self {
        let configured = config.session_limits();
        Self {
            state: Mutex::new(State { configured, now: configured }),
            slots: Arc::new(AtomicU32::new(configured.replication_concurrency)),
            device_sessions: Arc::new(AtomicU32::new(configured.device_sessions_max())),
        }
    }

    /// In force from now on, for what is admitted from now on.
    pub(crate) fn set(&self, limits: SessionLimits) {
        let mut state = self.lock();
        state.now = limits;
        self.slots.store(limits.replication_concurrency, Ordering::Relaxed);
        self.device_sessions.store(limits.device_sessions_max(), Ordering::Relaxed);
    }

    /// What the configuration says now; it is in force as well.
    pub(crate) fn configure(&self, limits: SessionLimits) {
        self.lock().configured = limits;
        self.set(limits);
    }

    pub(crate) fn now(&self) -> SessionLimits {
        self.lock().now
    }

    pub(crate) fn configured(&self) -> SessionLimits {
        self.lock().configured
    }

    /// `replication_concurrency`, for who counts.
    pub(crate) fn slots(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.slots)
    }

    /// gRPC sessions at a time on a device, for who counts.
    pub(crate) fn device_sessions(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.device_sessions)
    }

    // Nothing panics while it holds this.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
