//! What the tools need of the configuration: where the worker is, and the secret if there is one.

use std::ffi::OsString;
use std::path::Path;

use crate::client::address::Address;
use crate::client::{Worker, WorkerError};
use crate::config::{Config, DEFAULT_FILE, Env, ListenConfig, keys};
use crate::secret::{MIN_SECRET_BYTES, Secret};

/// What the tools need.
#[derive(Debug)]
pub(super) struct Settings {
    /// Where the worker listens.
    pub(super) listen: ListenConfig,
    /// The secret, or one line that says why there is none and what to do.
    pub(super) secret: Result<Secret, String>,
}

impl Settings {
    /// The worker they describe, or the one at `address`.
    pub(super) fn worker(self, address: Option<Address>) -> Result<Worker, WorkerError> {
        let secret = self.secret.map_err(WorkerError::NoSecret)?;
        let ListenConfig { internal_bind, internal_port, .. } = self.listen;
        Worker::at(
            address.unwrap_or_else(|| Address::of_listener(internal_bind, internal_port)),
            secret,
        )
    }
}

/// Loads them as the worker loads its configuration; only the secret may be missing.
///
/// # Errors
///
/// One line that says what is wrong with the rest.
pub(super) fn load(path: Option<&Path>, env: Env<'_>) -> Result<Settings, String> {
    let refused = match Config::load(path, env) {
        Ok(loaded) => {
            return Ok(Settings { listen: loaded.config.listen, secret: Ok(loaded.config.secret) });
        }
        // Whoever asks a running worker is more likely in the wrong directory than in want of `init`.
        Err(refused) if path.is_none() && !Path::new(DEFAULT_FILE).exists() => {
            format!("{refused}, or name the worker's own file with --config")
        }
        Err(refused) => refused.to_string(),
    };
    // If the rest is good with any secret, the secret is all that is missing.
    let with_secret = |name: &str| match name {
        _ if name == keys::WORKER_SECRET.env => Some(OsString::from("-".repeat(MIN_SECRET_BYTES))),
        _ => env(name),
    };
    match Config::load(path, &with_secret) {
        Ok(loaded) => Ok(Settings { listen: loaded.config.listen, secret: Err(refused) }),
        Err(rest) => Err(rest.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn loaded(text: &str) -> Result<Settings, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        load(Some(file.path()), &|_| None)
    }

    #[test]
    fn addresses_are_known_without_a_secret() {
        let settings = loaded("ws_port: 8000\n").unwrap();

        assert_eq!(settings.listen.ws_port, 8000);
        assert!(settings.secret.unwrap_err().contains("worker_secret must be at least 32"));
    }

    #[test]
    fn a_missing_file_means_the_defaults_and_no_secret() {
        let settings = load(Some(Path::new("/nonexistent.yaml")), &|_| None).unwrap();

        assert_eq!(settings.listen.internal_port, 9001);
        assert!(settings.secret.unwrap_err().contains("no such file"));
    }

    #[test]
    fn anything_else_that_is_wrong_is_an_error() {
        assert!(loaded("ws_port: x\n").unwrap_err().contains("ws_port"));
        assert!(loaded("ws_port: [1\n").unwrap_err().contains("not valid YAML"));
    }
}
