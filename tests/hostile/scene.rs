//! A node with a tree on its disk, and what must still be true after it was told nonsense.

use anyhow::{Context as _, Result};
use serde_json::json;
use ssync_tests::{Builder, Cluster, Node, Server, Serving, Shape, Snapshot, helper};

use crate::peer::Peer;

/// Where the objects of these tests lie.
pub(crate) const PARTITION: u32 = 3;

/// An object that could be there.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub(crate) path: String,
    pub(crate) hash: String,
}

pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    serving: Serving,
    before: Snapshot,
}

impl Scene {
    pub(crate) fn new() -> Result<Self> {
        Self::of(Cluster::of(1), Server::Ssync(Shape::OneProcess))
    }

    pub(crate) fn of(builder: Builder, server: Server) -> Result<Self> {
        let cluster = builder.build()?;
        cluster.node(1).write_tree(0)?;
        // So that hashes.pkl is up to date and a question has no reason to write it.
        cluster.node(1).read_tree()?.assert_sound();
        let serving = cluster.node(1).serve(server)?;
        let before = cluster.node(1).snapshot()?;
        Ok(Self { cluster, serving, before })
    }

    pub(crate) fn node(&self) -> &Node {
        self.cluster.node(1)
    }

    pub(crate) async fn peer(&self) -> Result<Peer> {
        Peer::connect(self.node().address()).await
    }

    /// Objects that lie in [`PARTITION`].
    pub(crate) fn located(&self, count: usize) -> Result<Vec<Located>> {
        self.located_in(PARTITION, count)
    }

    pub(crate) fn located_in(&self, partition: u32, count: usize) -> Result<Vec<Located>> {
        let arguments = json!({"swift_dir": self.node().swift_dir(), "policy": 0, "partition": partition, "count": count});
        let found = helper("locate", &arguments)?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let found = found.as_array().context("no list")?;
        Ok(found.iter().map(|o| Located { path: text(&o["path"]), hash: text(&o["hash"]) }).collect())
    }

    /// Nothing on the disk has changed, and a good question is answered.
    pub(crate) async fn assert_untouched(&mut self, after: &str) -> Result<()> {
        self.before.assert_unchanged(&self.node().snapshot()?, after);
        self.assert_serving(after).await
    }

    pub(crate) async fn assert_serving(&mut self, after: &str) -> Result<()> {
        self.serving.assert_running();
        let located = self.located(1)?;
        let mut peer = self.peer().await?;
        let answers = peer.check(vec![Peer::question(&Peer::partition(), &[&located[0].hash])]).await;
        let answers = answers.map_err(|status| anyhow::anyhow!("{after}: a good question got {status}"))?;
        assert_eq!(answers.iter().flat_map(|answer| &answer.wants).count(), 1, "{after}");
        Ok(())
    }
}
