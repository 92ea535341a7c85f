//! The house rules that a compiler does not check: direction of imports, proofs that exist,
//! files that every reader expects, no paths of somebody's machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which modules each module may import, beside itself and [`PLAIN`]. As in ARCHITECTURE.md:
/// imports point downwards, peers never import each other. A new module is added here and there.
#[rustfmt::skip]
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &[
        "app", "bench", "demo", "doctor", "client", "telemetry", "token", "protocol", "topic",
        "secret",
    ]),
    // Goes the way of PHP and of browsers, and to Redis as the worker does.
    ("doctor", &["client", "redis", "token", "protocol", "secret"]),
    // A client of workers in other processes; it shares the formats, not the engine.
    ("bench", &["client", "token", "protocol", "topic", "secret"]),
    // A program as `serve` is one: it runs an app and is its first client.
    ("demo", &[
        "app", "ws", "client", "telemetry", "token", "protocol", "topic", "secret",
    ]),
    ("app", &[
        "telemetry", "api", "ws", "admin", "broker", "registry", "cluster", "redis", "hub",
        "link", "token", "protocol", "topic", "secret",
    ]),
    ("api", BELOW_THE_DOORS),
    ("ws", BELOW_THE_DOORS),
    ("admin", BELOW_THE_DOORS),
    ("client", &["protocol", "secret"]),
    ("broker", &[
        "registry", "cluster", "redis", "hub", "link", "token", "protocol", "topic", "secret",
    ]),
    ("registry", &["redis", "protocol", "topic"]),
    ("cluster", &["redis", "hub", "protocol", "topic", "secret"]),
    ("hub", &["link", "protocol", "topic"]),
    ("link", &["protocol"]),
    ("redis", &["secret"]),
    ("telemetry", &[]),
    ("config", &["secret", "topic"]),
    ("body", &[]),
    ("clock", &[]),
    ("client_addr", &[]),
    ("listener", &[]),
    ("metrics", &[]),
    ("problems", &[]),
    ("process", &[]),
    ("shutdown", &[]),
    ("status", &[]),
    ("token", &["secret", "protocol", "topic"]),
    ("protocol", &["topic"]),
    ("secret", &[]),
    ("topic", &[]),
];

/// What the ways in may import: the broker, and the values that are handed through it.
const BELOW_THE_DOORS: &[&str] =
    &["broker", "registry", "hub", "link", "token", "protocol", "topic", "secret"];

/// The ways in: they reach registry and hub through the broker alone.
const DOORS: &[&str] = &["api", "ws", "admin"];

/// Plain parts without a meaning of their own, which every layer above the pure core may import.
const PLAIN: &[&str] = &[
    "body",
    "config",
    "metrics",
    "problems",
    "shutdown",
    "status",
    "clock",
    "client_addr",
    "listener",
    "process",
];

/// No tokio, no clock, no input or output.
const PURE: &[&str] = &["topic", "secret", "token", "protocol"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `directory` whose name ends in `.rs`.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The module of `src` to which a file belongs: the first part of its path.
fn module(file: &Path) -> String {
    let relative = file.strip_prefix(root().join("src")).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file: without comments, and without the unit tests at its end or all over it.
fn code(file: &Path) -> String {
    let below_src = file.strip_prefix(root().join("src")).unwrap().with_extension("");
    if below_src.iter().any(|part| part == "tests") {
        return String::new();
    }
    let text = fs::read_to_string(file).unwrap();
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let without_comment = |line: &str| line.split("//").next().unwrap().to_owned() + "\n";
    text[..end].lines().map(without_comment).collect()
}

/// The modules that `code` names in paths of this crate, in groups as well.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for start in ["crate::", "wavelog_worker::"] {
        for (at, _) in code.match_indices(start) {
            let rest = &code[at + start.len()..];
            if rest.starts_with('{') {
                found.extend(group(rest));
            } else {
                found.insert(name(rest));
            }
        }
    }
    found.remove("");
    found
}

/// The first names in a group of imports, `{a, b::{c, d}, e}`.
fn group(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(letter, '{' | ',') {
            names.push(name(text[at + 1..].trim_start()));
        }
    }
    names
}

