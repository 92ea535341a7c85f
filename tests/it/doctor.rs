//! The doctor on the worker's machine and far from it: configuration, ports, secret, clocks,
//! tokens, and PHP's own file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{
    Diagnosis, Front, Patient, SECRET, Worker, claims, command, doctor_alone, free_port, mint,
    program, request, unix_now,
};

const OTHER_SECRET: &str = "0ther-secret-9d8c7b6a5f4e3d2c1b0a-of-the-tests";

/// The drop-in's own `worker.php` with the given values in it.
fn worker_php(directory: &TempDir, values: &[(&str, &str)]) -> PathBuf {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients/php/codeigniter3/application/config/worker.php");
    let mut text = fs::read_to_string(shipped).unwrap();
    for (name, value) in values {
        let begin = format!("\n$config['{name}'] = ");
        let at = text.find(&begin).unwrap() + begin.len();
        let end = at + text[at..].find(";\n").unwrap();
        text.replace_range(at..end, value);
    }
    let path = directory.path().join("worker.php");
    fs::write(&path, text).unwrap();
    path
}

fn with_php(patient: &Patient, values: &[(&str, &str)], more: &[&str]) -> Diagnosis {
    let path = worker_php(&patient.directory, values);
    patient.doctor(&[&["--quick", "--php", path.to_str().unwrap()], more].concat())
}

#[test]
fn a_worker_that_is_well_has_no_fault_and_keeps_nothing() {
    let patient = Patient::new();
    let before = patient.worker.status()["registered_topics"].clone();

    let url = format!("http://{}", patient.worker.ws);
    let diagnosis = patient.quick(&url);

    diagnosis.assert_well();
    for step in [
        "config",
        "permissions",
        "ports",
        "files",
        "internal",
        "ready",
        "clock",
        "direct",
        "auth",
        "push",
    ] {
        assert_eq!((step, diagnosis.state(step)), (step, "ok"));
    }
    let after = patient.worker.status();
    assert_eq!(after["registered_topics"], before, "its topics are unregistered");
    patient.worker.wait_for_sockets(0);
}

#[test]
fn another_secret_than_the_workers_is_named_and_not_shown() {
    let patient = Patient::new();
    patient.write_config(OTHER_SECRET, "");

    let diagnosis = patient.doctor(&["--quick"]);

    diagnosis.assert_fault(
        "internal",
        "has another secret than",
        "systemctl restart wavelog_worker",
    );
    assert!(!format!("{diagnosis:?}").contains(OTHER_SECRET));
    assert_eq!(diagnosis.state("direct"), "left_out");
}

#[test]
fn a_site_with_another_secret_is_known_by_what_the_worker_refused() {
    let patient = Patient::new();
    assert_eq!(patient.doctor(&["--quick"]).state("refused"), "ok");
    let publish = request("POST", "/internal/publish", &[("X-Worker-Secret", OTHER_SECRET)], b"{}");
    assert_eq!(patient.worker.internal().ask(&publish).status, 403);

    let diagnosis = patient.doctor(&["--quick"]);

    assert_eq!(diagnosis.state("refused"), "warning");
    let found = diagnosis.found("refused");
    assert!(found.contains("once") && found.contains("127.0.0.1, /internal/publish"), "{found}");
    assert_eq!(diagnosis.code, 0, "a stranger may be the one that is refused");
}

#[test]
fn a_worker_that_does_not_run_and_one_that_hangs_are_told_apart() {
    let patient = Patient::new();
    let directory = TempDir::new().unwrap();
    let (ws, internal) = (free_port(), free_port());
    let config = format!("ws_port: {ws}\ninternal_port: {internal}\nworker_secret: \"{SECRET}\"\n");
    fs::write(directory.path().join("config.yaml"), config).unwrap();

    let absent = doctor_alone(directory.path(), &["--quick"]);
    absent.assert_fault(
        "ports",
        &format!("nobody listens on internal_port ({internal})"),
        "systemctl start",
    );
    absent.assert_fault("internal", "nothing listens at 127.0.0.1", "journalctl");

    patient.worker.signal(rustix::process::Signal::STOP);
    let hangs = patient.doctor(&["--quick"]);
    patient.worker.signal(rustix::process::Signal::CONT);
    hangs.assert_fault("internal", "no answer within 1s", "its log");
}

#[test]
fn another_program_on_the_workers_port_is_named() {
    let patient = Patient::new();
    let nginx = Front::Nginx.start(&patient.worker, "location / { return 404; }");
    let config = fs::read_to_string(patient.config()).unwrap();
    let port = format!("ws_port: {}", patient.worker.ws.port());
    let taken = config.replace(&port, &format!("ws_port: {}", nginx.address.port()));
    fs::write(patient.config(), taken).unwrap();

    let diagnosis = patient.doctor(&["--quick"]);

    assert_eq!(diagnosis.state("ports"), "warning");
    assert!(diagnosis.found("ports").contains("is held by nginx"));
    diagnosis.assert_fault("direct", "404", "ss -ltnp");
}

