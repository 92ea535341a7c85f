//! `docs/operations.md` explains every line that a running worker may log, every reason for which
//! a login is refused, and every close code, `docs/doctor.md` every step of the doctor; and nothing
//! that does not exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Page, root};

/// Programs of their own beside the worker: what they log is said to whoever started them.
const NOT_THE_WORKER: [&str; 2] = ["src/demo/", "src/bench/"];

/// A message that the program puts together, and the row that stands for it.
const PUT_TOGETHER: [(&str, &str); 2] = [
    ("{problem}", "a line at the start about a key, the secret,"),
    ("{risk}", "a line at the start about a key, the secret,"),
];

/// The first cells of the table below the heading `## title`.
fn rows(page: &Page, title: &str) -> Vec<String> {
    let start = page.text.find(&format!("\n## {title}\n")).expect(title) + 4;
    let section = page.text[start..].split("\n## ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| "));
    cells.skip(1).map(|line| line.split(" | ").next().unwrap().to_owned()).collect()
}

/// What stands in the first pair of backticks, else the whole text.
fn message(cell: &str) -> &str {
    cell.split('`').nth(usize::from(cell.starts_with('`'))).unwrap()
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The messages of all calls of `warn!`, `error!` and `info!` in the worker, with their places.
fn logged() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in sources(&root().join("src")) {
        let name = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if NOT_THE_WORKER.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for call in ["warn!(", "error!(", "info!("] {
            for (at, _) in code.match_indices(call) {
                let before = code[..at].rsplit('\n').next().unwrap();
                if before.contains("//") {
                    continue;
                }
                found.push((message_of(&code[at + call.len()..]), name.clone()));
            }
        }
    }
    found
}

/// The last text among the arguments of a macro, put together if it has several lines. A text that
/// is a constant's name is looked up.
fn message_of(arguments: &str) -> String {
    let arguments = up_to_the_end(arguments);
    if arguments.contains("CANNOT_ACCEPT") {
        let listener = fs::read_to_string(root().join("src/listener.rs")).unwrap();
        let rest = listener.split("CANNOT_ACCEPT: &str = \"").nth(1).unwrap().to_owned();
        return rest.split('"').next().unwrap().to_owned();
    }
    let text = arguments.rsplit('"').nth(1).expect("a message");
    let lines = text.split("\\\n").enumerate();
    lines.map(|(number, line)| if number == 0 { line } else { line.trim_start() }).collect()
}

/// The arguments of a macro up to the bracket that closes them; those in texts do not count.
fn up_to_the_end(code: &str) -> &str {
    let mut depth = 0;
    let mut is_text = false;
    for (at, letter) in code.char_indices() {
        match letter {
            '"' => is_text = !is_text,
            '(' if !is_text => depth += 1,
            ')' if !is_text && depth == 0 => return &code[..at],
            ')' if !is_text => depth -= 1,
            _ => {}
        }
    }
    panic!("a macro does not end: {code}")
}

#[test]
fn every_line_of_the_log_is_explained_and_every_explained_line_exists() {
    let page = Page::read("docs/operations.md");
    let mut known = rows(&page, "Log lines that ask for action");
    known.extend(rows(&page, "Log lines that only tell"));
    let known: Vec<&str> = known.iter().map(|cell| message(cell)).collect();
    let logged = logged();
    let mut used = BTreeSet::new();
    let mut missing = Vec::new();
    for (message, file) in &logged {
        let wanted = PUT_TOGETHER.iter().find(|(text, _)| text == message);
        let wanted = wanted.map_or(message.as_str(), |(_, row)| *row);
        match known.iter().find(|row| **row == wanted || row.starts_with(wanted)) {
            Some(row) => drop(used.insert(*row)),
            None => missing.push(format!("{file}: {message}")),
        }
    }
    let gone: Vec<_> = known.iter().filter(|row| !used.contains(*row)).collect();

    assert!(logged.len() > 25, "{logged:#?}");
    assert!(missing.is_empty(), "docs/operations.md has no row for these lines: {missing:#?}");
    assert!(gone.is_empty(), "docs/operations.md explains lines that nobody logs: {gone:#?}");
}

#[test]
fn no_line_of_the_log_is_explained_twice() {
    let page = Page::read("docs/operations.md");
    let mut explained = rows(&page, "Log lines that ask for action");
    explained.extend(rows(&page, "Log lines that only tell"));
    let once: BTreeSet<&str> = explained.iter().map(|cell| message(cell)).collect();

    assert_eq!(once.len(), explained.len(), "docs/operations.md: {explained:#?}");
}

#[test]
fn the_page_of_the_doctor_has_every_step_once() {
    let source = fs::read_to_string(root().join("src/doctor/finding.rs")).unwrap();
    let titles = source.split("fn title(self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
    let mut titles: Vec<&str> = titles.split('"').skip(1).step_by(2).collect();
    let rows = rows(&Page::read("docs/doctor.md"), "What it tests");
    let mut explained: Vec<&str> = rows.iter().flat_map(|cell| cell.split(", ")).collect();
    titles.sort_unstable();
    explained.sort_unstable();

    assert!(titles.len() > 25, "{titles:?}");
    assert_eq!(explained, titles);
}

/// The texts of all variants of the error types in `file`.
fn errors(file: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let texts = text.split("#[error(\"").skip(1);
    texts.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn every_reason_for_which_a_login_is_refused_is_explained() {
    let page = Page::read("docs/operations.md");
    let rows = rows(&page, "Refused logins");
    let explained: BTreeSet<&str> = rows.iter().map(|cell| message(cell)).collect();
    // The first two are why a publish is refused.
    let reasons: Vec<String> =
        [errors("src/token.rs"), errors("src/broker.rs").split_off(2)].concat();
    let reasons: BTreeSet<String> =
        reasons.iter().map(|reason| reason.replace("{late_secs}", "…")).collect();

    assert!(
        explained.iter().copied().eq(reasons.iter().map(String::as_str)),
        "{explained:?} {reasons:?}"
    );
}

#[test]
fn every_close_code_is_explained_in_the_manual_and_in_the_protocol() {
    let source = fs::read_to_string(root().join("src/protocol/close.rs")).unwrap();
    let codes: BTreeSet<&str> = source
        .split("Self::")
        .filter_map(|arm| arm.split_once(" => ")?.1.split_once(','))
        .map(|(code, _)| code)
        .filter(|code| code.len() == 4 && code.bytes().all(|byte| byte.is_ascii_digit()))
        .collect();
    let manual = rows(&Page::read("docs/operations.md"), "Close codes");
    let protocol = rows(&Page::read("docs/protocol.md"), "Close codes");

    assert!(codes.len() >= 8, "{codes:?}");
    for code in &codes {
        assert!(manual.iter().any(|row| row == code), "docs/operations.md has no {code}");
        assert!(protocol.iter().any(|row| row == code), "docs/protocol.md has no {code}");
    }
    for row in &manual {
        // The browser's own word for a line that was cut.
        assert!(codes.contains(row.as_str()) || row == "1006", "nobody closes with {row}");
    }
}