fn name(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

#[test]
fn imports_point_downwards() {
    let mut wrong = Vec::new();
    for file in rust_files(&root().join("src")) {
        let module = module(&file);
        // The map of the crate declares its modules and imports none.
        if module == "lib" || module == "bin" {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            panic!("module {module} is not in the table of tests/it/tidy.rs");
        };
        let core = PURE.contains(&module.as_str());
        for import in imports(&code(&file)) {
            let known = MAY_IMPORT.iter().any(|(name, _)| *name == import);
            // Macros and the like, which are exported at the root of the crate.
            if !known || import == module {
                continue;
            }
            let plain = !core && PLAIN.contains(&import.as_str());
            if !plain && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{} imports {import}", file.display()));
            }
        }
    }

    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_broker_is_the_only_door() {
    let engines = ["hub::Hub", "registry::Registry", "cluster::Cluster"];
    let mut wrong = Vec::new();
    for file in rust_files(&root().join("src")) {
        if DOORS.contains(&module(&file).as_str()) {
            let code = code(&file);
            for engine in engines.into_iter().filter(|engine| code.contains(engine)) {
                wrong.push(format!("{} uses {engine}", file.display()));
            }
        }
    }

    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reader_of_imports_sees_them_all() {
    let text = "use crate::hub::Hub;\nuse crate::{topic::Topic, token::{self, Claims},\n secret};\
                fn f() { crate::broker::new() }";

    let found: Vec<String> = imports(text).into_iter().collect();

    assert_eq!(found, ["broker", "hub", "secret", "token", "topic"]);
}

#[test]
fn the_pure_core_has_no_tokio_no_clock_and_no_input_or_output() {
    let banned = ["tokio", "SystemTime", "Instant::", "std::fs", "std::net", "std::io", "std::env"];
    let mut wrong = Vec::new();
    for file in rust_files(&root().join("src")) {
        if PURE.contains(&module(&file).as_str()) {
            let code = code(&file);
            for word in banned.into_iter().filter(|word| code.contains(word)) {
                wrong.push(format!("{} uses {word}", file.display()));
            }
        }
    }

    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn main_is_short() {
    let text = fs::read_to_string(root().join("src/main.rs")).unwrap();

    assert!(text.lines().count() < 100);
}

#[test]
fn every_test_that_the_protocol_names_as_a_proof_exists() {
    let protocol = fs::read_to_string(root().join("docs/protocol.md")).unwrap();
    let files = [rust_files(&root().join("src")), rust_files(&root().join("tests"))].concat();
    let sources: Vec<(PathBuf, String)> =
        files.into_iter().map(|file| (file.clone(), fs::read_to_string(file).unwrap())).collect();

    let proofs: BTreeSet<&str> = protocol
        .lines()
        .filter(|line| line.trim_start().starts_with('|'))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|word| is_test_path(word))
        .collect();
    let missing: Vec<&&str> = proofs.iter().filter(|proof| !exists(proof, &sources)).collect();

    assert!(!proofs.is_empty(), "docs/protocol.md names no proof");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Whether `word` is a path like `it::api::name` or `token::tests::name`.
fn is_test_path(word: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    let names_a_test = word.starts_with("it::") || word.contains("::tests::");
    names_a_test && word.chars().all(plain)
}

/// Whether a test of this path stands in the file that the path names.
fn exists(proof: &str, sources: &[(PathBuf, String)]) -> bool {
    let parts: Vec<&str> = proof.split("::").collect();
    let (test, modules) = parts.split_last().unwrap();
    let function = format!("fn {test}(");
    let place = match modules {
        ["it", module, ..] => format!("tests/it/{module}"),
        [module, ..] => format!("src/{module}"),
        [] => return false,
    };
    let place = root().join(place);
    let in_place = |file: &Path| file.starts_with(&place) || file.with_extension("") == place;
    sources.iter().any(|(file, text)| in_place(file) && text.contains(&function))
}

/// The files that git tracks, or nothing in a copy without git.
fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git").arg("-C").arg(root()).args(["ls-files", "-z"]).output();
    let Ok(output) = output else {
        return Vec::new();
    };
    let names = String::from_utf8(output.stdout).unwrap();
    names.split('\0').filter(|name| !name.is_empty()).map(|name| root().join(name)).collect()
}

#[test]
fn no_tracked_file_names_a_path_of_somebodys_machine() {
    // Put together here, so that this file does not name them.
    let banned = ["work", "root", "home"].map(|name| format!("/{name}/"));
    let outside = format!("../{}/", "shared");
    let mut wrong = Vec::new();
    for file in tracked() {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            let absolute = banned.iter().any(|path| has_absolute(line, path));
            if absolute || line.contains(&outside) {
                wrong.push(format!("{}:{}: {line}", file.display(), number + 1));
            }
        }
    }

    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether `line` has `path` in it, not as the end of a longer path or of a URL.
fn has_absolute(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric() && !"/.-_~}".contains(letter))
    })
}

#[test]
fn every_module_has_one_row_in_the_map_and_nothing_else_has() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = page.split("| module | what it is | imports |\n").nth(1).expect("the table");
    let rows = rows.split("\n\n").next().unwrap();
    let cells = rows.lines().filter_map(|row| row.strip_prefix("| ")?.split(" | ").next());
    let mut listed: Vec<&str> = cells.flat_map(|cell| cell.split(", ")).collect();
    listed.sort_unstable();
    let modules = MAY_IMPORT.iter().map(|(name, _)| *name).filter(|name| *name != "main");
    let mut modules: Vec<String> = modules.map(|name| format!("`{name}`")).collect();
    modules.sort_unstable();

    assert_eq!(listed, modules, "the table of ARCHITECTURE.md is not that of tests/it/tidy.rs");
}

#[test]
fn the_files_that_every_reader_expects_are_there() {
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "LICENSE",
        "Makefile",
        "config.sample.yaml",
        "docs/protocol.md",
        "contract/README.md",
        ".ci/run",
    ] {
        let length = fs::metadata(root().join(name)).map_or(0, |file| file.len());
        assert!(length > 0, "{name} is missing or empty");
    }
}

#[test]
fn the_changelog_has_a_section_for_what_is_unreleased() {
    let text = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();

    assert!(text.lines().any(|line| line.trim() == "## [Unreleased]"));
}
