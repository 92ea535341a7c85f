//! Reads the configuration file and explains why it could not.
//!
//! Knows nothing of what stands in it (`raw`). Start reading at [`read`].

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A file could not be read.
pub struct FileError {
    /// There is no such file.
    pub missing: bool,
    /// What happened.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

/// Returns the text and the permissions of the file `path`.
pub fn read(path: &Path) -> Result<(String, u32), FileError> {
    /// More than any configuration needs, and little enough to hold in memory.
    const MOST_BYTES: u64 = 1 << 20;

    let cannot_read = |error: &std::io::Error| match error.kind() {
        ErrorKind::NotFound => FileError {
            missing: true,
            what: format!("no such file{}, and WORKER_SECRET is not set", in_directory(path)),
            fix: "write one with `wavelog_worker init`, or set WORKER_SECRET".to_owned(),
        },
        ErrorKind::PermissionDenied => FileError {
            missing: false,
            what: "cannot be read: permission denied".to_owned(),
            fix: "run this with sudo; or if it is the worker that cannot, let its user read the \
                  file, with `chown` or a group and `chmod 640`"
                .to_owned(),
        },
        _ => FileError {
            missing: false,
            what: format!("cannot be read: {error}"),
            fix: "check the path and the disk".to_owned(),
        },
    };
    let refused = |what: &str, fix: &str| FileError {
        missing: false,
        what: what.to_owned(),
        fix: fix.to_owned(),
    };

    let file = File::open(path).map_err(|error| cannot_read(&error))?;
    let metadata = file.metadata().map_err(|error| cannot_read(&error))?;
    if metadata.is_dir() {
        return Err(refused(
            "is a directory, not a file",
            "name the file in it; Docker makes a directory where a mounted file does not exist",
        ));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| cannot_read(&error))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(refused("is larger than 1 MiB", "name a configuration file"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| refused("is not UTF-8 text", "save it again as UTF-8"))?;
    Ok((text, metadata.mode()))
}

/// Where a relative path was looked for.
fn in_directory(path: &Path) -> String {
    match std::env::current_dir() {
        Ok(directory) if path.is_relative() => format!(" in {}", directory.display()),
        _ => String::new(),
    }
}
