//! Addresses of container servers: rings hold numbers, as a rule; names are looked up, a few at a time.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
};

use tokio::{sync::Semaphore, task::spawn_blocking};

use super::client::ClientError;

/// Look-ups under way. Each holds a thread of those that the whole process shares, for as long as the system likes.
const LOOK_UPS_MAX: usize = 16;

/// Looks names up.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    slots: Arc<Semaphore>,
    look_up: fn(&str, u16) -> io::Result<Vec<SocketAddr>>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new(|name, port| Ok((name, port).to_socket_addrs()?.collect()))
    }
}

impl Resolver {
    fn new(look_up: fn(&str, u16) -> io::Result<Vec<SocketAddr>>) -> Self {
        Self { slots: Arc::new(Semaphore::new(LOOK_UPS_MAX)), look_up }
    }

    /// All addresses of a host. Fails at once when too many are being looked up.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ClientError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let slot =
            Arc::clone(&self.slots).try_acquire_owned().map_err(|_| ClientError::LookUps(LOOK_UPS_MAX))?;
        let (host, look_up) = (host.to_owned(), self.look_up);
        // The look-up itself holds the slot: it goes on when nobody waits for it any more.
        let found = spawn_blocking(move || {
            let _slot = slot;
            look_up(&host, port)
        });
        Ok(found.await.map_err(io::Error::other)??)
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn slow_look_ups_hold_their_slots_to_the_end() {
        let resolver = Resolver::new(|_, port| {
            thread::sleep(Duration::from_millis(500));
            Ok(vec![([127, 0, 0, 1], port).into()])
        });
        for _ in 0..LOOK_UPS_MAX {
            let waited = timeout(Duration::from_millis(1), resolver.resolve("slow.example.org", 6201)).await;
            assert!(waited.is_err());
        }
        let refused = resolver.resolve("slow.example.org", 6201).await;
        assert!(matches!(refused, Err(ClientError::LookUps(_))), "{refused:?}");
        // Numbers need none.
        for number in ["127.0.0.1", "::1"] {
            let expected = SocketAddr::new(number.parse().unwrap(), 6201);
            assert_eq!(resolver.resolve(number, 6201).await.unwrap(), [expected]);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let expected: SocketAddr = ([127, 0, 0, 1], 6201).into();
        assert_eq!(resolver.resolve("slow.example.org", 6201).await.unwrap(), [expected]);
    }

    #[tokio::test]
    async fn knows_names() {
        let found = Resolver::default().resolve("localhost", 6201).await.unwrap();
        assert!(found.iter().any(|address| address.ip().is_loopback() && address.port() == 6201));
    }
}
