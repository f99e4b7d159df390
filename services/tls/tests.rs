//! Handshakes between two ends, and certificates that are replaced.

use std::{fs, path::Path, process::Command, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    version::TLS13,
};
use ssync_types::{Identity, Standing, SubjectName};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use crate::{
    HandshakeError, PeerRules, Reloaded, Tls, TlsError, TlsFiles, TlsSettings,
    testing::{Authority, Issued},
};

const NODE: &str = "10.0.0.7";

/// An end, and the folder of its files.
struct End {
    tls: Tls,
    folder: TempDir,
}

fn end(issued: &Issued) -> End {
    let folder = tempfile::tempdir().unwrap();
    let tls = issued.tls(folder.path(), PeerRules::default(), true);
    End { tls, folder }
}

/// Who the server takes the client for, and what the client has of it.
async fn shake(
    server: &Tls,
    client: &Tls,
    host: &str,
) -> (Result<Identity, HandshakeError>, Result<(), String>) {
    let (near, far) = duplex(64 * 1024);
    let accepted = async {
        let (mut stream, identity) = server.accept(far).await?;
        stream.write_all(b"hello").await.map_err(HandshakeError::of)?;
        stream.shutdown().await.map_err(HandshakeError::of)?;
        Ok(identity)
    };
    let connected = async {
        let mut stream = client.connect(host, near).await.map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
        assert_eq!(answer, b"hello");
        Ok(())
    };
    tokio::join!(accepted, connected)
}

#[tokio::test]
async fn both_ends_show_who_they_are() {
    let authority = Authority::new("ca");
    let server = end(&authority.issue(&[NODE]));
    let client = end(&authority.issue(&["client.example"]));
    let (identity, heard) = shake(&server.tls, &client.tls, NODE).await;
    let identity = identity.unwrap();
    assert_eq!(identity.names, [SubjectName::Dns("client.example".into())]);
    assert_eq!(identity.standing, Standing::Peer);
    assert_eq!(heard, Ok(()));
}

#[tokio::test]
async fn who_has_no_good_certificate_is_refused_by_either_end() {
    let (authority, other) = (Authority::new("ca"), Authority::new("other"));
    let good = end(&authority.issue(&[NODE]));
    let strangers = [
        ("another authority", end(&other.issue(&[NODE]).believing(&authority)), "UnknownIssuer"),
        ("expired", end(&authority.expired(&[NODE])), "expired"),
    ];
    for (what, stranger, why) in &strangers {
        let (refused, heard) = shake(&good.tls, &stranger.tls, NODE).await;
        let refused = refused.unwrap_err();
        assert!(matches!(&refused, HandshakeError::Certificate(_)), "{what}: {refused}");
        assert!(refused.to_string().contains(why), "{what}: {refused}");
        assert!(heard.is_err(), "{what}: the client hears of it");

        let (_, heard) = shake(&stranger.tls, &good.tls, NODE).await;
        let heard = heard.unwrap_err();
        assert!(heard.contains(why), "{what}: {heard}");
    }
    // The authority is the same; the host is not.
    let (_, heard) = shake(&good.tls, &good.tls, "10.0.0.8").await;
    assert!(heard.unwrap_err().contains("not valid for name"));
}

