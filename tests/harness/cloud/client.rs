//! A client of the proxy, signed in by tempauth.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};

use crate::http::{Answer, exchange};

/// Somebody who is signed in to an account.
#[derive(Debug, Clone)]
pub struct Client {
    proxy: SocketAddr,
    token: String,
    account: String,
}

impl Client {
    /// Asks for a token.
    pub fn sign_in(proxy: SocketAddr, user: &str, key: &str) -> Result<Self> {
        let request = format!(
            "GET /auth/v1.0 HTTP/1.1\r\nHost: {proxy}\r\nX-Auth-User: {user}\r\nX-Auth-Key: {key}\r\nConnection: close\r\n\r\n"
        );
        let answer = exchange(proxy, request.as_bytes())?;
        ensure!(answer.status == 200, "{user} cannot sign in: {answer:?}");
        let url = answer.header("x-storage-url").context("no X-Storage-Url")?;
        let account = url.split_once("/v1/").with_context(|| format!("{url:?} has no account"))?.1;
        let token = answer.header("x-auth-token").context("no X-Auth-Token")?;
        Ok(Self { proxy, token: token.to_owned(), account: account.to_owned() })
    }

    /// The account's name, for example `AUTH_test`.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// A request below the account; `path` is percent-encoded and begins with a slash, or is empty.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer> {
        let mut request = format!(
            "{method} /v1/{}{path} HTTP/1.1\r\nHost: {}\r\nX-Auth-Token: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.account,
            self.proxy,
            self.token,
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        exchange(self.proxy, &[request.as_bytes(), body].concat())
    }
}
