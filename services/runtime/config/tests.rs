//! Which setting counts, and what is said of bad ones.

use std::{path::PathBuf, time::Duration};

use super::*;

fn layers(text: &str, environment: &[(&str, &str)], flags: &[&str]) -> Layers {
    Layers {
        conf: Some(Conf::parse(text, "x.conf").unwrap()),
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        flags: flags.iter().map(|text| FlagSetting::parse("--set", text).unwrap()).collect(),
    }
}

fn file(text: &str) -> Config {
    Config::resolve(&layers(text, &[], &[])).unwrap()
}

fn mistakes(layers: &Layers) -> Vec<String> {
    match Config::resolve(layers).unwrap_err() {
        ConfigError::Mistakes(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
        ConfigError::File(problem) => panic!("{problem}"),
    }
}

#[test]
fn every_default_is_a_good_value_and_swifts_own() {
    let config = file("");
    assert_eq!(config.node.bind_port, 6200);
    assert_eq!(config.node.fallocate_reserve, Reserve::Percent(1.0));
    assert!(config.node.mount_check);
    assert_eq!(config.server.replication_concurrency, 4);
    assert_eq!(config.server.replication_concurrency_per_device, 1);
    assert_eq!(config.server.node_timeout, Duration::from_secs(3));
    assert_eq!(config.replicator.node_timeout, Duration::from_secs(10));
    assert_eq!(config.replicator.handoff_delete, None);
    assert_eq!(config.server.allowed_headers.len(), 9);
    assert_eq!(config.warnings, Vec::<String>::new());
    assert!(config.rows.iter().all(|row| row.origin == Origin::Default));
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let text = "[object-replicator]\ninterval = 1";
    let variable = [("SSYNC_REPLICATOR_INTERVAL", "2")];
    let flags = ["replicator.interval=3", "replicator.interval=4"];
    let seen = |layers: &Layers| {
        let config = Config::resolve(layers).unwrap();
        let origin = config.row("object-replicator", "interval").unwrap().origin.to_string();
        (config.replicator.interval.as_secs(), origin)
    };
    assert_eq!(seen(&layers("", &[], &[])), (30, "default".to_owned()));
    assert_eq!(seen(&layers(text, &[], &[])), (1, "x.conf:2".to_owned()));
    assert_eq!(seen(&layers(text, &variable, &[])), (2, "$SSYNC_REPLICATOR_INTERVAL".to_owned()));
    assert_eq!(seen(&layers(text, &variable, &flags)), (4, "--set".to_owned()));
}

/// Stock Swift and we start from one file: what is commented out is what counts.
#[test]
fn the_sample_is_a_configuration_that_changes_nothing() {
    let config = Config::resolve(&layers(&sample(), &[], &[])).unwrap();
    assert_eq!(config, Config::resolve(&Layers::default()).unwrap());
    let live: String = sample()
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|line| line.contains(" =")).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let live = Config::resolve(&layers(&live[live.find("[DEFAULT]").unwrap()..], &[], &[])).unwrap();
    assert_eq!(live.node, config.node);
    assert_eq!(live.server, config.server);
    assert_eq!(live.replicator, config.replicator);
    assert_eq!(live.ssync, config.ssync);
}

/// Seen with paste.deploy 3 and Swift 2.38.3's `appconfig`.
#[test]
fn in_an_app_section_only_set_overrides_default() {
    let config = file(
        "[DEFAULT]\nbind_port = 1\nlog_level = ERROR\n[app:object-server]\nbind_port = 2\nset log_level = DEBUG\nclient_timeout = 3\n[object-replicator]\nbind_port = 4",
    );
    assert_eq!(config.node.bind_port, 1);
    assert_eq!(config.node.log_level, LogLevel::Debug);
    assert_eq!(config.server.client_timeout, Duration::from_secs(3));
    assert_eq!(config.replicator_node.bind_port, 4);
    assert_eq!(config.replicator_node.log_level, LogLevel::Error);
}

#[test]
fn an_option_that_the_daemons_see_differently_has_a_row_for_each() {
    let config = file("[DEFAULT]\ndevices = /a\n[object-replicator]\ndevices = /b");
    assert_eq!(config.row("app:object-server", "devices").unwrap().value, "/a");
    assert_eq!(config.row("object-replicator", "devices").unwrap().value, "/b");
    assert_eq!(config.row("DEFAULT", "devices"), None);
    assert_eq!(config.row("DEFAULT", "swift_dir").unwrap().value, "/etc/swift");
    let both = Config::resolve(&layers("[object-replicator]\ndevices = /b", &[("SSYNC_DEVICES", "/c")], &[]))
        .unwrap();
    assert_eq!((both.node.devices, both.replicator_node.devices), ("/c".into(), "/c".into()));
}

