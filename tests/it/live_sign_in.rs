//! Who gets in to the live view, and what everybody else is told: nothing (docs/live-view.md).

use crate::support::{Answer, SECRET, Viewer, Worker, json_post, request};

/// What needs a session, by method.
const GUARDED: [(&str, &str); 4] = [
    ("GET", "/live/state?topics=1"),
    ("GET", "/live/tail?topic=a"),
    ("GET", "/live/config"),
    ("POST", "/live/publish"),
];

fn sign_in(worker: &Worker, secret: &str, more: &[(&str, &str)]) -> Answer {
    let body = format!(r#"{{"secret":"{secret}"}}"#);
    worker.internal().ask(&json_post("/live/sign-in", more, &body))
}

fn assert_guarded(answer: &Answer) {
    let policy = answer.header("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
    assert_eq!(answer.header("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(answer.header("Referrer-Policy"), Some("no-referrer"));
    assert_eq!(answer.header("Cross-Origin-Opener-Policy"), Some("same-origin"));
    assert_eq!(answer.header("Cross-Origin-Resource-Policy"), Some("same-origin"));
}

#[test]
fn the_page_is_for_everybody_and_what_it_shows_is_not() {
    let worker = Worker::start();

    let page = worker.internal().ask(&request("GET", "/", &[], b""));
    assert_eq!(page.status, 200);
    assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("Cache-Control"), Some("no-cache"));
    assert_guarded(&page);
    let mut connection = worker.internal();
    connection.send(&request("HEAD", "/", &[], b""));
    let head = connection.answer_to_head();
    assert_eq!((head.status, head.header("ETag")), (200, page.header("ETag")));
    let known = [("If-None-Match", page.header("ETag").unwrap())];
    assert_eq!(worker.internal().ask(&request("GET", "/", &known, b"")).brief(), (304, ""));

    for (method, path) in GUARDED {
        for cookie in ["", "a=b", "wavelog_worker_0=0000", &format!("x={}", "0".repeat(64))] {
            let headers =
                [("Cookie", cookie), ("Content-Type", "application/json"), ("X-Live-View", "1")];
            let answer = worker.internal().ask(&request(method, path, &headers, b""));
            assert_eq!(answer.brief(), (401, r#"{"error":"sign in"}"#), "{path}");
            assert_eq!(answer.header("Cache-Control"), Some("no-store"));
            assert_guarded(&answer);
        }
    }
}

#[test]
fn a_wrong_method_is_told_which_is_right_and_a_wrong_path_that_there_is_nothing() {
    let worker = Worker::start();
    let viewer = Viewer::sign_in(&worker);

    for (method, path, allowed) in [
        ("POST", "/", "GET, HEAD"),
        ("DELETE", "/live/state", "GET, HEAD"),
        ("GET", "/live/sign-in", "POST"),
        ("PUT", "/live/publish", "POST"),
    ] {
        let headers = [("Cookie", viewer.cookie())];
        let answer = worker.internal().ask(&request(method, path, &headers, b""));
        assert_eq!(answer.status, 405, "{path}");
        assert_eq!(answer.header("Allow"), Some(allowed));
    }
    for path in ["/live/", "/live/other.js", "/live/../config.yaml", "/live/page/index.html"] {
        assert_eq!(viewer.get(path).status, 404, "{path}");
    }
}

#[test]
fn the_right_secret_signs_in_until_one_signs_out() {
    let worker = Worker::start();

    let answer = sign_in(&worker, SECRET, &[]);
    assert_eq!(answer.brief(), (204, ""));
    let cookie = answer.header("Set-Cookie").unwrap();
    let (session, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "HttpOnly; SameSite=Strict; Path=/");
    let (name, token) = session.split_once('=').unwrap();
    assert_eq!(name, format!("wavelog_worker_{}", worker.internal.port()));
    assert_eq!(token.len(), 64);

    let state = |session: &str| {
        let bytes = request("GET", "/live/state", &[("Cookie", session)], b"");
        worker.internal().ask(&bytes).status
    };
    assert_eq!(state(session), 200);
    let again = sign_in(&worker, SECRET, &[("Cookie", session)]);
    let fresh = again.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!((state(session), state(&fresh)), (401, 200), "a new session ends the one before");
    let out = worker.internal().ask(&json_post("/live/sign-out", &[("Cookie", &fresh)], ""));
    assert_eq!(out.brief(), (204, ""));
    assert!(out.header("Set-Cookie").unwrap().contains("=; "), "{out:?}");
    assert!(out.header("Set-Cookie").unwrap().ends_with("; Max-Age=0"), "{out:?}");
    assert_eq!(state(&fresh), 401);
    let of_another_start = Viewer::sign_in(&Worker::start());
    assert_eq!(state(of_another_start.cookie()), 401);
}

#[test]
fn a_wrong_secret_is_refused_counted_and_logged() {
    let worker = Worker::start();

    let answer = sign_in(&worker, "not-the-secret-but-as-long-as-one-0", &[]);

    assert_eq!(answer.status, 403);
    assert!(!answer.text().contains("not-the-secret"), "{}", answer.text());
    assert_eq!(answer.header("Set-Cookie"), None);
    assert_eq!(worker.counter("forbidden"), 1);
    worker.wait_for_log("the refused call", |line| {
        line["message"] == "call without the right secret refused" && line["client"] == "127.0.0.1"
    });
    let problem = Viewer::sign_in(&worker).wait_for_problem("wrong_secret", 1);
    assert_eq!(problem["recent"][0]["detail"], "client 127.0.0.1, live view");
    for body in ["", "{}", "[]", r#"{"secret":7}"#, "secret=x"] {
        let answer = worker.internal().ask(&json_post("/live/sign-in", &[], body));
        assert_eq!(answer.status, 400, "{body}");
    }
    let long = format!(r#"{{"secret":"{}"}}"#, "x".repeat(5000));
    assert_eq!(worker.internal().ask(&json_post("/live/sign-in", &[], &long)).status, 413);
    assert_eq!(worker.counter("forbidden"), 1);
}

#[test]
fn after_five_wrong_secrets_an_address_has_to_wait_and_others_need_not() {
    let worker = Worker::start();
    for _ in 0..5 {
        assert_eq!(sign_in(&worker, "wrong", &[]).status, 403);
    }

    for secret in ["wrong", SECRET] {
        let answer = sign_in(&worker, secret, &[]);
        assert_eq!(answer.status, 429);
        let seconds = answer.json()["retry_seconds"].as_u64().unwrap();
        assert!((10..=12).contains(&seconds), "{seconds}");
        assert_eq!(answer.header("Retry-After"), Some(seconds.to_string().as_str()));
    }
    let by_header = worker.get("/live/state");
    assert_eq!(by_header.status, 429, "the secret in a header is tried as well");

    // Of another address, as a proxy that is trusted says.
    let other = [("X-Forwarded-For", "198.51.100.7")];
    assert_eq!(sign_in(&worker, SECRET, &other).status, 204);
    let network = |last: u32| format!("2001:db8:1:2::{last}");
    for n in 0..5 {
        let from = network(n);
        assert_eq!(sign_in(&worker, "wrong", &[("X-Forwarded-For", &from)]).status, 403);
    }
    let from = network(99);
    assert_eq!(sign_in(&worker, SECRET, &[("X-Forwarded-For", &from)]).status, 429);
    assert_eq!(worker.counter("forbidden"), 10, "who has to wait is not even compared");
}

#[test]
fn wrong_secrets_from_everywhere_are_limited_together() {
    let worker = Worker::start();

    let tried = (0..200).map(|n| {
        let from = format!("198.51.{}.{}", n / 100, n % 100);
        sign_in(&worker, "wrong", &[("X-Forwarded-For", &from)]).status
    });
    let refused = tried.filter(|status| *status == 429).count();

    assert!(refused >= 100, "{refused} of 200 were told to wait");
}

#[test]
fn strangers_who_try_secrets_do_not_keep_the_operator_out() {
    let worker = Worker::start();
    let operator = [("X-Forwarded-For", "203.0.113.9")];
    assert_eq!(sign_in(&worker, SECRET, &operator).status, 204);
    let stranger = |n: usize| {
        let from = format!("198.51.100.{n}");
        sign_in(&worker, "wrong", &[("X-Forwarded-For", &from)]).status
    };
    assert!((0..200).any(|n| stranger(n) == 429), "all of them together have to wait");

    assert_eq!(sign_in(&worker, SECRET, &operator).status, 204);
}

#[test]
fn a_cookie_that_another_port_of_the_host_has_set_hides_no_session() {
    let worker = Worker::start();
    let viewer = Viewer::sign_in(&worker);
    let name = viewer.cookie().split('=').next().unwrap();
    let both = format!("{name}=of-another-program; {}", viewer.cookie());
    let state = |cookies: &str| {
        worker.internal().ask(&request("GET", "/live/state", &[("Cookie", cookies)], b"")).status
    };
    assert_eq!(state(&both), 200);

    let out = worker.internal().ask(&json_post("/live/sign-out", &[("Cookie", &both)], ""));

    assert_eq!(out.status, 204);
    assert_eq!(state(viewer.cookie()), 401);
}

#[test]
fn a_request_that_no_page_of_ours_can_have_sent_changes_nothing() {
    let worker = Worker::start();
    worker.register("a");
    let viewer = Viewer::sign_in(&worker);
    let json = ("Content-Type", "application/json");
    let ours = ("X-Live-View", "1");
    let session = ("Cookie", viewer.cookie());

    let refused: &[&[(&str, &str)]] = &[
        &[session],
        &[session, json],
        &[session, ours],
        &[session, ours, ("Content-Type", "text/plain")],
        &[session, ours, ("Content-Type", "application/x-www-form-urlencoded")],
        &[session, json, ("X-Live-View", "yes")],
        &[session, json, ours, ("Origin", "https://evil.example")],
        &[session, json, ours, ("Origin", "http://worker:9002")],
        &[session, json, ours, ("Origin", "null")],
        &[session, json, ours, ("Sec-Fetch-Site", "cross-site")],
        &[session, json, ours, ("Sec-Fetch-Site", "same-site"), ("Origin", "http://worker")],
    ];
    let body = br#"{"topic":"a","payload":1}"#;
    for headers in refused {
        for path in ["/live/publish", "/live/sign-in", "/live/sign-out"] {
            let answer = worker.internal().ask(&request("POST", path, headers, body));
            assert_eq!(answer.status, 403, "{path} {headers:?}");
            assert_eq!(answer.header("Access-Control-Allow-Origin"), None);
        }
    }
    assert_eq!(worker.counter("publishes"), 0);
    assert_eq!(viewer.get("/live/state").status, 200, "still signed in");

    let good: &[&[(&str, &str)]] = &[
        &[session, json, ours],
        &[session, json, ours, ("Origin", "http://worker")],
        &[session, json, ours, ("Sec-Fetch-Site", "same-origin"), ("Origin", "https://x.example")],
        &[session, json, ours, ("X-Forwarded-Host", "x.example"), ("Origin", "https://x.example")],
    ];
    for headers in good {
        let answer = worker.internal().ask(&request("POST", "/live/publish", headers, body));
        assert_eq!(answer.status, 200, "{headers:?}");
    }
}

#[test]
fn behind_a_proxy_with_tls_the_cookie_is_kept_to_tls() {
    let https = [("X-Forwarded-Proto", "https")];

    let trusted = sign_in(&Worker::start(), SECRET, &https);
    let not_trusted = sign_in(&Worker::with("trusted_proxies: []\n"), SECRET, &https);

    assert!(trusted.header("Set-Cookie").unwrap().ends_with("; Secure"), "{trusted:?}");
    assert!(not_trusted.header("Set-Cookie").unwrap().ends_with("Path=/"), "{not_trusted:?}");
}

#[test]
fn a_shell_looks_with_the_secret_in_a_header_and_changes_nothing() {
    let worker = Worker::start();
    let secret = ("X-Worker-Secret", SECRET);

    for path in ["/live/state?topics=1", "/live/config"] {
        let answer = worker.get(path);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("Set-Cookie"), None);
    }
    let publish = json_post("/live/publish", &[secret], r#"{"topic":"a","payload":1}"#);
    assert_eq!(worker.internal().ask(&publish).status, 401);
    let wrong = [("X-Worker-Secret", "wrong")];
    let answer = worker.internal().ask(&request("GET", "/live/state", &wrong, b""));
    assert_eq!(answer.status, 403);
}

#[test]
fn neither_the_secret_nor_a_session_is_in_any_answer_or_in_the_log() {
    let worker = Worker::with("log_level: trace\n");
    let viewer = Viewer::sign_in(&worker);
    let session = viewer.cookie().split_once('=').unwrap().1;
    worker.post("/internal/publish", format!(r#"{{"topic":"b","payload":"{SECRET}"}}"#));
    let wrong = format!("{SECRET}x");
    sign_in(&worker, &wrong, &[]);

    let mut said = String::new();
    for path in [
        "/",
        "/live/page.css",
        "/live/state?topics=1",
        "/live/config",
        "/live/nothing",
        &format!("/live/state?topics=1&search={SECRET}"),
    ] {
        let answer = viewer.get(path);
        said += &format!("{:?} {}\n", answer.headers, String::from_utf8_lossy(&answer.body));
    }
    said += &format!("{:?}", sign_in(&worker, SECRET, &[("Cookie", viewer.cookie())]).body);
    said += &worker.log().join("\n");

    assert!(said.contains("worker_secret"), "the configuration was asked for");
    for hidden in [SECRET, session] {
        assert!(!said.contains(hidden), "{hidden} is in {said}");
    }
}
