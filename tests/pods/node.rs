//! A node with a device of the ring, and the pod that the chart gives it.

use std::{
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use ssync_tests::{DEVICE, Tree, helper, repository, run_to_end, venv_program};

use crate::host::{Host, NETWORK};

/// Longest that anything may take.
const WAIT_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);
/// The release, and so what its resources are called.
const RELEASE: &str = "ssync";
/// Whom the chart runs the daemons as.
const SWIFT: &str = "65532:65532";
const ADMIN_PORT: u16 = 6301;

const SWIFT_CONF: &str = "\
[swift-hash]
swift_hash_path_prefix = changeme
swift_hash_path_suffix = changeme

[storage-policy:0]
name = gold
default = yes
";

pub(crate) struct Node<'host> {
    host: &'host Host,
    name: String,
    address: Ipv4Addr,
    folder: PathBuf,
}

impl<'host> Node<'host> {
    /// Two nodes, each a primary of every partition.
    pub(crate) fn pair(host: &'host Host) -> Result<[Self; 2]> {
        let nodes = [1, 2].map(|number: u8| Self {
            host,
            name: format!("node{number}"),
            address: Ipv4Addr::new(10, 84, 0, 10 + number),
            folder: host.folder().join(format!("node{number}")),
        });
        let devices: Vec<Value> = nodes
            .iter()
            .map(|node| json!({"ip": node.address, "port": 6200, "device": DEVICE, "weight": 1}))
            .collect();
        for node in &nodes {
            for folder in [node.etc(), node.recon()] {
                fs::create_dir_all(folder)?;
            }
            // mount_check is on: a device is a mount.
            host.mount_disk(&node.devices().join(DEVICE))?;
            fs::write(node.etc().join("swift.conf"), SWIFT_CONF)?;
            let ring =
                json!({"policy": 0, "part_power": 3, "replicas": 2, "format": 1, "devices": devices.clone()});
            helper("rings", &json!({"dir": node.etc(), "rings": [ring]}))?;
            node.hand_over()?;
        }
        Ok(nodes)
    }

    fn etc(&self) -> PathBuf {
        self.folder.join("etc")
    }

    fn devices(&self) -> PathBuf {
        self.folder.join("srv")
    }

    fn recon(&self) -> PathBuf {
        self.folder.join("recon")
    }

    fn hand_over(&self) -> Result<()> {
        let [devices, recon] = [self.devices(), self.recon()].map(|folder| folder.display().to_string());
        self.host.succeed("chown", &["--recursive", SWIFT, &devices, &recon]).map(drop)
    }

    fn disk(&self) -> Value {
        let devices = self.host.seen_from_here(&self.devices());
        json!({"swift_dir": self.etc(), "devices": devices, "device": DEVICE, "policy": 0})
    }

    /// Objects that Swift's DiskFile writes, and then reads.
    pub(crate) fn fill(&self, small: u32) -> Result<Tree> {
        let mut arguments = self.disk();
        arguments["small"] = small.into();
        arguments["large_metadata"] = false.into();
        helper("write_tree", &arguments)?;
        self.hand_over()?;
        self.read_tree()
    }

    pub(crate) fn read_tree(&self) -> Result<Tree> {
        Ok(serde_json::from_value(helper("read_tree", &self.disk())?)?)
    }

    /// What Kubernetes would make of the chart for this node.
    fn manifests(&self) -> Result<Value> {
        let chart = repository().join("deploy/helm/ssync").display().to_string();
        // Pods of a network of their own: two of them are on one host here.
        let folders = format!(
            "network=pod,drain.notice=1,paths.swift={},paths.devices={},paths.recon={}",
            self.etc().display(),
            self.devices().display(),
            self.recon().display()
        );
        let arguments = ["template", RELEASE, &chart, "--set", &folders];
        let made = run_to_end(&venv_program("helm")?, &arguments)?;
        ensure!(made.status.success(), "helm: {}", String::from_utf8_lossy(&made.stderr));
        let manifests = String::from_utf8(made.stdout)?;
        let service = json!({"SSYNC_SERVICE_HOST": self.address});
        helper(
            "kubelet",
            &json!({"manifests": manifests, "node": self.name, "address": self.address,
                    "environment": service}),
        )
    }

    fn play_some(&self, which: &str, options: &[&str]) -> Result<()> {
        let file = self.folder.join(which).with_extension("yaml");
        let manifests = self.manifests()?;
        fs::write(&file, manifests[which].as_str().context("no manifests")?)?;
        let file = file.display().to_string();
        let arguments = ["kube", "play", "--network", NETWORK];
        let all: Vec<&str> = arguments.iter().chain(options).copied().chain([file.as_str()]).collect();
        self.host.podman(&all).map(drop)
    }

    /// Starts its pod.
    pub(crate) fn play(&self) -> Result<()> {
        self.play_some("node", &["--ip", &self.address.to_string()])
    }

    /// What podman calls a container of a pod.
    fn container(&self, pod: &str, container: &str) -> String {
        format!("{pod}-{}-{container}", self.name)
    }

    fn daemon(&self) -> String {
        self.container(RELEASE, "node")
    }

    fn log(&self, container: &str) -> Result<String> {
        let output = self.host.run("podman", &["logs", container])?;
        Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    fn wait(&self, what: &str, until: impl Fn() -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        while !until()? {
            if began.elapsed() > WAIT_MAX {
                let log = self.log(&self.daemon())?;
                anyhow::bail!("{}: {what}: not within {WAIT_MAX:?}\n{log}", self.name);
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// The readiness probe of the pod, which podman does not know: a kubelet asks it so.
    pub(crate) fn wait_until_ready(&self) -> Result<()> {
        let address = format!("{}:{ADMIN_PORT}", self.address);
        let probe = ["-plaintext", "-connect-timeout", "1", &address, "grpc.health.v1.Health/Check"];
        self.wait("ready", || {
            let output = run_to_end(&venv_program("grpcurl")?, &probe)?;
            Ok(String::from_utf8_lossy(&output.stdout).contains("\"SERVING\""))
        })
    }

    pub(crate) fn wait_for_objects(&self, like: &Tree) -> Result<()> {
        self.wait("all objects", || Ok(self.read_tree()?.objects == like.objects))
    }

    /// It runs as the chart says, of what podman knows.
    pub(crate) fn assert_confined(&self) -> Result<()> {
        let format =
            "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.EffectiveCaps}} {{.HostConfig.SecurityOpt}}";
        let daemon = self.daemon();
        let confined = self.host.podman(&["inspect", "--format", format, &daemon])?;
        assert_eq!(confined.trim(), format!("{SWIFT} true [] [no-new-privileges]"));
        Ok(())
    }

    /// What the chart's test says.
    pub(crate) fn helm_test(&self) -> Result<String> {
        self.play_some("tests", &[])?;
        let status = self.container("ssync-status", "status");
        let code = self.host.podman(&["wait", &status])?;
        let log = self.log(&status)?;
        ensure!(code.trim() == "0", "{status} ended with {}: {log}", code.trim());
        Ok(log)
    }

    /// Ends its pod as a kubelet does, and returns what its daemon has said.
    pub(crate) fn stop(&self) -> Result<String> {
        let daemon = self.daemon();
        self.host.podman(&["stop", "--time", "55", &daemon])?;
        let log = self.log(&daemon)?;
        let code = self.host.podman(&["inspect", "--format", "{{.State.ExitCode}}", &daemon])?;
        ensure!(code.trim() == "0", "{daemon} ended with {}: {log}", code.trim());
        Ok(log)
    }
}