/// Without a certificate, or with nothing that asks for HTTP/2.
#[tokio::test]
async fn a_caller_without_a_certificate_or_without_http2_is_refused() {
    let authority = Authority::new("ca");
    let server = end(&authority.issue(&[NODE]));
    let mut without_alpn = (*server.tls.material().client).clone();
    without_alpn.alpn_protocols.clear();
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(authority.issue(&[NODE]).authority.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let mut nobody = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    nobody.alpn_protocols = vec![b"h2".to_vec()];
    for (config, expected) in [(nobody, "no certificates"), (without_alpn, "ALPN")] {
        let (near, far) = duplex(64 * 1024);
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(NODE).unwrap();
        let (accepted, _near) = tokio::join!(server.tls.accept(far), connector.connect(name, near));
        let error = accepted.expect_err("it was taken").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// The list is for whom we call as well: a stolen key serves nobody once its name is off the list.
#[tokio::test]
async fn a_server_that_does_not_count_is_told_nothing() {
    let authority = Authority::new("ca");
    let server = end(&authority.issue(&[NODE]));
    let folder = tempfile::tempdir().unwrap();
    for (allowed, counts) in [("*.example", false), (NODE, true)] {
        let rules = PeerRules { allowed: vec![allowed.to_owned()], ..PeerRules::default() };
        let client = authority.issue(&["client.example"]).tls(folder.path(), rules, true);
        let (_, connected) = shake(&server.tls, &client, NODE).await;
        assert_eq!(connected.is_ok(), counts, "{connected:?}");
        assert!(counts || connected.unwrap_err().contains("tls_allowed_peers"));
    }
}

#[tokio::test]
async fn an_end_without_tls_is_told_from_one_that_refuses() {
    let authority = Authority::new("ca");
    let client = end(&authority.issue(&[NODE]));
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
        let (near, mut far) = duplex(64 * 1024);
        let plain = async {
            far.write_all(answer).await.unwrap();
            drop(far);
        };
        let (connected, ()) = tokio::join!(client.tls.connect(NODE, near), plain);
        let error = connected.expect_err("no TLS");
        assert!(error.may_be_plain(), "{error}");
    }
    let (near, far) = duplex(64 * 1024);
    let stranger = end(&Authority::new("other").issue(&[NODE]));
    let (_, connected) = tokio::join!(stranger.tls.accept(far), client.tls.connect(NODE, near));
    assert!(!connected.expect_err("another authority").may_be_plain());
}

#[tokio::test]
async fn handshakes_to_come_have_what_was_replaced() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let server = end(&old.issue(&[NODE]));
    let client = end(&old.issue(&["client.example"]));
    assert!(shake(&server.tls, &client.tls, NODE).await.0.is_ok());
    assert_eq!(server.tls.reload(), Reloaded::Unchanged);

    new.issue(&[NODE]).write(server.folder.path());
    assert_eq!(server.tls.reload(), Reloaded::Taken);
    assert!(shake(&server.tls, &client.tls, NODE).await.0.is_err(), "the client has the old one");
    new.issue(&["client.example"]).write(client.folder.path());
    assert_eq!(client.tls.reload(), Reloaded::Taken);
    let (identity, heard) = shake(&server.tls, &client.tls, NODE).await;
    assert!(identity.is_ok(), "{identity:?}");
    assert_eq!(heard, Ok(()));
}

#[tokio::test]
async fn what_cannot_be_used_changes_nothing() {
    let authority = Authority::new("ca");
    let good = authority.issue(&[NODE]);
    let server = end(&good);
    let client = end(&good);
    let folder = server.folder.path();
    let bad: [(&str, String); 4] = [
        ("tls.crt", "no certificate".to_owned()),
        ("tls.crt", authority.issue(&[NODE]).certificate),
        ("tls.key", authority.issue(&[NODE]).key),
        ("ca.crt", String::new()),
    ];
    for (name, text) in bad {
        fs::write(folder.join(name), &text).unwrap();
        let Reloaded::Kept(error) = server.tls.reload() else { panic!("{name} was taken") };
        assert!(!error.to_string().contains("PRIVATE"), "{error}");
        assert!(shake(&server.tls, &client.tls, NODE).await.0.is_ok(), "{name}: the old one is gone");
        good.write(folder);
        assert_eq!(server.tls.reload(), Reloaded::Taken, "{name}");
    }
    authority.expired(&[NODE]).write(folder);
    let Reloaded::Kept(error) = server.tls.reload() else { panic!("it has expired") };
    assert!(error.to_string().contains("has expired"), "{error}");
    good.write(folder);
    assert_eq!(server.tls.reload(), Reloaded::Taken);
    fs::remove_file(folder.join("tls.key")).unwrap();
    assert!(matches!(server.tls.reload(), Reloaded::Kept(TlsError::Unreadable { .. })));
}

#[tokio::test]
async fn files_are_followed() {
    let authority = Authority::new("ca");
    let server = end(&authority.issue(&[NODE]));
    let stop = CancellationToken::new();
    let following = tokio::spawn(server.tls.clone().follow(Duration::from_millis(20), stop.clone()));
    let before = server.tls.material();
    authority.issue(&[NODE]).write(server.folder.path());
    let taken = async {
        while Arc::ptr_eq(&before, &server.tls.material()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), taken).await.expect("the new one is never taken");
    stop.cancel();
    following.await.unwrap();
}

#[test]
fn no_text_shows_a_key() {
    let server = end(&Authority::new("ca").issue(&[NODE]));
    assert!(!format!("{:?}", server.tls).contains("PRIVATE"));
    let files = server.tls.files().clone();
    fs::write(&files.certificate, fs::read(&files.key).unwrap()).unwrap();
    let Reloaded::Kept(error) = server.tls.reload() else { panic!("a key is no certificate") };
    let key = fs::read_to_string(&files.key).unwrap();
    let secret = key.lines().nth(1).unwrap();
    assert!(!error.to_string().contains(secret) && !format!("{error:?}").contains(secret));
}

/// The lines of the document, as somebody would run them.
fn documented() -> String {
    let document = include_str!("../../docs/security.md");
    let (_, behind) = document.split_once("```sh\n").expect("commands");
    behind.split_once("```").expect("an end").0.to_owned()
}

fn files(folder: &Path) -> TlsFiles {
    TlsFiles {
        certificate: folder.join("tls.crt"),
        key: folder.join("tls.key"),
        authorities: folder.join("ca.crt"),
    }
}

#[tokio::test]
async fn the_commands_of_the_document_make_certificates_that_serve() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("sh").args(["-euc", &documented()]).current_dir(folder.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let settings = TlsSettings { files: files(folder.path()), rules: PeerRules::default(), required: true };
    let tls = Tls::load(settings).unwrap();
    let (identity, heard) = shake(&tls, &tls, NODE).await;
    assert_eq!(identity.unwrap().names, [SubjectName::Ip(NODE.parse().unwrap())]);
    assert_eq!(heard, Ok(()));
}
