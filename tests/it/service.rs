//! The unit of systemd that the package brings: what it says of the worker is true, and it is as
//! strict as it can be. That it works under a real systemd is shown by `tests/packages`.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{SECRET, Worker, command};

/// The highest exposure that the unit may have, as `systemd-analyze security` counts it.
const EXPOSURE: f32 = 2.0;

fn unit() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/debian/wavelog_worker.service");
    fs::read_to_string(file).unwrap()
}

/// The value of a key of the unit that is there once.
fn value<'a>(unit: &'a str, key: &str) -> &'a str {
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let value = values.next().unwrap();
    assert_eq!(values.next(), None, "{key} is given twice");
    value
}

/// What systemd-analyze says of the unit, whose program is the one that was built.
fn analyze(arguments: &[&str]) -> Output {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("wavelog_worker.service");
    let unit = unit().replace("/usr/bin/wavelog_worker", env!("CARGO_BIN_EXE_wavelog_worker"));
    fs::write(&file, unit).unwrap();
    Command::new("systemd-analyze").args(arguments).arg(file).output().unwrap()
}

#[test]
fn systemd_is_told_when_browsers_can_connect_and_when_the_end_begins() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let told = || {
        let mut message = [0; 64];
        let length = systemd.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    let mut command = command();
    command.env("NOTIFY_SOCKET", &path).env("WORKER_SECRET", SECRET);
    command.env("WORKER_WS_PORT", "0").env("WORKER_INTERNAL_PORT", "0");
    command.env("WORKER_LOG_FORMAT", "json").current_dir(directory.path());

    let mut worker = Worker::from_command(command, directory, SECRET);
    let first = told();
    worker.signal(Signal::TERM);
    let second = told();
    worker.wait_for_exit();

    assert_eq!((first.trim(), second.trim()), ("READY=1", "STOPPING=1"));
    assert_eq!(value(&unit(), "Type"), "notify");
}

#[test]
fn the_unit_is_as_strict_as_it_can_be() {
    let output = analyze(&["security", "--offline=true", "--no-pager"]);

    let said = String::from_utf8_lossy(&output.stdout);
    let overall = said.lines().find(|line| line.contains("Overall exposure level")).unwrap();
    let level = overall.split(':').nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(level.parse::<f32>().unwrap() <= EXPOSURE, "{said}");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let output = analyze(&["verify", "--man=no", "--recursive-errors=no"]);

    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn the_unit_starts_what_the_package_brings_and_as_whom_the_package_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let unit = unit();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let postinst = fs::read_to_string(root.join("deploy/debian/postinst")).unwrap();

    let start: Vec<&str> = value(&unit, "ExecStart").split(' ').collect();

    let [program, "serve", "--config", config] = start[..] else {
        panic!("{start:?}");
    };
    assert_eq!(program, "/usr/bin/wavelog_worker");
    assert!(manifest.contains(r#"["target/release/wavelog_worker", "usr/bin/", "755"]"#));
    assert!(postinst.contains(&format!("config={config}\n")));
    let user = value(&unit, "User");
    assert_eq!(value(&unit, "Group"), user);
    assert!(postinst.contains(&format!("--gecos \"wavelog_worker\" {user}\n")));
    let files: u64 = value(&unit, "LimitNOFILE").parse().unwrap();
    assert!(files >= 4096, "below that the worker warns");
}
