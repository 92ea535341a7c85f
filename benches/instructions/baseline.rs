//! The committed baseline: `benches/instructions.json`, sorted, one section a target.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::verdict::Measured;

/// The file, below the package's folder.
pub const PATH: &str = "benches/instructions.json";

/// What the file says first.
const ABOUT: &str = "Instructions of one call of each case, counted by callgrind. Written by \
    `make instructions-baseline`; a commit that raises a count says why.";

/// What each target had when it was last made the measure.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    about: String,
    /// By architecture and system: `x86_64-linux`.
    pub targets: BTreeMap<String, Measured>,
}

impl Baseline {
    /// Reads the file; without one there are no targets yet.
    pub fn load() -> Result<Self, String> {
        match fs::read(path()) {
            Ok(text) => serde_json::from_slice(&text)
                .map_err(|error| format!("cannot read {PATH}: {error}; git has the last good one")),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Self { about: ABOUT.to_owned(), targets: BTreeMap::new() })
            }
            Err(error) => Err(format!("cannot read {PATH}: {error}")),
        }
    }

    /// Writes the file.
    pub fn save(&mut self) -> Result<(), String> {
        ABOUT.clone_into(&mut self.about);
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        fs::write(path(), text + "\n").map_err(|error| format!("cannot write {PATH}: {error}"))
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(PATH)
}
