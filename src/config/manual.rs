//! The table of keys in `docs/configuration.md`, made from [`keys::ALL`] so that it cannot be wrong.
//!
//! `make docs-tables` writes it; the test fails when that has been forgotten. It is compiled for
//! tests alone.

use super::keys::{self, Kind};

/// What stands before and behind the table in the page.
const BEGIN: &str = "<!-- The table is made from src/config/keys.rs by `make docs-tables`. -->\n";
const END: &str = "<!-- The table ends here. -->\n";

/// The table, in Markdown.
fn table() -> String {
    let mut table =
        "\n| key, environment variable | default | meaning |\n|---|---|---|\n".to_owned();
    for key in keys::ALL {
        let default = match key.default {
            "" if key.kind == Kind::Secret => "none".to_owned(),
            "" => "empty".to_owned(),
            default => format!("`{default}`"),
        };
        let (name, env, meaning) = (key.name, key.env, key.meaning);
        table.push_str(&format!("| `{name}`<br>`{env}` | {default} | {meaning} |\n"));
    }
    table + "\n"
}

/// `page` with the table as it should be, or nothing without its marks.
fn with_table(page: &str) -> Option<String> {
    let start = page.find(BEGIN)? + BEGIN.len();
    let end = start + page[start..].find(END)?;
    Some(format!("{}{}{}", &page[..start], table(), &page[end..]))
}

mod tests {
    use std::{env, fs};

    use super::*;

    #[test]
    fn the_table_of_the_manual_is_what_the_keys_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md");
        let page = fs::read_to_string(path).unwrap();
        let right = with_table(&page).expect("docs/configuration.md has the marks of the table");

        if env::var_os("UPDATE_DOCS").is_some() {
            fs::write(path, right).unwrap();
        } else {
            assert!(page == right, "the table of keys is not up to date: make docs-tables");
        }
    }

    #[test]
    fn every_key_has_a_meaning_that_is_a_sentence_and_fits_into_a_cell() {
        for key in keys::ALL {
            let (name, meaning) = (key.name, key.meaning);
            assert!(meaning.ends_with('.'), "{name}: .means(\"…\") is missing or no sentence");
            assert!(!meaning.contains(['|', '\n']), "{name}");
        }
    }
}
