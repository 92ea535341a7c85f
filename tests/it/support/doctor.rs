//! Runs `wavelog_worker doctor` and reads what it found.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::{SECRET, Worker, command};

/// A worker, and a configuration by which the doctor finds it.
pub struct Patient {
    pub worker: Worker,
    pub directory: TempDir,
}

/// What the doctor found.
#[derive(Debug)]
pub struct Diagnosis {
    /// The exit code.
    pub code: i32,
    document: Value,
}

impl Patient {
    /// A worker with default limits.
    pub fn new() -> Self {
        Self::with("")
    }

    /// A worker with further lines of configuration, which the doctor knows, too.
    pub fn with(more_config: &str) -> Self {
        let worker = Worker::with(&format!(
            "{more_config}{}",
            if more_config.contains("ping_interval") {
                ""
            } else {
                "ping_interval: 30s\nidle_timeout: 60s\n"
            }
        ));
        let patient = Self { worker, directory: TempDir::new().unwrap() };
        patient.write_config(SECRET, more_config);
        patient
    }

    /// Writes the doctor's configuration anew, with another secret or other lines.
    pub fn write_config(&self, secret: &str, more_config: &str) {
        let config = format!(
            "ws_bind: 127.0.0.1\nws_port: {}\ninternal_port: {}\nworker_secret: \"{secret}\"\n{more_config}",
            self.worker.ws.port(),
            self.worker.internal.port()
        );
        fs::write(self.config(), config).unwrap();
        fs::set_permissions(self.config(), Permissions::from_mode(0o600)).unwrap();
    }

    /// The doctor's configuration.
    pub fn config(&self) -> PathBuf {
        self.directory.path().join("config.yaml")
    }

    /// What the doctor finds with the configuration and `arguments`.
    pub fn doctor(&self, arguments: &[&str]) -> Diagnosis {
        let mut command = command();
        command.args(["doctor", "--config", self.config().to_str().unwrap()]).args(arguments);
        Diagnosis::of(command)
    }

    /// The same without the idle socket, at a public address.
    pub fn quick(&self, url: &str) -> Diagnosis {
        self.doctor(&["--quick", "--url", url])
    }
}

/// The doctor without a configuration, in a directory without one.
pub fn doctor_alone(directory: &Path, arguments: &[&str]) -> Diagnosis {
    let mut command = command();
    command.current_dir(directory).arg("doctor").args(arguments);
    Diagnosis::of(command)
}

impl Diagnosis {
    /// What `command`, a doctor, finds. It never shows the secret.
    pub fn of(mut command: Command) -> Self {
        let output = command.arg("--json").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!text.contains(SECRET) && !errors.contains(SECRET), "it shows the secret");
        let document =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text} {errors}"));
        Self { code: output.status.code().unwrap(), document }
    }

    /// Every finding of a step.
    pub fn all(&self, step: &str) -> Vec<&Value> {
        let steps = self.document["steps"].as_array().unwrap();
        steps.iter().filter(|finding| finding["step"] == step).collect()
    }

    /// The worst finding of a step, which has to be there.
    fn one(&self, step: &str) -> &Value {
        let all = self.all(step);
        let worst = ["failed", "warning", "left_out", "ok"]
            .into_iter()
            .find_map(|state| all.iter().find(|finding| finding["state"] == state));
        worst.unwrap_or_else(|| panic!("no step {step}: {:#}", self.document))
    }

    /// How a step ended.
    pub fn state(&self, step: &str) -> &str {
        self.one(step)["state"].as_str().unwrap()
    }

    /// What a step found.
    pub fn found(&self, step: &str) -> &str {
        self.one(step)["found"].as_str().unwrap()
    }

    /// What a step says is to be changed, line by line.
    pub fn change(&self, step: &str) -> String {
        let lines = self.one(step)["change"].as_array().cloned().unwrap_or_default();
        lines.iter().flat_map(|line| [line.as_str().unwrap(), "\n"]).collect()
    }

    /// The steps that failed.
    pub fn failed(&self) -> Vec<&str> {
        let steps = self.document["steps"].as_array().unwrap();
        let failed = steps.iter().filter(|finding| finding["state"] == "failed");
        failed.map(|finding| finding["step"].as_str().unwrap()).collect()
    }

    /// Holds the doctor to one fault, in `step`, whose words have `found` in them and whose lines
    /// have `change`.
    #[track_caller]
    pub fn assert_fault(&self, step: &str, found: &str, change: &str) {
        assert!(self.failed().contains(&step), "{step}: {:#}", self.document);
        let any = self.all(step).into_iter().any(|finding| {
            let lines = finding["change"].to_string();
            finding["state"] == "failed"
                && finding["found"].as_str().unwrap().contains(found)
                && lines.contains(&change.replace('"', "\\\""))
        });
        assert!(any, "{found} | {change}: {:#?}", self.all(step));
        assert_eq!(self.code, 1);
    }

    /// Holds the doctor to no fault at all.
    #[track_caller]
    pub fn assert_well(&self) {
        assert!(self.failed().is_empty(), "{:#}", self.document);
        assert_eq!((self.code, &self.document["ok"]), (0, &Value::Bool(true)));
    }
}