#[test]
fn ssync_inherits_nothing_from_default() {
    let config = file("[DEFAULT]\nlog_format = {remote_addr} and more\n[ssync]\ndurability = object");
    assert_eq!(config.ssync.log_format, LogFormat::Text);
    assert_eq!(config.ssync.durability, DurabilityOption::Object);
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places() {
    let layers = layers(
        "[DEFAULT]\nbind_port = many\nmount_check = maybe\n[object-replicator]\ninterval = -1\n[ssync]\ndurability = yes",
        &[("SSYNC_DEVICES", "relative")],
        &["no.such=1"],
    );
    let found = mistakes(&layers);
    for part in [
        "--set: [command line] no.such: no such option",
        "x.conf:2: [app:object-server] bind_port: \"many\" is not a whole number",
        "$SSYNC_DEVICES: [app:object-server] devices: \"relative\" is not a path",
        "x.conf:5: [object-replicator] interval: \"-1\" is not seconds",
        "x.conf:7: [ssync] durability: \"yes\" is not batch, object or none",
    ] {
        assert_eq!(found.iter().filter(|mistake| mistake.contains(part)).count(), 1, "{part} in {found:#?}");
    }
    assert_eq!(found.len(), 5, "{found:#?}");
}

#[test]
fn unknown_names_are_warned_about_where_they_are_ours_and_nowhere_else() {
    let config = Config::resolve(&layers(
        "[DEFAULT]\nno_such = 1\n[ssync]\ndurabilty = none",
        &[("SSYNC_DURABILTY", "none"), ("SSYNC_CONF", "/x"), ("HOME", "/")],
        &[],
    ))
    .unwrap();
    assert_eq!(
        config.warnings,
        ["x.conf:4: [ssync] has no option \"durabilty\"", "$SSYNC_DURABILTY sets no option"]
    );
}

#[test]
fn what_changes_nothing_says_so() {
    let config = file("[object-replicator]\nrsync_bwlimit = 10M\nhandoffs_first = ture");
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("handoffs_first"), "{:?}", config.warnings);
    assert!(config.warnings[1].contains("rsync_bwlimit changes nothing"), "{:?}", config.warnings);
    assert!(!config.replicator.handoffs_first);
}

#[test]
fn nothing_behind_the_name_means_the_default_and_zero_means_zero() {
    let config = file(
        "[app:object-server]\nreplication_concurrency =\nreplication_failure_threshold = 0\nallowed_headers =\n[DEFAULT]\nmount_check =",
    );
    assert_eq!(config.server.replication_concurrency, 4);
    assert_eq!(config.server.replication_failure_threshold, 0);
    assert_eq!(config.server.allowed_headers, Vec::<String>::new());
    assert!(!config.node.mount_check);
}

#[test]
fn old_names_count_where_the_new_ones_are_not_set() {
    let config =
        file("[object-replicator]\nrun_pause = 7\n[app:object-server]\nreplication_one_per_device = false");
    assert_eq!(config.replicator.interval, Duration::from_secs(7));
    assert_eq!(config.server.replication_concurrency_per_device, 0);
    let seen = |section, name| {
        let row = config.row(section, name).unwrap();
        (row.value.clone(), row.origin.to_string())
    };
    assert_eq!(seen("object-replicator", "interval"), ("7".to_owned(), "x.conf:2".to_owned()));
    let per_device = seen("app:object-server", "replication_concurrency_per_device");
    assert_eq!(per_device, ("0".to_owned(), "x.conf:4".to_owned()));
    let config = file("[object-replicator]\nrun_pause = 7\ninterval =");
    assert_eq!(config.replicator.interval, Duration::from_secs(7), "set to nothing is not set");
    let config = file("[object-replicator]\nrun_pause = 7\ninterval = 9");
    assert_eq!(config.replicator.interval, Duration::from_secs(9));
}

#[test]
fn every_variable_sets_one_option_only() {
    let specs = || TABLES.iter().flat_map(|table| table.iter());
    let variables: Vec<String> = specs()
        .flat_map(|spec| match spec.scope {
            Scope::Node => {
                let mut all = resolve::addresses(spec, Scope::Server);
                all.extend(resolve::addresses(spec, Scope::Replicator).into_iter().take(1));
                all
            }
            scope => resolve::addresses(spec, scope),
        })
        .map(|address| resolve::variable(&address))
        .collect();
    let distinct: BTreeSet<&String> = variables.iter().collect();
    assert_eq!(distinct.len(), variables.len());
    assert!(specs().all(|spec| !spec.doc.trim().is_empty()));
}

