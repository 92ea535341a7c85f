//! Dockerfile, compose files, Kubernetes resources and package metadata agree with the worker: its
//! ports, its variables, the paths it answers, its commands; and what they name is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use saphyr::{LoadableYamlNode, Yaml};

use crate::support::{Worker, command};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a file.
fn yaml(path: &str) -> Vec<Yaml<'static>> {
    Yaml::load_from_str(&text(path).leak()[..]).unwrap()
}

/// Every file below `directory` with this ending.
fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let path = entry.unwrap().path();
        let relative = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(files(&relative, ending));
        } else if relative.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// The default of a key, as the sample of the configuration has it.
fn default_of(key: &str) -> String {
    let sample = text("config.sample.yaml");
    let line = sample.lines().find_map(|line| line.strip_prefix(&format!("{key}: ")));
    line.unwrap().trim_matches('"').to_owned()
}

/// The names of all variables that the worker knows.
fn variables() -> BTreeSet<String> {
    let sample = text("config.sample.yaml");
    let keys = sample.lines().filter_map(|line| line.split_once(':')).map(|(key, _)| key);
    let keys =
        keys.filter(|key| key.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'));
    let variable = |key: &str| match key {
        "worker_secret" => "WORKER_SECRET".to_owned(),
        key => format!("WORKER_{}", key.to_ascii_uppercase()),
    };
    keys.map(variable).collect()
}

/// The words in `text` that begin as variables of the worker do.
fn named_variables(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_');
    words.filter(|word| word.starts_with("WORKER_")).map(str::to_owned).collect()
}

/// The files that the program includes, from the root of the repository.
fn included() -> Vec<String> {
    let mut found = Vec::new();
    for file in files("src", ".rs") {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap().to_owned();
        for start in ["include_str!(\"", "include_bytes!(\""] {
            for part in code.split(start).skip(1) {
                let relative = part.split('"').next().unwrap();
                let path = file.parent().unwrap().join(relative).canonicalize().unwrap();
                let root = root().canonicalize().unwrap();
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    assert!(found.contains(&"config.sample.yaml".to_owned()), "{found:?}");
    found
}

#[test]
fn every_variable_that_is_set_anywhere_is_one_that_the_worker_knows() {
    let known = variables();
    assert!(known.contains("WORKER_INTERNAL_BIND"), "{known:?}");
    // Of a compose file, not of the worker.
    let others = ["WORKER_IMAGE"];
    let mut paths = files("deploy/kubernetes", ".yaml");
    paths.extend(
        ["deploy/Dockerfile", "deploy/compose.yaml", "deploy/cluster/compose.yaml"]
            .map(|path| root().join(path)),
    );

    for path in paths {
        for name in named_variables(&fs::read_to_string(&path).unwrap()) {
            assert!(known.contains(&name) || others.contains(&name.as_str()), "{path:?}: {name}");
        }
    }
}

#[test]
fn the_image_exposes_the_port_for_browsers_alone_and_lets_other_containers_reach_the_internal_one()
{
    let dockerfile = text("deploy/Dockerfile");
    let stage = &dockerfile[dockerfile.find("FROM scratch").unwrap()..];
    let said = |instruction: &str| -> Vec<String> {
        let lines = stage.lines().filter_map(|line| line.strip_prefix(instruction));
        lines.map(|line| line.trim().to_owned()).collect()
    };

    assert_eq!(said("EXPOSE"), [default_of("ws_port")]);
    assert_eq!(said("ENV"), ["WORKER_INTERNAL_BIND=0.0.0.0"]);
    assert_eq!(said("USER"), ["65532:65532"]);
}

#[test]
fn the_checks_of_image_and_compose_files_are_commands_that_the_worker_has() {
    let worker = Worker::start();
    let dockerfile = text("deploy/Dockerfile");
    let (_, check) = dockerfile.split_once("CMD [").unwrap();
    let check = check.split(']').next().unwrap().to_owned();
    let compose = ["deploy/compose.yaml", "deploy/cluster/compose.yaml"].map(text);
    let in_compose = compose.iter().map(|file| {
        let (_, check) = file.split_once(r#"test: ["CMD", "wavelog_worker""#).unwrap();
        format!("\"wavelog_worker\"{}", check.split(']').next().unwrap())
    });

    for check in in_compose.chain([check]) {
        let words: Vec<&str> = check.split(", ").map(|word| word.trim_matches('"')).collect();
        let mut healthy = command();
        healthy.args(&words[1..]).env("WORKER_INTERNAL_PORT", worker.internal.port().to_string());
        let mut dead = command();
        dead.args(&words[1..]).env("WORKER_INTERNAL_PORT", "1");

        assert!(words[0].ends_with("wavelog_worker"), "{words:?}");
        assert_eq!(healthy.output().unwrap().status.code(), Some(0), "{words:?}");
        assert_eq!(dead.output().unwrap().status.code(), Some(1), "{words:?}");
    }
}

#[test]
fn the_build_of_the_image_has_everything_that_it_names() {
    let ignored = text(".dockerignore");
    let taken: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let has = |path: &str| {
        taken.iter().any(|taken| path == *taken || path.starts_with(&format!("{taken}/")))
    };
    let manifest = text("Cargo.toml");
    // Sections that cargo looks at for a build; those of the package are not needed.
    let manifest = manifest.split("[package.metadata.deb]").next().unwrap();
    let named = manifest.lines().filter_map(|line| {
        let line = line.strip_prefix("path = ").or_else(|| line.strip_prefix("build = "))?;
        Some(line.trim_matches('"'))
    });
    let named: Vec<String> = named.map(str::to_owned).collect();
    let others = ["Cargo.lock", "scripts/cross", "scripts/make-static", "scripts/image-root"];
    let others = others.map(str::to_owned);

    for path in named.into_iter().chain(others).chain(included()) {
        assert!(has(&path), "{path} is not in .dockerignore");
    }
    for path in taken {
        assert!(root().join(path).exists(), "{path}");
    }
}

#[test]
fn compose_publishes_the_port_for_browsers_alone_and_on_loopback() {
    let compose = text("deploy/compose.yaml");
    let ports: Vec<&str> =
        compose.lines().filter_map(|line| line.trim().strip_prefix("ports: ")).collect();

    assert_eq!(ports, [format!(r#"["${{LISTEN:-127.0.0.1:9000}}:{}"]"#, default_of("ws_port"))]);
    assert!(compose.contains("WORKER_INTERNAL_BIND: 0.0.0.0\n"));
    let internal = format!("http://worker:{}", default_of("internal_port"));
    assert!(compose.contains(&internal), "what PHP calls");
    let document = &yaml("deploy/compose.yaml")[0];
    let worker = &document["services"]["worker"];
    assert_eq!(worker["read_only"].as_bool(), Some(true));
    assert_eq!(worker["cap_drop"][0].as_str(), Some("ALL"));
}

#[test]
fn kubernetes_asks_paths_that_the_worker_answers_on_ports_that_it_has() {
    let worker = Worker::start();
    let deployment = &yaml("deploy/kubernetes/base/deployment.yaml")[0];
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mut ports: Vec<(String, String)> = Vec::new();
    for port in container["ports"].as_sequence().unwrap() {
        let number = port["containerPort"].as_integer().unwrap().to_string();
        ports.push((port["name"].as_str().unwrap().to_owned(), number));
    }
    let expected = [("ws", "ws_port"), ("internal", "internal_port")];
    let expected = expected.map(|(name, key)| (name.to_owned(), default_of(key)));
    assert_eq!(ports, expected);

    for probe in ["readinessProbe", "livenessProbe"] {
        let get = &container[probe]["httpGet"];
        let path = get["path"].as_str().unwrap();
        let http = match get["port"].as_str().unwrap() {
            "ws" => worker.public(),
            "internal" => worker.internal(),
            other => panic!("{probe}: {other}"),
        };
        let mut http = http;
        let answer = http.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert_eq!(answer.status, 200, "{probe}: {path}");
    }
    assert_eq!(pod["enableServiceLinks"].as_bool(), Some(false));
    // The end comes after preStop, and takes up to 2 s.
    let sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_integer().unwrap();
    assert!(pod["terminationGracePeriodSeconds"].as_integer().unwrap() >= sleep + 5);
}

#[test]
fn the_services_of_kubernetes_lead_to_the_pods_and_only_php_reaches_the_internal_port() {
    let services = yaml("deploy/kubernetes/base/services.yaml");
    let deployment = &yaml("deploy/kubernetes/base/deployment.yaml")[0];
    let policy = &yaml("deploy/kubernetes/base/networkpolicy.yaml")[0];
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];

    for (service, key) in services.iter().zip(["ws_port", "internal_port"]) {
        assert_eq!(&service["spec"]["selector"], labels);
        let port = service["spec"]["ports"][0]["port"].as_integer().unwrap();
        assert_eq!(port.to_string(), default_of(key));
        // Kubernetes would make a variable of it that the worker takes for its own.
        assert_ne!(service["metadata"]["name"].as_str(), Some("worker-ws"));
    }
    assert_eq!(&policy["spec"]["podSelector"]["matchLabels"], labels);
    let rules = policy["spec"]["ingress"].as_sequence().unwrap();
    let internal: Vec<_> =
        rules.iter().filter(|rule| rule["ports"][0]["port"].as_str() == Some("internal")).collect();
    assert_eq!(internal.len(), 1);
    assert!(internal[0]["from"][0]["podSelector"]["matchLabels"].is_mapping());
}

#[test]
fn everything_that_the_package_takes_from_the_repository_is_there() {
    let manifest = text("Cargo.toml");
    let assets = manifest.split("assets = [\n").nth(1).unwrap().split("\n]").next().unwrap();

    for asset in assets.lines() {
        let source = asset.split('"').nth(1).unwrap();
        if !source.starts_with("target/") {
            let there = match source.split_once('*') {
                Some((directory, ending)) => {
                    !files(directory.trim_end_matches('/'), ending).is_empty()
                }
                None => root().join(source).is_file(),
            };
            assert!(there, "{source}");
        }
    }
}

#[test]
fn the_notes_of_a_release_are_its_section_of_the_changelog() {
    let script = root().join("scripts/release-notes");

    let changelog = text("CHANGELOG.md");
    let versions =
        changelog.lines().filter_map(|line| line.strip_prefix("## [")?.split(']').next());

    let notes: Vec<String> = versions
        .map(|version| Command::new(&script).arg(version).output().unwrap())
        .filter(|output| output.status.success()) // What is unreleased may be nothing.
        .map(|output| String::from_utf8(output.stdout).unwrap())
        .collect();
    let unknown = Command::new(&script).arg("0.0.0").output().unwrap();

    assert!(notes.iter().any(|notes| notes.contains("### Added\n")), "{notes:?}");
    assert!(notes.iter().all(|notes| !notes.contains("\n## ")), "{notes:?}");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("has no section of 0.0.0"));
}
