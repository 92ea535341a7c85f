//! What the manual shows beside commands is right as well: configuration of the worker by its own
//! `check`, that of proxies by the proxies, PHP and JavaScript by their parsers, JSON by ours.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{Block, Item, Page, SECRET};

/// What may stand behind a fence; a new one is added here, and to what is checked if it can be.
const LANGUAGES: [&str; 13] = [
    "", "sh", "yaml", "json", "php", "js", "html", "nginx", "apache", "haproxy", "caddy", "ini",
    "text",
];

/// Every block of `language` with its place. What a comment `fragment` stands above is left out: it
/// is a part of something.
fn blocks(language: &str) -> Vec<(String, Block)> {
    let mut found = Vec::new();
    for page in Page::all() {
        let mut is_fragment = false;
        for item in page.items() {
            match item {
                Item::Comment(comment) => is_fragment = comment.text.trim() == "fragment",
                Item::Block(block) => {
                    if block.language == language && !is_fragment {
                        found.push((format!("{}:{}", page.path, block.line), block));
                    }
                    is_fragment = false;
                }
            }
        }
    }
    assert!(!found.is_empty(), "no page shows {language}");
    found
}

/// Writes `text` to a file called `name`, and asks `program` about it.
fn ask(name: &str, text: &str, program: &[&str]) -> Output {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, text).unwrap();
    Command::new(program[0])
        .args(&program[1..])
        .arg(file)
        .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap()))
        .env("HOME", folder.path())
        .env("WORKER_SECRET", SECRET)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program[0]))
}

fn assert_good(place: &str, output: &Output) {
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{place}: {} {}", said[0], said[1]);
}

#[test]
fn every_block_says_in_which_language_it_is() {
    for page in Page::all() {
        for block in page.blocks() {
            let known = LANGUAGES.contains(&block.language.as_str());
            assert!(known, "{}:{}: {}", page.path, block.line, block.language);
        }
    }
}

#[test]
fn every_configuration_of_the_worker_is_accepted_without_a_word() {
    let check = [env!("CARGO_BIN_EXE_wavelog_worker"), "check", "--config"];
    for (place, block) in blocks("yaml") {
        if block.file.is_some() {
            continue; // A file of somebody else.
        }

        let output = ask("config.yaml", &block.text, &check);

        assert_good(&place, &output);
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = said.lines().find(|line| line.contains("unknown key"));
        assert_eq!(complaint, None, "{place}");
    }
}

#[test]
fn every_json_is_json() {
    for (place, block) in blocks("json") {
        let parsed = serde_json::from_str::<serde_json::Value>(&block.text);
        assert!(parsed.is_ok(), "{place}: {parsed:?}");
    }
}

#[test]
fn every_php_can_be_parsed() {
    for (place, block) in blocks("php") {
        let whole = match block.text.contains("<?") {
            true => block.text,
            false => format!("<?php\n{}", block.text),
        };
        assert_good(&place, &ask("page.php", &whole, &["php", "-l"]));
    }
}

#[test]
fn every_javascript_can_be_parsed() {
    for (place, block) in blocks("js") {
        assert_good(&place, &ask("page.mjs", &block.text, &["node", "--check"]));
    }
    for (place, block) in blocks("html") {
        for script in block.text.split("<script>").skip(1) {
            let script = script.split("</script>").next().unwrap();
            // What a template puts in stands in quotes.
            assert_good(&place, &ask("page.mjs", script, &["node", "--check"]));
        }
    }
}

#[test]
fn every_nginx_configuration_is_accepted_by_nginx() {
    for (place, block) in blocks("nginx") {
        if block.file.is_some() {
            continue; // Its page is played with it.
        }
        let text = format!(
            "pid /dev/null;\nevents {{}}\nhttp {{\naccess_log off;\nserver {{\nlisten 127.0.0.1:8080;\n\
             {}\n}}\n}}\n",
            block.text
        );
        let output = ask("nginx.conf", &text, &["nginx", "-t", "-e", "/dev/null", "-c"]);
        assert_good(&place, &output);
    }
}

#[test]
fn every_apache_configuration_is_accepted_by_apache() {
    for (place, block) in blocks("apache") {
        let modules = ["mpm_event", "authz_core", "proxy", "proxy_http"].map(|name| {
            format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
        });
        let text = format!(
            "ServerRoot /tmp\nErrorLog /dev/stderr\nServerName localhost\nListen 127.0.0.1:8080\n{}\
             <VirtualHost *:8080>\n{}</VirtualHost>\n",
            modules.concat(),
            block.text
        );
        assert_good(&place, &ask("apache.conf", &text, &["apache2", "-t", "-f"]));
    }
}

#[test]
fn every_haproxy_configuration_is_accepted_by_haproxy() {
    let php = "\nbackend php\n    mode http\n    timeout connect 1s\n    timeout server 10s\n    \
               server php 127.0.0.1:8081\n";
    for (place, block) in blocks("haproxy") {
        let output = ask("haproxy.cfg", &(block.text + php), &["haproxy", "-c", "-f"]);
        assert_good(&place, &output);
    }
}

#[test]
fn every_caddyfile_is_accepted_by_caddy() {
    let validate = ["caddy", "validate", "--adapter", "caddyfile", "--config"];
    for (place, block) in blocks("caddy") {
        assert_good(&place, &ask("Caddyfile", &block.text, &validate));
    }
}

#[test]
fn the_programs_that_judge_do_judge() {
    let wrong = ask("page.php", "<?php if (", &["php", "-l"]);
    let unknown = ask("nginx.conf", "nonsense;", &["nginx", "-t", "-e", "/dev/null", "-c"]);

    assert!(!wrong.status.success());
    assert!(!unknown.status.success());
    assert!(Path::new("/usr/lib/apache2/modules/mod_proxy_http.so").is_file());
}
