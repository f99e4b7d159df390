//! What a client does first, through the proxy.

use anyhow::Result;
use ssync_tests::{Cloud, Server, Shape};

fn an_object_comes_and_goes(server: Server) -> Result<()> {
    let mut cloud = Cloud::of(4).start(server)?;
    let client = cloud.client()?;
    for (container, policy) in [("gold", "gold"), ("silver", "silver"), ("coded", "ec21")] {
        let path = format!("/{container}/a%20name");
        let status = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
            client.request(method, path, headers, body).map(|answer| answer.status)
        };
        assert_eq!(status("PUT", &format!("/{container}"), &[("X-Storage-Policy", policy)], b"")?, 201);
        assert_eq!(status("PUT", &path, &[("X-Object-Meta-Color", "blue")], b"hello")?, 201, "{policy}");
        let read = client.request("GET", &path, &[], b"")?;
        assert_eq!(
            (read.status, read.text().as_str(), read.header("x-object-meta-color")),
            (200, "hello", Some("blue"))
        );
        assert_eq!(client.request("GET", &path, &[("Range", "bytes=1-3")], b"")?.text(), "ell", "{policy}");
        assert_eq!(status("POST", &path, &[("X-Object-Meta-Color", "red")], b"")?, 202);
        assert_eq!(client.request("HEAD", &path, &[], b"")?.header("x-object-meta-color"), Some("red"));
        let listing = || client.request("GET", &format!("/{container}"), &[], b"").map(|list| list.text());
        assert_eq!(listing()?, "a name\n", "{policy}");
        assert_eq!(status("DELETE", &path, &[], b"")?, 204);
        assert_eq!(status("GET", &path, &[], b"")?, 404);
        assert_eq!(listing()?, "", "{policy}");
    }
    cloud.assert_running();
    Ok(())
}

#[test]
fn on_stock() -> Result<()> {
    an_object_comes_and_goes(Server::Stock)
}

#[test]
fn on_ssync() -> Result<()> {
    an_object_comes_and_goes(Server::Ssync(Shape::OneProcess))
}

#[test]
fn on_ssync_in_two_processes() -> Result<()> {
    an_object_comes_and_goes(Server::Ssync(Shape::TwoOverUnix))
}

/// One node of each kind goes down and comes back.
#[test]
fn a_node_may_be_away() -> Result<()> {
    let mut cloud = Cloud::of(4)
        .encryption()
        .start_each(|number| if number == 1 { Server::Ssync(Shape::OneProcess) } else { Server::Stock })?;
    let client = cloud.client()?;
    assert_eq!(client.request("PUT", "/c", &[], b"")?.status, 201);
    cloud.stop_node(1);
    assert_eq!(client.request("PUT", "/c/o", &[], b"secret")?.status, 201);
    assert_eq!(client.request("GET", "/c/o", &[], b"")?.text(), "secret");
    cloud.start_node(1, Server::Stock)?;
    let holders = (1..=4).filter(|&number| {
        cloud.node(number).read_tree().is_ok_and(|tree| tree.object("/AUTH_test/c/o").is_some())
    });
    assert_eq!(holders.count(), 3, "replicas, one of them on a handoff if need be");
    Ok(())
}
