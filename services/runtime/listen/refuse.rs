//! The answer to a caller who is not taken without TLS.

use std::time::Duration;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

/// Time that a caller has to take the answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most bytes of the request that are read after it: closed before, the answer might be lost on the way.
const REQUEST_BYTES_MAX: u64 = 64 * 1024;

/// What is answered. In HTTP/1.1, whatever the caller speaks: gRPC libraries show its first line, and so does our own probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// This address serves gRPC by TLS alone (RFC 2817, 4.2).
    TlsOnly,
    /// The caller's address is not in `http_allow`.
    NotAllowed,
}

impl Answer {
    fn head(self) -> &'static str {
        match self {
            Self::TlsOnly => {
                "HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.3\r\nConnection: Upgrade, close\r\n"
            }
            Self::NotAllowed => "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n",
        }
    }

    /// Why, for the caller and for our log.
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::TlsOnly => {
                "this address serves gRPC by TLS alone, to callers with a certificate (require_tls); HTTP, REPLICATE and \
                 SSYNC are not served here"
            }
            Self::NotAllowed => "HTTP is not served to this address (http_allow)",
        }
    }
}

/// Says why, and closes the connection.
pub(super) async fn refuse(mut connection: impl AsyncRead + AsyncWrite + Unpin, answer: Answer) {
    let (head, why) = (answer.head(), answer.why());
    let length = why.len() + 1;
    let text = format!("{head}Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{why}\n");
    let said = async {
        connection.write_all(text.as_bytes()).await?;
        connection.shutdown().await?;
        tokio::io::copy(&mut connection.take(REQUEST_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // Who does not take it has gone, or has said too much.
    let _ = timeout(PATIENCE, said).await;
}
