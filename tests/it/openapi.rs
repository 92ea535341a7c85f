//! The description of the internal API (`/openapi.json`) says what the worker does: every path,
//! every method, every status code with its body. `make test-api` calls a worker by it at random.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{Answer, Redis, SECRET, Worker, request};

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// Paths that answer any method alike.
const ANY_METHOD: [&str; 2] = ["/readyz", "/livez"];

/// Methods beside those of the description: what OpenAPI has no better place for than a sentence.
const HEAD_TOO: [&str; 2] = ["/openapi.json", "/metrics"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn json_file(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(root().join(path)).unwrap()).unwrap()
}

fn description() -> Value {
    json_file("src/admin/openapi.json")
}

/// What `value` is, or what it refers to.
fn resolved<'a>(description: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(place) => description.pointer(place.strip_prefix('#').unwrap()).expect(place),
        None => value,
    }
}

/// Every operation: path, method in capitals, and what is said of it.
fn operations(description: &Value) -> Vec<(&str, String, &Value)> {
    let paths = description["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().iter();
            methods.map(move |(method, operation)| {
                (path.as_str(), method.to_ascii_uppercase(), operation)
            })
        })
        .collect()
}

/// What is wrong with `answer`, according to the operation.
fn fault(description: &Value, operation: &Value, answer: &Answer) -> Option<String> {
    let response = &operation["responses"][answer.status.to_string()];
    if response.is_null() {
        return Some(format!("{} is not described", answer.status));
    }
    let Some(content) = resolved(description, response)["content"].as_object() else {
        let empty = answer.body.is_empty() && answer.header("Content-Type").is_none();
        return (!empty).then(|| "a body that is not described".to_owned());
    };
    let given = answer.header("Content-Type").unwrap_or("none");
    let Some(content) = content.get(given) else {
        return Some(format!("Content-Type {given} is not described"));
    };
    let schema = resolved(description, &content["schema"]);
    let value = match given {
        "application/json" => answer.json(),
        _ => Value::from(answer.text()),
    };
    mismatch(description, schema, &value)
}

/// Where `value` is not as `schema` says. Knows what the description uses, and takes a field that
/// is not described for a fault.
fn mismatch(description: &Value, schema: &Value, value: &Value) -> Option<String> {
    let schema = resolved(description, schema);
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let wrong_const = !schema["const"].is_null() && schema["const"] != *value;
    let wrong_enum = schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value));
    let wrong_type = !types.is_empty() && !types.iter().any(|allowed| allowed == kind);
    if wrong_const || wrong_enum || wrong_type {
        return Some(format!("{value} is not {schema}"));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let faults: Vec<_> =
            choices.iter().map(|choice| mismatch(description, choice, value)).collect();
        let all = faults.iter().flatten().cloned().collect::<Vec<_>>().join(" and ");
        return faults.iter().all(Option::is_some).then_some(all);
    }
    let required = schema["required"].as_array().into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        if value.get(name).is_none() {
            return Some(format!("{name} is missing in {value}"));
        }
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let known = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        match known {
            Some(known) => {
                if let Some(fault) = mismatch(description, known, field) {
                    return Some(format!("{name}: {fault}"));
                }
            }
            // A schema without properties says nothing of them.
            None if schema["properties"].is_object() => {
                return Some(format!("{name} is not described"));
            }
            None => {}
        }
    }
    let items = value.as_array().into_iter().flatten();
    items
        .filter(|_| schema["items"].is_object())
        .find_map(|item| mismatch(description, &schema["items"], item))
}

/// Sends `method` to `path` with the secret; a body only where one is wanted.
fn ask(worker: &Worker, method: &str, path: &str, body: &str) -> Answer {
    let bytes = request(method, path, &[("X-Worker-Secret", SECRET)], body.as_bytes());
    let mut connection = worker.internal();
    connection.send(&bytes);
    if method == "HEAD" { connection.answer_to_head() } else { connection.answer() }
}

