//! `man` and `completions`: what packages install beside the program, made by the program itself.
//!
//! Options come from the same definitions as the help, examples and exit codes from [`help`], the
//! environment from the keys of the configuration. Start reading at [`man`].

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, ValueEnum};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::help::{self, PAGES, Page};
use crate::config::keys;
use crate::status::VERSION;

/// The name of the program.
const PROGRAM: &str = "wavelog_worker";

/// Variables that are no keys of the configuration.
const OTHER_VARIABLES: [(&str, &str); 3] = [
    ("WORKER_TOKEN", "The token that listen shows, instead of one made with the secret."),
    ("NO_COLOR", "If it is set and not empty, nothing is coloured."),
    ("CLICOLOR_FORCE", "If it is set and not 0, help and tables are coloured in a pipe, too."),
];

/// A shell whose completions can be had.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Shell {
    // Without doc comments, which would make three lines of help of each.
    Bash,
    Zsh,
    Fish,
}

/// The script that completes the commands of `program` in `shell`.
pub(super) fn completions(mut program: Command, shell: Shell) -> Vec<u8> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, PROGRAM, &mut script);
    script
}

/// Writes the manual pages of `program` and its commands into `directory`, which is made if need
/// be; without one, returns the page of the program.
///
/// # Errors
///
/// One line that says what could not be written.
pub(super) fn man(program: Command, directory: Option<&Path>) -> Result<Vec<u8>, String> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let failed = |error: io::Error| format!("the manual page cannot be written: {error}");
    let Some(directory) = directory else {
        let mut page = Vec::new();
        write_page(&program, help::page(""), &mut page).map_err(failed)?;
        return Ok(page);
    };
    let cannot = |path: &Path, error: io::Error| {
        format!("{}: cannot be written: {error}; name a directory of yours", path.display())
    };
    fs::create_dir_all(directory).map_err(|error| cannot(directory, error))?;
    let shown = program.get_subcommands().filter(|command| !command.is_hide_set());
    for (command, page) in shown
        .map(|command| (command, help::page(command.get_name())))
        .chain([(&program, help::page(""))])
    {
        let mut text = Vec::new();
        write_page(command, page, &mut text).map_err(failed)?;
        let path = directory.join(Man::new(command.clone()).get_filename());
        fs::write(&path, text).map_err(|error| cannot(&path, error))?;
    }
    Ok(Vec::new())
}

fn write_page(command: &Command, page: Option<&Page>, out: &mut dyn Write) -> io::Result<()> {
    let is_program = command.get_name() == PROGRAM;
    let man = Man::new(command.clone());
    let name = command.get_display_name().unwrap_or(PROGRAM);
    // By hand: the crate leaves an empty date away, and what follows takes its place.
    writeln!(out, r#".TH {} 1 "" "{PROGRAM} {VERSION}" "{PROGRAM}""#, name.to_uppercase())?;
    let mut text = Roff::new();
    text.control("SH", ["NAME"]);
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    text.text([roman(format!("{name} - {}", about.trim_end_matches('.')))]);
    text.control("SH", ["SYNOPSIS"]);
    let usage = command.clone().render_usage().to_string();
    text.text([bold(usage.trim_start_matches("Usage: "))]);
    text.control("SH", ["DESCRIPTION"]);
    let Some(page) = page else {
        return text.to_writer(out);
    };
    let notes = page.notes.replace('\n', " ");
    let notes = Some(notes.as_str()).filter(|notes| !notes.is_empty() && !is_program);
    for (index, paragraph) in page.description.iter().copied().chain(notes).enumerate() {
        if index > 0 {
            text.control("PP", []);
        }
        text.text([roman(paragraph)]);
    }
    text.to_writer(out)?;
    man.render_options_section(out)?;
    if is_program {
        man.render_subcommands_section(out)?;
    }
    let mut text = Roff::new();
    exit_status(&mut text, page);
    if is_program {
        environment(&mut text);
        files(&mut text);
    }
    examples(&mut text, page);
    see_also(&mut text, page);
    text.to_writer(out)
}

fn exit_status(text: &mut Roff, page: &Page) {
    let failed = match page.exit_1 {
        "" => "It failed. One line on standard error says why and what to do.",
        special => special,
    };
    text.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in [
        ("0", "It is done; also a worker that was told to end."),
        ("1", failed),
        ("2", "The arguments are wrong."),
    ] {
        tagged(text, code, meaning);
    }
}

fn environment(text: &mut Roff) {
    text.control("SH", ["ENVIRONMENT"]);
    text.text([roman(
        "Each variable goes over the key of the configuration file that stands with it. An empty one counts as not set.",
    )]);
    for key in keys::ALL {
        let default = match key.default {
            "" => String::new(),
            default => format!(" Default: {default}."),
        };
        let meaning = format!("{}: {}{default}", key.name, plain(key.meaning));
        tagged(text, key.env, &meaning);
    }
    for (name, meaning) in OTHER_VARIABLES {
        tagged(text, name, meaning);
    }
}

fn files(text: &mut Roff) {
    text.control("SH", ["FILES"]);
    for (name, meaning) in [
        (
            "config.yaml",
            "The configuration, in the working directory, unless --config names another file. Nobody but the worker's user should be able to read it: it holds the secret.",
        ),
        (
            "/etc/wavelog_worker/config.yaml",
            "The configuration of the service. Tools such as status and doctor read it where neither config.yaml nor WORKER_SECRET is there.",
        ),
    ] {
        tagged(text, name, meaning);
    }
}

fn examples(text: &mut Roff, page: &Page) {
    text.control("SH", ["EXAMPLES"]);
    for (index, (line, remark)) in page.examples.iter().enumerate() {
        if index > 0 {
            text.control("PP", []);
        }
        if !remark.is_empty() {
            let colon = if remark.ends_with('?') { "" } else { ":" };
            text.text([roman(format!("{remark}{colon}"))]);
        }
        text.control("RS", ["4"]);
        text.control("nf", []);
        text.text([bold(*line)]);
        text.control("fi", []);
        text.control("RE", []);
    }
}

fn see_also(text: &mut Roff, page: &Page) {
    text.control("SH", ["SEE ALSO"]);
    let others = PAGES.iter().filter(|other| other.name != page.name);
    let mut names = Vec::new();
    for other in others {
        if !names.is_empty() {
            names.push(roman(", "));
        }
        names.push(bold(match other.name {
            "" => PROGRAM.to_owned(),
            name => format!("{PROGRAM}-{name}"),
        }));
        names.push(roman("(1)"));
    }
    text.text(names);
}

fn tagged(text: &mut Roff, tag: &str, meaning: &str) {
    text.control("TP", []);
    text.text([if tag.contains('.') { italic(tag) } else { bold(tag) }]);
    text.text([roman(meaning)]);
}

/// Markdown without its marks: the text of links, and of code.
fn plain(markdown: &str) -> String {
    let mut plain = String::new();
    let mut rest = markdown;
    while let Some((before, link)) = rest.split_once('[') {
        plain.push_str(before);
        match link
            .split_once("](")
            .and_then(|(text, behind)| Some((text, behind.split_once(')')?.1)))
        {
            Some((text, behind)) if !text.contains(']') => {
                plain.push_str(text);
                rest = behind;
            }
            _ => {
                plain.push('[');
                rest = link;
            }
        }
    }
    plain.push_str(rest);
    plain.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meaning_is_shown_without_marks() {
        assert_eq!(plain("see [pages](x.md#y) of `a`, `[]` or [b"), "see pages of a, [] or [b");
    }
}
