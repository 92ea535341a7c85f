//! The commands of the manual work: each page's blocks of shell are run, in their order and as one
//! session, with the worker that was just built.
//!
//! A page is played on a stage of its own (`docs_commands.sh`): without a network, and with folders
//! of the system that may be written to. So `config.yaml`, `/etc/nginx` and port 9000 are what the
//! page says they are. Comments in the page, which no reader sees, direct the play:
//!
//! - `norun: REASON` above a block: it is not run, only its syntax is checked. Lines `instead: COMMAND`
//!   in the same comment are run in its place, for what comes after it.
//! - `check: COMMAND`: something to make sure of, or to prepare, that a reader need not.
//!
//! A block whose paragraph names a file in bold, **`/etc/nginx/…`**, is written to that file.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::support::{Block, Item, Page, root};

/// Pages that are played at the same time.
const AT_ONCE: usize = 4;

/// What a comment says about the block under it, or about the play.
struct Direction {
    /// Why the block is not run.
    reason: Option<String>,
    /// What is run instead.
    commands: Vec<String>,
}

/// Reads a comment, or nothing if it is not meant for this test.
fn direction(text: &str) -> Option<Direction> {
    let mut found = Direction { reason: None, commands: Vec::new() };
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (what, rest) = line.split_once(": ")?;
        match what {
            "norun" => found.reason = Some(rest.to_owned()),
            "instead" | "check" => found.commands.push(rest.to_owned()),
            _ => return None,
        }
    }
    Some(found)
}

/// One page as a script, and the blocks that are not run, with the reasons.
struct Play {
    script: String,
    /// Blocks that are run.
    runs: usize,
    left_out: Vec<(Block, String)>,
}

fn play(page: &Page) -> Play {
    let mut play = Play { script: String::new(), runs: 0, left_out: Vec::new() };
    let mut reason: Option<String> = None;
    for item in page.items() {
        match item {
            Item::Comment(comment) => {
                let Some(direction) = direction(&comment.text) else { continue };
                let place = format!("{}:{}", page.path, comment.line);
                assert!(reason.is_none(), "{place}: the comment before stands above no block");
                let _ = writeln!(play.script, "echo '== {place}'");
                for command in direction.commands {
                    let _ = writeln!(play.script, "{command}");
                }
                reason = direction.reason;
            }
            Item::Block(block) if block.language == "sh" => match reason.take() {
                Some(reason) => play.left_out.push((block, reason)),
                None => {
                    let (path, line) = (&page.path, block.line);
                    let _ = writeln!(play.script, "echo '== {path}:{line}'\n{}", block.text);
                    play.runs += 1;
                }
            },
            Item::Block(block) => {
                let (path, line) = (&page.path, block.line);
                assert!(reason.is_none(), "{path}:{line}: `norun` above a block that is never run");
                if let Some(file) = &block.file {
                    let _ = writeln!(
                        play.script,
                        "mkdir -p \"$(dirname '{file}')\"\ncat >'{file}' <<'END OF FILE'\n{}END OF FILE",
                        block.text
                    );
                }
            }
        }
    }
    assert!(reason.is_none(), "{}: the last comment stands above no block", page.path);
    play
}

/// Plays `script`; what it printed if it failed.
fn perform(script: &str) -> Result<(), String> {
    let folder = TempDir::new().unwrap();
    // Users of the play have to get through.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), mode).unwrap();
    let file = folder.path().join("page.sh");
    fs::write(&file, script).unwrap();
    let output = stage()
        .arg("bash")
        .arg(root().join("tests/it/docs_commands.sh"))
        .arg(env!("CARGO_BIN_EXE_wavelog_worker"))
        .args([folder.path(), &file])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(());
    }
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Err(format!("{}\n{}\n{}", output.status, text[0], text[1]))
}

/// `unshare` with all that makes a stage, as root.
fn stage() -> Command {
    let mut command = if geteuid().is_root() {
        Command::new("unshare")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "unshare"]);
        sudo
    };
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command
}

#[test]
fn the_commands_of_every_page_work_in_their_order() {
    let pages: Vec<(String, Play)> =
        Page::all().iter().map(|page| (page.path.clone(), play(page))).collect();
    let runs: Vec<&(String, Play)> = pages.iter().filter(|(_, play)| play.runs > 0).collect();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());

    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((path, play)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begin = Instant::now();
                    if let Err(output) = perform(&play.script) {
                        failed.lock().unwrap().push(format!("{path}: {output}"));
                    }
                    println!("{path}: {} blocks, {:?}", play.runs, begin.elapsed());
                }
            });
        }
    });

    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert!(runs.len() >= 8, "only {} pages have commands", runs.len());
}

#[test]
fn every_block_that_is_not_run_has_a_reason_and_is_shell_all_the_same() {
    let mut seen = 0;
    for page in Page::all() {
        for (block, reason) in play(&page).left_out {
            let place = format!("{}:{}", page.path, block.line);
            println!("{place}: not run: {reason}");
            assert!(reason.len() > 10, "{place}: `norun` wants a reason");
            let parsed = Command::new("bash").args(["-n", "-c", &block.text]).output().unwrap();
            let error = String::from_utf8_lossy(&parsed.stderr);
            assert!(parsed.status.success(), "{place}: {error}");
            seen += 1;
        }
    }

    assert!(seen > 0);
}

#[test]
fn every_make_target_that_a_page_names_exists() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let is_target = |name: &str| makefile.lines().any(|line| line.starts_with(&format!("{name}:")));
    for page in Page::all() {
        for (number, line) in page.text.lines().enumerate() {
            let place = format!("{}:{}", page.path, number + 1);
            let named = line.split('`').skip(1).step_by(2).chain([line]);
            for name in named.filter_map(|code| code.trim().strip_prefix("make ")) {
                let name = name.split([' ', ',', '`']).next().unwrap();
                let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
                assert!(!is_plain || is_target(name), "{place}: there is no `make {name}`");
            }
        }
    }
}

#[test]
fn a_page_whose_command_fails_is_found_out() {
    let page = Page { path: "p".to_owned(), text: "```sh\nfalse | cat\n```\n".to_owned() };

    let result = perform(&play(&page).script);

    assert!(result.is_err());
    assert!(Path::new("/etc/nginx").exists(), "what a page does stays on its stage");
}