#[test]
fn the_description_is_given_to_anybody_and_names_this_version() {
    let worker = Worker::start();
    let mut connection = worker.internal();

    let answer = connection.ask(&request("GET", "/openapi.json", &[], b""));
    connection.send(&request("HEAD", "/openapi.json", &[], b""));
    let head = connection.answer_to_head();
    let post = connection.ask(&request("POST", "/openapi.json", &[], b""));

    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), description());
    for name in ["Content-Type", "Content-Length", "Cache-Control"] {
        assert_eq!(head.header(name), answer.header(name), "{name}");
    }
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(post.brief(), (405, "method not allowed\n"));
    assert_eq!(post.header("Allow"), Some("GET, HEAD"));
    assert_eq!(answer.json()["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(!answer.text().contains(SECRET));
}

#[test]
fn every_path_takes_the_described_methods_and_no_others() {
    let description = description();
    let worker = Worker::start();
    let described: BTreeSet<(&str, String)> =
        operations(&description).into_iter().map(|(path, method, _)| (path, method)).collect();

    for (path, _) in description["paths"].as_object().unwrap() {
        for method in METHODS {
            let answer = ask(&worker, method, path, "");
            let known = described.contains(&(path.as_str(), method.to_owned()))
                || ANY_METHOD.contains(&path.as_str())
                || (method == "HEAD" && HEAD_TOO.contains(&path.as_str()));
            assert_ne!(answer.status, 404, "{method} {path}");
            assert_eq!(answer.status != 405, known, "{method} {path}: {}", answer.status);
        }
    }
}

#[test]
fn whoever_does_not_show_the_secret_is_told_so_where_the_description_says_it_is_needed() {
    let description = description();
    let worker = Worker::start();

    for (path, method, operation) in operations(&description) {
        let answer = worker.internal().ask(&request(&method, path, &[], b""));
        let open = operation["security"].as_array().is_some_and(|ways| {
            ways.is_empty() || ways.iter().any(|way| way.as_object().unwrap().is_empty())
        });
        assert_eq!(answer.status != 403, open, "{method} {path}: {}", answer.status);
        assert_eq!(fault(&description, operation, &answer), None, "{method} {path}");
    }
}

#[test]
fn the_examples_are_accepted_and_the_answers_are_as_described() {
    let description = description();
    let worker = Worker::start();

    for (path, method, operation) in operations(&description) {
        let body = resolved(&description, &operation["requestBody"]);
        let examples = body["content"]["application/json"]["examples"].as_object();
        let mut bodies: Vec<String> = examples
            .into_iter()
            .flatten()
            .map(|(_, example)| example["value"].to_string())
            .collect();
        if bodies.is_empty() {
            bodies.push(String::new());
        }
        let mut queries = vec![String::new()];
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap();
            let values = parameter["examples"].as_object().unwrap().values();
            queries.extend(
                values.map(|example| format!("?{name}={}", example["value"].as_str().unwrap())),
            );
        }
        for (body, query) in bodies.iter().flat_map(|body| queries.iter().map(move |q| (body, q))) {
            worker.register("session.42");
            let answer = ask(&worker, &method, &format!("{path}{query}"), body);
            assert_eq!(answer.status, 200, "{method} {path}{query} {body}");
            let fault = fault(&description, operation, &answer);
            assert_eq!(fault, None, "{method} {path}{query} {body}");
        }
    }
}

