//! `init`: writes a first configuration with a secret of its own.
//!
//! The file is the sample that is part of the program. An existing file is never touched. Start
//! reading at [`init`].

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::{DEFAULT_FILE, sample_with_secret};

/// Why no configuration was written. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// There is one already.
    #[error(
        "{} exists already and was left as it is; see what it says with `wavelog_worker check`, or name another file with --config", .0.display()
    )]
    Exists(PathBuf),
    /// The directory does not exist.
    #[error("{}: its directory does not exist; make it with `mkdir -p` first", .0.display())]
    NoDirectory(PathBuf),
    /// The file could not be written.
    #[error("{}: cannot be written: {source}; run this where you may write, or name another file with --config", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system has no random bytes.
    #[error(
        "the system gave no random bytes for a secret: {0}; copy config.sample.yaml and set worker_secret yourself"
    )]
    Random(getrandom::Error),
    /// The file was written, but that could not be said.
    #[error("the file was written, but the output failed: {0}")]
    Output(io::Error),
}

/// Writes the sample with a fresh secret of 32 random bytes (64 hex digits) to `path`, or to
/// [`DEFAULT_FILE`], and says on `out` what comes next. Only the owner may read the file.
///
/// # Errors
///
/// [`InitError`]; then no file is left behind, but for [`InitError::Output`].
pub fn init(path: Option<&Path>, out: &mut dyn Write) -> Result<(), InitError> {
    let named = path;
    let path = path.unwrap_or(Path::new(DEFAULT_FILE));
    let mut key = Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut *key).map_err(InitError::Random)?;
    let secret = Zeroizing::new(base16ct::lower::encode_string(&*key));
    let text = Zeroizing::new(sample_with_secret(&secret));

    let write = |source: io::Error| InitError::Write { path: path.to_owned(), source };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(
        |error| match error.kind() {
            ErrorKind::AlreadyExists => InitError::Exists(path.to_owned()),
            ErrorKind::NotFound => InitError::NoDirectory(path.to_owned()),
            _ => write(error),
        },
    )?;
    if let Err(error) = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()) {
        // It is ours, and half a configuration would only be in the way of the next try.
        let _ = fs::remove_file(path);
        return Err(write(error));
    }

    let option = named.map_or_else(String::new, |path| format!(" --config {}", path.display()));
    writeln!(
        out,
        "Wrote {} with a fresh secret; only you can read it.\n\
         Give PHP the same worker_secret, then start with: wavelog_worker{option}",
        path.display()
    )
    .map_err(InitError::Output)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_file_it_writes_is_private_and_can_be_used_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        let mut out = Vec::new();

        init(Some(&path), &mut out).unwrap();

        let loaded = Config::load(Some(&path), &|_| None).unwrap();
        let secret = loaded.config.secret.expose();
        assert_eq!(secret.len(), 64);
        assert_eq!((loaded.warnings.len(), loaded.risks.len()), (0, 0));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!String::from_utf8(out).unwrap().contains(secret));
    }

    #[test]
    fn each_secret_is_another() {
        let directory = tempfile::tempdir().unwrap();
        let secret = |name: &str| {
            let path = directory.path().join(name);
            init(Some(&path), &mut io::sink()).unwrap();
            Config::load(Some(&path), &|_| None).unwrap().config.secret
        };

        assert_ne!(secret("a.yaml").expose(), secret("b.yaml").expose());
    }

    #[test]
    fn an_existing_file_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        fs::write(&path, "precious").unwrap();

        let error = init(Some(&path), &mut io::sink()).unwrap_err();

        assert!(matches!(error, InitError::Exists(_)));
        assert!(error.to_string().contains("left as it is"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let error = init(Some(Path::new("/nonexistent/config.yaml")), &mut io::sink()).unwrap_err();

        assert!(matches!(error, InitError::NoDirectory(_)));
    }
}
