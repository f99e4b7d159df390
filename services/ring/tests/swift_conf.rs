//! swift.conf, good and bad.

use ssync_types::{HashPathConfig, ObjectPath, PolicyIndex};

use crate::{PolicyKind, SwiftConf, SwiftConfError};

const SALT: &str = "[swift-hash]\nswift_hash_path_prefix = changeme\nswift_hash_path_suffix = changeme\n";

fn load(text: &[u8]) -> Result<SwiftConf, SwiftConfError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("swift.conf"), text).unwrap();
    SwiftConf::load(dir.path())
}

fn with_policies(policies: &str) -> Result<SwiftConf, String> {
    load(format!("{SALT}{policies}").as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn reads_salt_policies_and_limits() {
    let conf = with_policies(
        "[storage-policy:0]\nname = gold\naliases = yellow, gold, Orange\ndefault = yes\n\
         [storage-policy:1]\nname = ec21\npolicy_type = erasure_coding\nec_type = liberasurecode_rs_vand\n\
         ec_num_data_fragments = 2\nec_num_parity_fragments = 1\nec_duplication_factor = 2\n\
         [storage-policy:12]\nname = old\ndeprecated = true\n\
         [swift-constraints]\nMAX_FILE_SIZE = 1000\nmax_meta_count = 5\nextra_header_count = 4\n",
    )
    .unwrap();
    let hash = conf.hash_path().hash(&ObjectPath::parse("/AUTH_test/c/o").unwrap());
    assert_eq!(hash.to_string(), "4e2772c453cbe15a19b26fbfbb223e31");
    let policies: Vec<_> = conf.policies().iter().collect();
    assert_eq!(
        policies.iter().map(|policy| policy.ring_name()).collect::<Vec<_>>(),
        ["object", "object-1", "object-12"]
    );
    assert_eq!(policies[0].aliases, ["yellow", "Orange"]);
    assert_eq!(conf.policies().default_policy().unwrap().name, "gold");
    assert_eq!(conf.policies().by_name("ORANGE").unwrap().index, PolicyIndex::new(0));
    assert!(policies[2].deprecated);
    assert_eq!(policies[1].required_replicas(), Some(6));
    assert_eq!(policies[0].required_replicas(), None);
    let coding = PolicyKind::ErasureCoding {
        ec_type: "liberasurecode_rs_vand".to_owned(),
        data: 2,
        parity: 1,
        segment_size: 1 << 20,
        duplication: 2,
    };
    assert_eq!(policies[1].kind, coding);
    assert_eq!((conf.constraints().max_file_size, conf.constraints().max_header_count()), (1000, 45));
    assert_eq!(conf.constraints().max_meta_overall_size, 4096);
    assert_eq!(policies[1].ring_path("/etc/swift".as_ref()).to_str(), Some("/etc/swift/object-1.ring.gz"));
}

#[test]
fn without_policies_there_is_policy_0() {
    let conf = load(SALT.as_bytes()).unwrap();
    let only = conf.policies().default_policy().unwrap();
    assert_eq!((only.index.get(), only.name.as_str(), &only.kind), (0, "Policy-0", &PolicyKind::Replication));
    assert_eq!(*conf.constraints(), crate::Constraints::default());
    // A single policy need not say that it is the default.
    assert!(
        with_policies("[storage-policy:0]\nname = gold\n").unwrap().policies().default_policy().is_some()
    );
}

#[test]
fn a_salt_is_bytes() {
    let conf = load(b"[swift-hash]\nswift_hash_path_suffix = \xff5%%\n").unwrap();
    let path = ObjectPath::parse("/a/c/o").unwrap();
    assert_eq!(conf.hash_path().hash(&path), HashPathConfig::new("", *b"\xff5%").unwrap().hash(&path));
    for bad in ["", "[swift-hash]\n", "[swift-hash]\nswift_hash_path_suffix =\n"] {
        let error = load(bad.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("swift.conf: [swift-hash]") && error.contains("both empty"), "{error}");
    }
}

#[test]
fn refuses_policies_that_swift_refuses() {
    let zero = "[storage-policy:0]\nname = gold\n";
    let coded = |rest: &str| {
        format!("{zero}default = yes\n[storage-policy:1]\nname = ec\npolicy_type = erasure_coding\n{rest}")
    };
    let shape = "ec_num_data_fragments = 4\nec_num_parity_fragments = 5\n";
    let refused = [
        ("[storage-policy:1]\nname = gold\n".to_owned(), "none with index 0"),
        ("[storage-policy:x]\nname = gold\n".to_owned(), "is no index"),
        ("[storage-policy:-1]\nname = gold\n".to_owned(), "is no index"),
        ("[storage-policy:0]\n".to_owned(), "is no name"),
        ("[storage-policy:0]\nname = g_ld\n".to_owned(), "is no name"),
        (format!("{zero}aliases = a, A\n"), "stands twice"),
        (format!("{zero}default = yes\n[storage-policy:1]\nname = Gold\n"), "used by two policies"),
        (
            format!("{zero}default = yes\n[storage-policy:1]\nname = b\naliases = gold\n"),
            "used by two policies",
        ),
        (format!("{zero}default = yes\n[storage-policy:00]\nname = b\n"), "index 0 is used by two policies"),
        (format!("{zero}default = yes\n[storage-policy:1]\nname = policy-0\n"), "kept for policy 0"),
        (format!("{zero}[storage-policy:1]\nname = b\n"), "no policy is the default"),
        (format!("{zero}default = yes\n[storage-policy:1]\nname = b\ndefault = 1\n"), "more than one"),
        (format!("{zero}default = yes\ndeprecated = yes\n"), "cannot be the default"),
        (format!("{zero}deprecated = yes\n"), "every policy is deprecated"),
        (format!("{zero}policy_type = raid\n"), "is no policy_type"),
        (format!("{zero}colour = red\n"), "colour is no option"),
        (format!("{zero}ec_type = x\n"), "ec_type is no option"),
        (format!("{zero}diskfile_module = egg:other#fs\n"), "egg:other#fs"),
        (coded(shape), "ec_type is missing"),
        (
            coded("ec_type = liberasurecode_rs_vand\nec_num_data_fragments = 4\n"),
            "ec_num_parity_fragments is missing",
        ),
        (coded(&format!("ec_type = isa_l_rs_vand\n{shape}")), "must be deprecated"),
        (coded(&format!("ec_type = x\n{shape}ec_object_segment_size = 0\n")), "ec_object_segment_size = 0"),
        (
            coded(&format!("ec_type = x\n{shape}ec_duplication_factor = none\n")),
            "ec_duplication_factor = none",
        ),
    ];
    for (policies, problem) in refused {
        let error = with_policies(&policies).unwrap_err();
        assert!(error.contains("swift.conf") && error.contains(problem), "{policies}: {error}");
    }
    assert!(with_policies(&coded(&format!("ec_type = isa_l_rs_vand\n{shape}deprecated = yes\n"))).is_ok());
}

#[test]
fn refuses_limits_that_are_no_numbers() {
    let error = with_policies("[swift-constraints]\nmax_file_size = 5G\n").unwrap_err();
    assert!(error.contains("max_file_size = 5G"), "{error}");
}
