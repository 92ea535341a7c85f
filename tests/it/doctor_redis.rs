//! The doctor at a real Redis: wrong passwords, missing rights, full memory, strangers.

use std::fs;
use std::path::Path;

use crate::support::{Diagnosis, Patient, Redis};

/// What the doctor finds with `redis_url` in the configuration of a worker.
fn doctor(patient: &Patient, redis_url: &str) -> Diagnosis {
    patient.write_config(crate::support::SECRET, &format!("redis_url: \"{redis_url}\"\n"));
    patient.doctor(&["--quick"])
}

/// A worker in the cluster of `redis`.
fn node(redis: &Redis) -> Patient {
    let patient = Patient::with(&format!("redis_url: \"{}\"\nnode_name: one\n", redis.url()));
    patient.worker.wait_until_ready();
    patient
}

/// The address of `redis` for a user with these rights.
fn as_user(redis: &Redis, rights: &str) -> String {
    let mut command = vec!["ACL", "SETUSER", "wavelog", "reset", "on", ">word"];
    command.extend(rights.split_whitespace());
    assert_eq!(redis.cli(&command), "OK");
    format!("redis://wavelog:word@{}/0", redis.address())
}

/// The rights that docs/clustering.md names.
fn documented_rights() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/clustering.md");
    let page = fs::read_to_string(page).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix("user wavelog on >PASSWORD "));
    line.unwrap().to_owned()
}

#[test]
fn a_redis_that_serves_has_no_fault_and_its_nodes_are_named() {
    let redis = Redis::start();
    let patient = node(&redis);

    let diagnosis = patient.doctor(&["--quick"]);

    diagnosis.assert_well();
    for step in ["redis", "redis_rights", "redis_memory", "redis_others"] {
        assert_eq!((step, diagnosis.state(step)), (step, "ok"));
    }
    assert!(diagnosis.found("redis").starts_with("Redis "));
    assert_eq!(diagnosis.found("redis_others"), "1 node (one)");
    let left: Vec<String> = redis
        .ask(&["KEYS", "wavelog:doctor*"])
        .list()
        .iter()
        .map(|key| format!("{key:?}"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_redis_that_is_not_reached_is_a_fault_with_the_reason() {
    let patient = Patient::new();
    let redis = Redis::with_password("right");

    for (url, found, change) in [
        (Redis::absent(&[]).url(), "connection refused", "systemctl start redis-server"),
        (
            format!("redis://:wrong@{}/0", redis.address()),
            "refuses the user name or the password",
            "redis://USER:PASSWORD@HOST",
        ),
        (
            format!("redis://{}/0", redis.address()),
            "asks for a password",
            "redis://USER:PASSWORD@HOST",
        ),
    ] {
        let diagnosis = doctor(&patient, &url);

        diagnosis.assert_fault("redis", found, change);
        assert_eq!(diagnosis.state("redis_rights"), "left_out");
    }
}

#[test]
fn rights_that_are_lacking_are_named_as_the_rules_that_grant_them() {
    let redis = Redis::start();
    let patient = Patient::new();
    let all = documented_rights();

    let well = doctor(&patient, &as_user(&redis, &all));
    assert_eq!(well.state("redis_rights"), "ok", "{well:?}");

    let without = |rights: &[&str]| {
        let left = all.split_whitespace().filter(|right| !rights.contains(right));
        left.collect::<Vec<_>>().join(" ")
    };
    for (rights, change) in [
        (without(&["+set", "+hset"]), "acl setuser wavelog '+hset' '+set'"),
        (without(&["~wavelog:*"]), "'~wavelog:*'"),
        (without(&["&wavelog:*"]), "'&wavelog:*'"),
        (without(&["+subscribe"]), "'+subscribe'"),
    ] {
        doctor(&patient, &as_user(&redis, &rights)).assert_fault("redis_rights", "lacks", change);
    }
    let scripts = doctor(&patient, &as_user(&redis, &without(&["+evalsha", "+script|load"])));
    assert_eq!(scripts.state("redis_rights"), "warning");
    assert!(scripts.change("redis_rights").contains("'+evalsha'"));
}

#[test]
fn a_memory_that_forgets_topics_is_a_warning_and_one_that_is_full_a_fault() {
    let redis = Redis::with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let patient = Patient::new();

    let forgets = doctor(&patient, &redis.url());
    assert_eq!(forgets.state("redis_memory"), "warning");
    assert!(forgets.change("redis_memory").contains("maxmemory-policy noeviction"));

    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = doctor(&patient, &redis.url());
    full.assert_fault("redis_rights", "OOM", "memory");
}

#[test]
fn strangers_on_the_prefix_are_warnings() {
    let redis = Redis::start();
    let patient = node(&redis);
    redis.cli(&["SET", "wavelog:sessions:1", "x"]);
    redis.cli(&["SET", "wavelog:topic:a", "O:8:\"stdClass\""]);
    let mut listener = redis.connect();
    listener.ask(&["SUBSCRIBE", "wavelog:events"]).unwrap();

    let diagnosis = patient.doctor(&["--quick"]);

    let all: Vec<String> =
        diagnosis.all("redis_others").iter().map(|finding| finding["found"].to_string()).collect();
    assert!(all[0].contains("2 keys that no worker writes, such as wavelog:sessions:1"), "{all:?}");
    assert!(
        all[1].contains("2 listen to wavelog:events, and the roster has 1 node (one)"),
        "{all:?}"
    );
    diagnosis.assert_well();
}

#[test]
fn a_roster_that_is_another_programs_is_a_fault() {
    let redis = Redis::start();
    redis.cli(&["SET", "wavelog:nodes", "x"]);

    let diagnosis = doctor(&Patient::new(), &redis.url());

    diagnosis.assert_fault("redis_others", "wavelog:nodes cannot be read", "redis_prefix");
}