#[test]
fn what_is_wrong_and_risky_in_the_configuration_is_told_with_its_line() {
    let patient = Patient::new();
    patient.write_config(SECRET, "ws_prot: 1\ntopic_ttl: never\n");

    let wrong = patient.doctor(&["--quick"]);
    wrong.assert_fault("config", "config.yaml:6: ", "24h");

    patient.write_config(SECRET, "trusted_proxies: [\"0.0.0.0/0\"]\n");
    let risky = patient.doctor(&["--quick"]);
    assert_eq!(risky.state("config"), "warning");
    assert!(risky.found("config").contains("trusted_proxies has 0.0.0.0/0"));
    assert_eq!(risky.code, 0, "warnings are no fault");
}

#[test]
fn few_open_files_are_a_warning() {
    let patient = Patient::new();
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("worker.yaml");
    fs::write(&path, format!("ws_bind: 127.0.0.1\nws_port: 0\ninternal_port: 0\nworker_secret: \"{SECRET}\"\nlog_format: json\n")).unwrap();
    let mut few = Command::new("sh");
    few.args([
        "-c",
        "ulimit -n 512; exec \"$0\" --config \"$1\"",
        env!("CARGO_BIN_EXE_wavelog_worker"),
    ])
    .arg(path);
    let worker = Worker::from_command(few, directory, SECRET);
    let config = fs::read_to_string(patient.config()).unwrap();
    let config = config
        .replace(&patient.worker.ws.port().to_string(), &worker.ws.port().to_string())
        .replace(&patient.worker.internal.port().to_string(), &worker.internal.port().to_string());
    fs::write(patient.config(), config).unwrap();

    let diagnosis = patient.doctor(&["--quick"]);

    assert_eq!(diagnosis.state("files"), "warning");
    assert!(diagnosis.change("files").contains("LimitNOFILE=65536"));
}

#[test]
fn a_clock_that_is_wrong_is_the_fault_behind_a_token_that_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("worker.yaml");
    fs::write(&path, format!("ws_bind: 127.0.0.1\nws_port: 0\ninternal_port: 0\nworker_secret: \"{SECRET}\"\nlog_format: json\n")).unwrap();
    // The wrapper would stay between us and the worker, and leave it behind; what it preloads does
    // it all.
    let preloaded = program("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
    let library = String::from_utf8(preloaded.unwrap().stdout).unwrap();
    let mut ahead = Command::new(env!("CARGO_BIN_EXE_wavelog_worker"));
    ahead.env("LD_PRELOAD", library.trim()).env("FAKETIME", "+1h");
    ahead.env("DONT_FAKE_MONOTONIC", "1").arg("--config").arg(path);
    let worker = Worker::from_command(ahead, directory, SECRET);
    let own = TempDir::new().unwrap();
    let config = format!(
        "ws_bind: 127.0.0.1\nws_port: {}\ninternal_port: {}\nworker_secret: \"{SECRET}\"\n",
        worker.ws.port(),
        worker.internal.port()
    );
    fs::write(own.path().join("config.yaml"), config).unwrap();

    let diagnosis =
        doctor_alone(own.path(), &["--quick", "--url", &format!("http://{}", worker.ws)]);

    diagnosis.assert_fault("clock", "s ahead of this machine's", "set-ntp true");
    diagnosis.assert_fault("direct", "refuses a token", "compare the clocks");
    diagnosis.assert_fault("auth", "refuses the token", "compare the clocks");
}

#[test]
fn a_public_address_that_leads_to_another_worker_is_named() {
    let (patient, other) = (Patient::new(), Worker::start());

    let diagnosis = patient.quick(&format!("http://{}", other.ws));

    diagnosis.assert_fault("auth", "does not know the topic", "lead to the same worker");
}

#[test]
fn from_a_laptop_it_does_what_it_can_and_says_what_it_leaves_out() {
    let worker = Worker::start();
    let directory = TempDir::new().unwrap();

    let diagnosis = doctor_alone(directory.path(), &["--url", &format!("ws://{}", worker.ws)]);

    diagnosis.assert_well();
    for (step, state) in [
        ("config", "left_out"),
        ("internal", "left_out"),
        ("upgrade", "ok"),
        ("script", "ok"),
        ("auth", "left_out"),
        ("idle", "left_out"),
    ] {
        assert_eq!((step, diagnosis.state(step)), (step, state));
    }
    assert!(diagnosis.found("auth").contains("--token-file"));
}