#[test]
fn the_golden_cases_are_as_described() {
    let (description, golden) = (description(), json_file("contract/api.json"));
    let paths = &description["paths"];

    for case in golden["cases"].as_array().unwrap() {
        let asked = &case["request"];
        let path = asked["path"].as_str().unwrap().split('?').next().unwrap();
        let method = asked["method"].as_str().unwrap().to_ascii_lowercase();
        let expected = &case["answer"];
        let known = &paths[path];
        let status = expected["status"].as_u64().unwrap();
        let name = &case["name"];
        match (known.is_object(), known[&method].is_object()) {
            (false, _) => assert_eq!(status, 404, "{name}"),
            (true, false) => assert_eq!(status, 405, "{name}"),
            (true, true) => {
                let response = &known[&method]["responses"][status.to_string()];
                let response = resolved(&description, response);
                assert!(response.is_object(), "{name}: {status} is not described");
                let content = response["content"].as_object();
                let Some(body) = expected["body"].as_str() else {
                    continue; // A document, which the worker's own is compared with.
                };
                let schema = content.and_then(|content| content.values().next());
                match schema {
                    None => assert_eq!(body, "", "{name}"),
                    Some(content) => {
                        let fault = mismatch(&description, &content["schema"], &body.into());
                        assert_eq!(fault, None, "{name}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_error_is_the_described_one() {
    let description = description();
    let worker = Worker::with("request_timeout: 1s\n");
    let operation = |path: &str, method: &str| &description["paths"][path][method];
    let large = format!(r#"{{"topic":"a","payload":"{}"}}"#, "x".repeat(1 << 20));
    let paths = ["register", "unregister", "publish", "push"];

    for path in paths.map(|name| format!("/internal/{name}")) {
        for (body, status) in [("{", 400), ("{}", 400), (large.as_str(), 400)] {
            let answer = ask(&worker, "POST", &path, body);
            assert_eq!(answer.status, status, "{path}");
            assert_eq!(fault(&description, operation(&path, "post"), &answer), None, "{path}");
        }
        let mut connection = worker.internal();
        let whole = request("POST", &path, &[("X-Worker-Secret", SECRET)], b"{\"topic\":\"a\"}");
        connection.send(&whole[..whole.len() - 1]);
        let answer = connection.answer();
        assert_eq!(answer.status, 408, "{path}");
        assert_eq!(fault(&description, operation(&path, "post"), &answer), None, "{path}");
    }
    let metrics = request("GET", "/metrics", &[("X-Forwarded-For", "192.0.2.1")], b"");
    let answer = worker.internal().ask(&metrics);
    assert_eq!(answer.status, 403);
    assert_eq!(fault(&description, operation("/metrics", "get"), &answer), None);
    let answer = worker.try_publish("nowhere", "1");
    assert_eq!(fault(&description, operation("/internal/publish", "post"), &answer), None);
    let answer = ask(&worker, "DELETE", "/internal/status", "");
    assert_eq!(fault(&description, operation("/internal/status", "get"), &answer), None);
}

#[test]
fn the_documents_of_a_cluster_are_as_described_with_and_without_redis() {
    let description = description();
    let mut redis = Redis::start();
    let node = Worker::node(&redis.url(), "one", "");
    let _other = Worker::node(&redis.url(), "two", "");

    for step in ["with", "without"] {
        for path in ["/internal/status?v=2&topics=1", "/internal/nodes", "/readyz"] {
            let operation = &description["paths"][path.split('?').next().unwrap()]["get"];
            let answer = node.get(path);
            assert_eq!(fault(&description, operation, &answer), None, "{path} {step} Redis");
        }
        redis.kill();
        node.wait_until_alone();
    }
}

#[test]
fn every_path_that_admin_names_is_described() {
    let code = fs::read_to_string(root().join("src/admin/mod.rs")).unwrap();
    let description = description();
    let known = description["paths"].as_object().unwrap();
    let arms = code.lines().map(str::trim).filter(|line| line.starts_with("\"/"));
    let paths: Vec<&str> = arms
        .flat_map(|line| line.split("=>").next().unwrap().split('"').skip(1).step_by(2))
        .collect();

    assert!(paths.contains(&"/livez"), "{paths:?}");
    for path in paths {
        assert!(known.contains_key(path), "{path} is not in src/admin/openapi.json");
    }
}
