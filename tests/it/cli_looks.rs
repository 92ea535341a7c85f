//! How the program looks in a shell: help in a screenful, colours for terminals alone, manual
//! pages, completions, mistakes that are named.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{SECRET, Worker, command};

/// Lines and columns of a terminal that is not large.
const SCREEN: (usize, usize) = (40, 100);

fn run(arguments: &[&str]) -> Output {
    let directory = TempDir::new().unwrap();
    command().current_dir(directory.path()).args(arguments).output().unwrap()
}

/// The output of a command that succeeds.
#[track_caller]
fn good(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command with wrong arguments says.
#[track_caller]
fn misused(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// The commands that the help of the program names, itself first, without `help`.
fn commands() -> Vec<Vec<String>> {
    let help = good(&["--help"]);
    let section = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = section.lines().filter(|line| !line.starts_with("   "));
    let names = names.map(|line| line.split_whitespace().next().unwrap().to_owned());
    let mut commands = vec![Vec::new()];
    commands.extend(names.filter(|name| name != "help").map(|name| vec![name]));
    assert!(commands.len() > 10, "{commands:?}");
    commands
}

/// The screen of a terminal in which `line` was run, with `variables` set.
fn on_a_terminal(line: &str, variables: &[(&str, &str)]) -> String {
    let program = env!("CARGO_BIN_EXE_wavelog_worker");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &format!("{program} {line}"), "/dev/null"]);
    script.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("TERM", "xterm-256color");
    script.env("WORKER_SECRET", SECRET).envs(variables.iter().copied());
    let output = script.stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_help_of_every_command_fits_on_a_screen_and_has_an_example() {
    for mut arguments in commands() {
        arguments.push("--help".to_owned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let help = good(&arguments);

        let lines = help.lines().count();
        assert!(lines <= SCREEN.0, "{arguments:?} has {lines} lines:\n{help}");
        let widest = help.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= SCREEN.1, "{arguments:?} has {widest} columns:\n{help}");
        let examples = help.split("Example").nth(1).expect("examples");
        assert!(examples.contains("wavelog_worker"), "{help}");
        assert!(!help.contains('\u{1b}'), "{help}");
    }
}

#[test]
fn the_help_of_the_program_needs_no_more_than_80_columns() {
    let help = good(&["--help"]);

    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
}

#[test]
fn the_short_help_is_shorter_and_says_where_the_examples_are() {
    for mut arguments in commands() {
        let name = arguments.concat();
        arguments.push("-h".to_owned());
        let short = good(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        arguments.pop();
        arguments.push("--help".to_owned());
        let long = good(&arguments.iter().map(String::as_str).collect::<Vec<_>>());

        assert!(short.lines().count() < long.lines().count(), "{name}");
        let pointer = format!("wavelog_worker {name} --help").replace("  ", " ");
        assert!(short.contains(&pointer), "{short}");
    }
}

#[test]
fn mistakes_are_exit_2_and_name_what_was_probably_meant() {
    for (arguments, words) in [
        (&["stauts"][..], "'status'"),
        (&["status", "--jsno"], "'--json'"),
        (&["publish"], "<TOPIC>"),
        (&["completions", "tcsh"], "invalid value 'tcsh'"),
        (&["--config", "a", "--config", "b", "check"], "--config"),
        (&["--config", "a", "check", "--config", "b"], "--config is given twice"),
        (&["-config", "a", "check", "-config=b"], "--config is given twice"),
        (&["--config", "a", "demo"], "demo reads no configuration"),
        (&["demo", "--config=a"], "demo reads no configuration"),
        (&["man", "--config", "a"], "man reads no configuration"),
    ] {
        let said = misused(arguments);
        assert!(said.starts_with("error: "), "{said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn a_failure_is_one_line_that_begins_with_error() {
    for arguments in [&["serve"][..], &["status"], &["health"], &["publish", "a", "1"]] {
        let mut command = command();
        let directory = TempDir::new().unwrap();
        command.current_dir(directory.path()).args(arguments);
        command.env("WORKER_INTERNAL_PORT", "1");
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();

        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with("error: "), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let worker = Worker::start();
    let asked = format!("status --internal http://{}", worker.internal);
    for line in ["--help", "check", "stauts", "token --topic", asked.as_str()] {
        let coloured = on_a_terminal(line, &[]);
        let plain = on_a_terminal(line, &[("NO_COLOR", "1")]);

        assert!(coloured.contains('\u{1b}'), "{line}: {coloured}");
        assert!(!plain.contains('\u{1b}'), "{line}: {plain}");
    }
    for arguments in [&["--help"][..], &["check"], &["stauts"], &["doctor", "--quick"]] {
        let mut command = command();
        command.args(arguments).env("WORKER_SECRET", SECRET);
        let piped = command.output().unwrap();
        let forced = command.env("CLICOLOR_FORCE", "1").output().unwrap();

        let has_colours =
            |output: &Output| output.stdout.contains(&0x1b) || output.stderr.contains(&0x1b);
        assert!(!has_colours(&piped), "{arguments:?}");
        assert!(has_colours(&forced), "{arguments:?}");
    }
}

#[test]
fn who_waits_at_a_terminal_sees_what_for() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();

    let screen = on_a_terminal(&format!("status --internal http://{address}"), &[]);

    assert!(screen.contains(&format!("waiting for {address}")), "{screen}");
    assert!(screen.contains("did not answer within 5 s"), "{screen}");
}

#[test]
fn an_error_at_the_start_is_a_line_of_the_log_if_that_is_json() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let start = |variables: &[(&str, &str)]| {
        let directory = TempDir::new().unwrap();
        let mut command = command();
        command.current_dir(directory.path()).arg("serve").env("WORKER_LOG_FORMAT", "json");
        command.env("WORKER_WS_BIND", "127.0.0.1").envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        let last = text.lines().last().unwrap().to_owned();
        for line in text.lines() {
            serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        }
        serde_json::from_str::<Value>(&last).unwrap()
    };

    let without_secret = start(&[]);
    let bad_value = start(&[("WORKER_SECRET", SECRET), ("WORKER_TOPIC_TTL", "24")]);
    let port_taken = start(&[("WORKER_SECRET", SECRET), ("WORKER_WS_PORT", &port)]);

    for (line, words) in [
        (without_secret, "WORKER_SECRET"),
        (bad_value, "topic_ttl"),
        (port_taken, "address already in use"),
    ] {
        assert_eq!(line["level"], "ERROR");
        assert_eq!(line["message"], "the worker cannot run");
        assert!(line["why"].as_str().unwrap().contains(words), "{line}");
        assert!(line["timestamp"].is_string());
    }
}

#[test]
fn there_is_a_manual_page_for_every_command_and_groff_finds_nothing_wrong() {
    let directory = TempDir::new().unwrap();
    let pages = directory.path().join("man1");

    assert_eq!(good(&["man", pages.to_str().unwrap()]), "");

    for command in commands() {
        let name = [vec!["wavelog_worker".to_owned()], command].concat().join("-");
        let path = pages.join(format!("{name}.1"));
        let groff = Command::new("groff")
            .args(["-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=90n"])
            .arg(&path)
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&groff.stderr);
        assert!(groff.status.success() && complaints.is_empty(), "{name}: {complaints}");
        let page = String::from_utf8(groff.stdout).unwrap();
        let headings =
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES", "SEE ALSO"];
        for heading in headings {
            assert!(page.lines().any(|line| line.contains(heading)), "{name} has no {heading}");
        }
        let first = fs::read_to_string(&path).unwrap();
        assert!(first.starts_with(&format!(".TH {} 1 ", name.to_uppercase())), "{first}");
    }
}

#[test]
fn the_page_of_the_program_has_every_variable_and_is_printed_without_a_directory() {
    let page = good(&["man"]);
    let keys = good_check();

    assert!(page.starts_with(".TH WAVELOG_WORKER 1 "), "{page}");
    for key in keys {
        assert!(page.contains(&key.replace('_', "\\_")) || page.contains(&key), "{key}");
    }
    for word in ["WORKER_SECRET", "WORKER_REDIS_URL", "NO_COLOR", "config.yaml"] {
        assert!(page.contains(word), "{word}");
    }
}

/// The names of all keys, as `check` lists them.
fn good_check() -> Vec<String> {
    let output = command().arg("check").env("WORKER_SECRET", SECRET).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().filter(|line| line.contains("  (") && !line.contains(": "));
    rows.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let output = run(&["man", "/dev/null/man"]);

    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: /dev/null/man: cannot be written: "), "{said}");
}

#[test]
fn completions_are_scripts_that_their_shells_take() {
    let directory = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = good(&["completions", shell]);
        for name in ["serve", "status", "completions", "--config"] {
            assert!(script.contains(name.trim_start_matches('-')), "{shell}: {name}");
        }
    }
    let path = directory.path().join("wavelog_worker.bash");
    fs::write(&path, good(&["completions", "bash"])).unwrap();

    let completed = |line: &[&str]| {
        let try_it = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _wavelog_worker {} {} ''; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            path.display(),
            line.join(" "),
            line.len() - 1,
            line[0],
            line[line.len() - 1],
        );
        let output = Command::new("bash").args(["--norc", "-c", &try_it]).output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };

    assert_eq!(completed(&["wavelog_worker", "sta"]), ["status"]);
    assert_eq!(completed(&["wavelog_worker", "health", "--l"]), ["--live"]);
}