#[test]
fn a_token_from_a_file_is_shown_and_an_old_one_explained() {
    let worker = Worker::with("ping_interval: 1s\nidle_timeout: 3s\n");
    worker.register("session.7");
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("token");
    let doctor = |token: &str| {
        fs::write(&file, token).unwrap();
        let url = format!("ws://{}", worker.ws);
        let diagnosis = doctor_alone(
            directory.path(),
            &["--url", &url, "--token-file", file.to_str().unwrap(), "--quick"],
        );
        assert!(!format!("{diagnosis:?}").contains(token));
        diagnosis
    };

    let good = doctor(&worker.token(1, "session.7"));
    assert_eq!(good.state("auth"), "ok");

    let old = format!("{{\"user_id\":1,\"topic\":\"session.7\",\"expires\":{}}}", unix_now() - 90);
    doctor(&mint(&old, SECRET)).assert_fault(
        "auth",
        "the token expired 9",
        "worker_token_expiration",
    );

    let foreign = mint(&claims(1, "session.7"), OTHER_SECRET);
    doctor(&foreign).assert_fault("auth", "refuses the token", "compare worker_secret");

    doctor("nonsense").assert_fault("auth", "malformed", "token --decode");
}

#[test]
fn what_php_has_is_compared_with_the_worker() {
    let patient = Patient::new();
    let (secret, url) = (format!("'{SECRET}'"), format!("['http://{}']", patient.worker.internal));
    let client = format!("'ws://{}'", patient.worker.ws);
    let right = [
        ("worker_enabled", "TRUE"),
        ("worker_secret", secret.as_str()),
        ("worker_urls", url.as_str()),
        ("worker_client_url", client.as_str()),
    ];
    let but = |name: &'static str, value: &'static str| {
        right.map(|(key, right)| if key == name { (key, value) } else { (key, right) })
    };

    let well = with_php(&patient, &right, &[]);
    well.assert_well();
    for step in ["php", "php_secret", "php_address", "php_client_url", "php_times", "push"] {
        assert_eq!((step, well.state(step)), (step, "ok"), "{well:?}");
    }

    let shipped = with_php(&patient, &[], &[]);
    shipped.assert_fault(
        "php",
        "worker_enabled is not TRUE (line ",
        "$config['worker_enabled'] = TRUE;",
    );
    with_php(
        &patient,
        &but("worker_secret", "'0ther-secret-9d8c7b6a5f4e3d2c1b0a-of-the-tests'"),
        &[],
    )
    .assert_fault(
        "php_secret",
        "another than the worker's (line ",
        "as worker_secret in config.yaml",
    );
    with_php(&patient, &but("worker_urls", "['http://127.0.0.1:1']"), &[]).assert_fault(
        "php_address",
        "nothing listens at 127.0.0.1:1",
        "in a container",
    );
    let public = ["--url", "ws://127.0.0.1:1"];
    with_php(&patient, &right, &public).assert_fault(
        "php_client_url",
        "and --url is ws://127.0.0.1:1/ws",
        "$config['worker_client_url']",
    );
    let variable = with_php(&patient, &but("worker_secret", "getenv('WAVELOG_SECRET') ?: ''"), &[]);
    assert!(variable.found("php_secret").contains("WAVELOG_SECRET"));
    assert_eq!(variable.state("php_secret"), "left_out");
}

#[test]
fn on_phps_machine_its_own_file_is_enough() {
    let worker = Worker::start();
    let directory = TempDir::new().unwrap();
    let path = worker_php(
        &directory,
        &[
            ("worker_enabled", "TRUE"),
            ("worker_secret", &format!("'{SECRET}'")),
            ("worker_urls", &format!("array('http://{}')", worker.internal)),
            ("worker_client_url", &format!("'ws://{}/ws'", worker.ws)),
        ],
    );

    let diagnosis = doctor_alone(directory.path(), &["--quick", "--php", path.to_str().unwrap()]);

    diagnosis.assert_well();
    for step in ["internal", "php_address", "upgrade", "auth", "push"] {
        assert_eq!((step, diagnosis.state(step)), (step, "ok"), "{diagnosis:?}");
    }
}

#[test]
fn for_people_a_fault_has_its_lines_below_it_and_the_last_line_is_the_verdict() {
    let patient = Patient::new();
    patient.write_config(OTHER_SECRET, "");

    let output = command()
        .args(["doctor", "--quick", "--config", patient.config().to_str().unwrap()])
        .stderr(Stdio::piped())
        .output()
        .unwrap();

    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!text.contains('\u{1b}'), "colours are for terminals");
    assert!(text.contains("\nok    ports             ws_port at 127.0.0.1:"), "{text}");
    assert!(text.contains("\nFAIL  PHP's call        the worker at 127.0.0.1:"), "{text}");
    assert!(text.contains("\n        expected        the same secret in"), "{text}");
    assert!(text.ends_with("left out; begin with \"PHP's call\"\n"), "{text}");
}
