//! Runs one case under callgrind and reads what it counted; knows what counts depend on.
//!
//! A case runs alone in a new process with an environment of its own, so that neither the other
//! cases nor who called shift what is counted.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::time::Instant;

use crate::cases;

/// The argument that makes this program run one case.
pub const CASE: &str = "--case";

/// Longest time that a case may take. The longest takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Files that the largest audience has open, both ends of each socket, and some to spare.
const OPEN_FILES: u64 = 2_500;

/// Time between two looks whether a case has ended.
const LOOK: Duration = Duration::from_millis(10);

/// Instructions of one call of the case.
pub fn count(name: &str) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| format!("cannot find itself: {error}"))?;
    let folder = folder(&program)?;
    let profile = folder.join(format!("{name}.out"));
    let log = folder.join(format!("{name}.log"));
    let failed = |why: &str| format!("{name} {why}; {} has what valgrind said", log.display());
    let said = File::create(&log).map_err(|error| failed(&error.to_string()))?;
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg("--toggle-collect=*counted_section*");
    command.arg(format!("--callgrind-out-file={}", profile.display()));
    command.arg(program).args([CASE, name]);
    // Whatever is in the environment lies on the stack and moves it.
    command.env_clear().env("PATH", env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    let child = command.spawn().map_err(|error| {
        format!("cannot start valgrind: {error}; make setup installs it where there is apt-get")
    })?;
    let status = wait(child).map_err(|why| failed(&why))?;
    if !status.success() {
        return Err(failed(&format!("ended with {status}")));
    }
    let text = fs::read_to_string(&profile).map_err(|error| failed(&error.to_string()))?;
    match total(&text) {
        Some(total @ 1..) => Ok(total / cases::CALLS),
        _ => Err(failed("was not seen by callgrind, which looks for counted_section")),
    }
}

/// All that was counted, from callgrind's profile.
fn total(profile: &str) -> Option<u64> {
    profile.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

/// Waits for the end of `child`, and ends it when it takes too long.
fn wait(mut child: Child) -> Result<ExitStatus, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK),
            Ok(None) => {
                // Errors mean that it has ended just now.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("took more than {} s", PATIENCE.as_secs()));
            }
            Err(error) => return Err(format!("cannot be waited for: {error}")),
        }
    }
}

/// Where profiles and logs are kept: `target/release/instructions`.
fn folder(program: &Path) -> Result<PathBuf, String> {
    // The program is in `target/release/examples`.
    let folder = program.ancestors().nth(2).unwrap_or(Path::new(".")).join("instructions");
    fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    Ok(folder)
}

/// Lets this process, and so the cases, open files for the largest audience.
pub fn let_open_many_files() -> Result<(), String> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if limit.maximum.is_some_and(|maximum| maximum < OPEN_FILES) {
        return Err(format!("needs a hard limit of at least {OPEN_FILES} open files (ulimit -Hn)"));
    }
    setrlimit(Resource::Nofile, limit).map_err(|error| format!("cannot open many files: {error}"))
}

/// What baselines are apart for: `x86_64-linux`.
pub fn target() -> String {
    format!("{}-{}", env::consts::ARCH, env::consts::OS)
}

/// What else counts depend on: who compiled and who counted, whose `memcpy` and `malloc` it is,
/// and for which processor the libraries choose their code.
pub fn toolchain() -> Result<BTreeMap<String, String>, String> {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        let output = output.map_err(|error| format!("cannot start {program}: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        // `rustc 1.95.0 (59807616e 2026-04-14)`, `valgrind-3.19.0`, `glibc 2.36`.
        let version = text.split([' ', '-']).nth(1).unwrap_or("unknown");
        Ok::<_, String>(version.trim().to_owned())
    };
    Ok(BTreeMap::from([
        ("libc".to_owned(), version("getconf", "GNU_LIBC_VERSION")?),
        ("processor".to_owned(), processor().to_owned()),
        ("rustc".to_owned(), version(&rustc, "--version")?),
        (
            "valgrind".to_owned(),
            version("valgrind", "--version").map_err(|error| {
                format!("{error}; make setup installs it where there is apt-get")
            })?,
        ),
    ]))
}

/// Valgrind shows a program much the same processor on every x86_64 machine (3.19: a Haswell,
/// which has no SHA instructions and no AVX-512), if the machine can do as much.
#[cfg(target_arch = "x86_64")]
fn processor() -> &'static str {
    if std::arch::is_x86_feature_detected!("avx2") { "with AVX2" } else { "without AVX2" }
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> &'static str {
    "any"
}
