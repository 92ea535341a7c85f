//! The demo's secret as a header in a file, so that the `curl` lines need not show it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::secret::Secret;

/// A file that only we may read, in a folder of its own; gone when this is dropped.
#[derive(Debug)]
pub(super) struct SecretFile {
    folder: PathBuf,
    file: PathBuf,
}

impl SecretFile {
    /// Writes the header `X-Worker-Secret` to a new file, in memory where the system has such a
    /// place for us.
    pub(super) fn create(secret: &Secret) -> io::Result<Self> {
        let place = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let place = place.filter(|place| place.is_dir()).unwrap_or_else(std::env::temp_dir);
        // A process id comes again, and what a killed demo left behind is not to be in the way.
        let folder = place.join(format!("wavelog_worker-demo-{:016x}", getrandom::u64()?));
        DirBuilder::new().mode(0o700).create(&folder)?;
        let created = Self { file: folder.join("secret.header"), folder };
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&created.file)?;
        writeln!(file, "X-Worker-Secret: {}", secret.expose())?;
        Ok(created)
    }

    pub(super) fn path(&self) -> &Path {
        &self.file
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        // What cannot be removed holds a secret that nothing answers to any more.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