/// `UPDATE_SAMPLE=1 cargo test -p ssync-runtime sample` writes it anew.
#[test]
fn the_sample_in_deploy_is_the_one_that_the_table_makes() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/swift/object-server.conf-sample");
    if std::env::var_os("UPDATE_SAMPLE").is_some() {
        std::fs::write(&path, sample()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        kept == sample(),
        "deploy/swift/object-server.conf-sample is not what the table makes: run with UPDATE_SAMPLE=1"
    );
}

#[test]
fn the_sample_shows_every_option_with_its_default() {
    let commented = sample();
    let mut section = "";
    let mut shown = BTreeSet::new();
    for line in commented.lines() {
        match line.strip_prefix('[') {
            Some(name) => section = name.trim_end_matches(']'),
            None => _ = shown.insert((section, line)),
        }
    }
    for spec in TABLES.iter().flat_map(|table| table.iter()) {
        let line = format!("# {} = {}", spec.name, spec.default);
        assert!(shown.contains(&(spec.scope.section(), line.trim_end())), "{} is missing", spec.name);
    }
    assert!(commented.lines().all(|line| line.len() <= 79 || line.contains(" = ")), "a line is too long");
}

#[test]
fn what_swifts_replicator_would_do_otherwise_is_warned_of() {
    let warned = |text: &str| {
        let warnings = file(&format!("[object-replicator]\n{text}")).warnings;
        let told: Vec<String> =
            warnings.into_iter().filter(|line| line.contains("[object-replicator]")).collect();
        told
    };
    assert_eq!(warned("concurrency = 2"), Vec::<String>::new());
    assert_eq!(warned("sync_method = ssync"), Vec::<String>::new());
    assert_eq!(warned("sync_method ="), Vec::<String>::new());
    let [rsync] = &warned("sync_method = rsync")[..] else { panic!("one warning") };
    assert!(rsync.contains("never pushes by rsync"), "{rsync}");
    let [old] = &warned("run_pause = 3")[..] else { panic!("one warning") };
    assert!(old.contains("deprecated"), "{old}");
    let [both] = &warned("run_pause = 3\ninterval = 4")[..] else { panic!("one warning") };
    assert!(both.contains("changes nothing"), "{both}");
}

#[test]
fn secrets_are_shown_to_nobody() {
    let config = file(
        "[app:object-server]\nuse = egg:swift#object\nlog_anonymization_salt = pepper\n[ssync]\ntls_key = tls.key\n",
    );
    assert_eq!(config.server.log_anonymization_salt, "pepper");
    assert!(config.rows.iter().all(|row| !row.value.contains("pepper")), "{:?}", config.rows);
    let key = config.row("ssync", "tls_key").unwrap();
    assert_eq!(key.value, "tls.key", "where it is is no secret");
}

fn changed(before: &str, now: &str) -> Vec<(String, bool)> {
    let changes = file(before).changes(&file(now));
    changes.iter().map(|change| (change.to_string(), change.live.is_some())).collect()
}

#[test]
fn a_reload_says_what_has_changed_and_what_of_it_needs_a_restart() {
    assert_eq!(
        changed(
            "[DEFAULT]\nlog_level = INFO\n[object-replicator]\ninterval = 5",
            "[DEFAULT]\nlog_level = debug\n[object-replicator]\ninterval = 7\n[ssync]\ndurability = object"
        ),
        [
            ("[DEFAULT] log_level = debug (was INFO; x.conf:2)".to_owned(), true),
            ("[object-replicator] interval = 7 (was 5; x.conf:4)".to_owned(), true),
            ("[ssync] durability = object (was batch; x.conf:6)".to_owned(), false),
        ]
    );
    assert!(changed("[DEFAULT]\ndevices = /a", "# moved\n[DEFAULT]\ndevices = /a").is_empty());
}

#[test]
fn a_change_for_one_daemon_alone_is_a_change() {
    let (one, both) =
        ("[DEFAULT]\ndevices = /a\n[object-replicator]\ndevices = /b", "[DEFAULT]\ndevices = /a");
    let wanted = "[object-replicator] devices = /b (was /a; x.conf:4)";
    assert_eq!(changed(both, one), [(wanted.to_owned(), false)]);
    let back = "[DEFAULT] devices = /a (was /b; x.conf:2)";
    assert_eq!(changed(one, both), [(back.to_owned(), false)]);
}
