//! Configuration files of the servers around the object nodes, as Swift's own samples have them.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Result;

/// What comes after `egg:swift#`, and what it is told. `{memcached}` and `{proxy}` are put in.
const FILTERS: &str = "
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:proxy-logging]
use = egg:swift#proxy_logging
[filter:bulk]
use = egg:swift#bulk
[filter:ratelimit]
use = egg:swift#ratelimit
[filter:crossdomain]
use = egg:swift#crossdomain
[filter:dlo]
use = egg:swift#dlo
[filter:slo]
use = egg:swift#slo
[filter:container_sync]
use = egg:swift#container_sync
current = //here/endpoint
[filter:tempurl]
use = egg:swift#tempurl
[filter:tempauth]
use = egg:swift#tempauth
user_admin_admin = admin .admin .reseller_admin
user_test_tester = testing .admin
user_test_tester2 = testing2 .admin
user_test_tester3 = testing3
user_test2_tester2 = testing2 .admin
[filter:staticweb]
use = egg:swift#staticweb
[filter:account-quotas]
use = egg:swift#account_quotas
[filter:container-quotas]
use = egg:swift#container_quotas
[filter:cache]
use = egg:swift#memcache
memcache_servers = {memcached}
connect_timeout = 5
pool_timeout = 5
io_timeout = 20
[filter:etag-quoter]
use = egg:swift#etag_quoter
enable_by_default = false
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
[filter:copy]
use = egg:swift#copy
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:symlink]
use = egg:swift#symlink
[filter:s3api]
use = egg:swift#s3api
s3_acl = yes
check_bucket_owner = yes
cors_preflight_allow_origin = *
[filter:keymaster]
use = egg:swift#keymaster
encryption_root_secret = changeme/changeme/changeme/changeme/change/=
[filter:encryption]
use = egg:swift#encryption
";

const PROXY_APP: &str = "
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
";

/// Longer than any pause of a busy machine, so that only what a server answers decides.
const PATIENT: &str = "\
conn_timeout = 10
node_timeout = 60
post_quorum_timeout = 30
error_suppression_limit = 1000000
";

/// Where nodes are cut off, others must take their place soon.
const IMPATIENT: &str = "\
conn_timeout = 1
node_timeout = 3
error_suppression_limit = 10
error_suppression_interval = 3
";

const REALMS: &str = "
[here]
key = changeme
key2 = changeme
cluster_endpoint = http://{proxy}/v1/
";

/// For Swift's own tests.
const TEST_CONF: &str = "
[func_test]
auth_uri = http://{proxy}/auth/v1.0
account = test
username = tester
password = testing
s3_access_key = test:tester
s3_secret_key = testing
account2 = test2
username2 = tester2
password2 = testing2
username3 = tester3
password3 = testing3
s3_access_key2 = test:tester2
s3_secret_key2 = testing2
s3_access_key3 = test:tester3
s3_secret_key3 = testing3
collate = C
insecure = no
storage_domain =
[unit_test]
fake_syslog = True
[probe_test]
[swift-constraints]
";

/// What the proxy does beside the usual.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) encryption: bool,
    /// It waits long for an answer, and asks a node again that has failed.
    pub(super) patient: bool,
}

impl Pipeline {
    fn encrypting(&self) -> &'static str {
        if self.encryption { "keymaster encryption " } else { "" }
    }

    fn timeouts(&self) -> &'static str {
        if self.patient { PATIENT } else { IMPATIENT }
    }

    fn of_the_proxy(&self) -> String {
        format!(
            "catch_errors gatekeeper healthcheck proxy-logging cache etag-quoter listing_formats bulk tempurl \
             ratelimit crossdomain container_sync s3api tempauth staticweb copy container-quotas account-quotas slo dlo \
             versioned_writes symlink {}proxy-logging proxy-server",
            self.encrypting()
        )
    }

    fn of_an_internal_client(&self) -> String {
        format!("catch_errors proxy-logging cache symlink {}proxy-server", self.encrypting())
    }
}

/// Where the servers are, and who they are.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) user: String,
    pub(super) proxy: SocketAddr,
    pub(super) memcached: SocketAddr,
    pub(super) container: SocketAddr,
    pub(super) account: SocketAddr,
}

impl Place {
    pub(super) fn etc(&self) -> PathBuf {
        self.folder.join("etc")
    }

    pub(super) fn devices(&self, server: &str) -> PathBuf {
        self.folder.join("srv").join(server)
    }

    pub(super) fn write_all(&self, pipeline: &Pipeline) -> Result<()> {
        let write = |name: &str, text: String| fs::write(self.etc().join(name), text);
        let filters = self.filled(FILTERS);
        let app = format!("{PROXY_APP}{}", pipeline.timeouts());
        let proxy = self.listening(self.proxy);
        write("proxy-server.conf", format!("{proxy}{}{app}{filters}", main(&pipeline.of_the_proxy())))?;
        let client = format!("{}{}{app}{filters}", self.default(), main(&pipeline.of_an_internal_client()));
        let recon = self.recon("expirer")?;
        let expirer = format!("\n[object-expirer]\ninterval = 300\nrecon_cache_path = {}\n", recon.display());
        write("object-expirer.conf", format!("{client}{expirer}"))?;
        write("internal-client.conf", client)?;
        write("account-server.conf", self.database("account", self.account)?)?;
        write("container-server.conf", self.database("container", self.container)?)?;
        write("container-sync-realms.conf", self.filled(REALMS))?;
        write("test.conf", self.filled(TEST_CONF))?;
        Ok(())
    }

    fn filled(&self, text: &str) -> String {
        text.replace("{proxy}", &self.proxy.to_string()).replace("{memcached}", &self.memcached.to_string())
    }

    fn default(&self) -> String {
        format!(
            "[DEFAULT]\nswift_dir = {}\nuser = {}\nlog_level = INFO\nworkers = 0\n",
            self.etc().display(),
            self.user
        )
    }

    fn listening(&self, address: SocketAddr) -> String {
        format!("{}bind_ip = {}\nbind_port = {}\n", self.default(), address.ip(), address.port())
    }

    fn recon(&self, server: &str) -> Result<PathBuf> {
        let folder = self.folder.join("recon").join(server);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn database(&self, server: &str, address: SocketAddr) -> Result<String> {
        let disks = |folder: &Path, recon: &Path| {
            format!(
                "devices = {}\nmount_check = false\nrecon_cache_path = {}\n",
                folder.display(),
                recon.display()
            )
        };
        Ok(format!(
            "{}{}{}\n[app:{server}-server]\nuse = egg:swift#{server}\n\n[{server}-replicator]\n[{server}-auditor]\n\
             [container-updater]\n",
            self.listening(address),
            disks(&self.devices(server), &self.recon(server)?),
            main(&format!("{server}-server")),
        ))
    }
}

fn main(pipeline: &str) -> String {
    format!("\n[pipeline:main]\npipeline = {pipeline}\n")
}
