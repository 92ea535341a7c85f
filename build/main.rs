//! Compiles the browser client into the worker: `clients/js/src` becomes the one script that the
//! WebSocket port serves as `/client.js`, plain and as gzip, for `src/ws/script.rs` to include.
//!
//! So whoever has Rust has everything: no Node, no package manager, and no output of a build among
//! the sources. `join` makes one text of the modules, `compile` makes the script of it.

mod compile;
mod join;

use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use flate2::{Compression, GzBuilder};

/// Where the sources are, from the root of the repository.
const SOURCES: &str = "clients/js/src";

/// The module that pages without a build step load, and with it all that it imports.
const ENTRY: &str = "classic.ts";

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={SOURCES}");
    // A test runs this program on sources that are not as they should be.
    println!("cargo::rustc-env=CLIENT_COMPILER={}", env::current_exe()?.display());

    // Cargo starts this in the root of the repository.
    let script = compile::compile(&join::join(Path::new(SOURCES), ENTRY)?)?;
    let version = env::var("CARGO_PKG_VERSION")?;
    let script = format!("/*! wavelog-worker-client {version}, MIT licence */\n{script}\n");

    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    fs::write(out.join("client.js"), &script)?;
    fs::write(out.join("client.js.gz"), gzip(script.as_bytes())?)?;
    fs::write(out.join("client.js.hash"), hash(&script))?;
    Ok(())
}

/// No name and no time in it, so that the same sources give the same bytes.
fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut writer = GzBuilder::new().write(Vec::new(), Compression::best());
    writer.write_all(bytes)?;
    writer.finish()
}

/// What an `ETag` tells one content from another by; that takes no cryptography.
fn hash(script: &str) -> String {
    let mut hasher = DefaultHasher::new();
    script.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
