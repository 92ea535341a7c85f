//! The page of metrics: who may see it, in which form, and what must not be in it (docs/metrics.md).

use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use serde_json::Value;
use socket2::{Domain, Socket as RawSocket, Type};

use crate::support::{Answer, Http, Redis, SECRET, Worker, request};

const FORBIDDEN: &str = "forbidden: send the secret as X-Worker-Secret or as a bearer token, \
                         or add your address to metrics_allow\n";

/// Asks from an address of this machine.
fn ask_from(worker: &Worker, ip: [u8; 4]) -> Answer {
    let stream = RawSocket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    stream.bind(&SocketAddr::from((Ipv4Addr::from(ip), 0)).into()).unwrap();
    stream.connect(&worker.internal.into()).unwrap();
    Http::over(TcpStream::from(stream)).ask(&request("GET", "/metrics", &[], b""))
}

fn assert_page(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().contains("worker_build_info"), "{}", answer.text());
}

#[test]
fn the_secret_opens_it_as_a_header_and_as_a_bearer_token() {
    let worker = Worker::with("metrics_allow: []\n");
    let bearer = format!("Bearer {SECRET}");

    worker.ask_for_metrics(&[]).assert_error(403, FORBIDDEN);
    assert_page(&worker.ask_for_metrics(&[("X-Worker-Secret", SECRET)]));
    assert_page(&worker.ask_for_metrics(&[("Authorization", &bearer)]));
    let forwarded = [("Authorization", bearer.as_str()), ("X-Forwarded-For", "203.0.113.7")];
    assert_page(&worker.ask_for_metrics(&forwarded));
}

#[test]
fn without_the_secret_the_address_of_the_connection_counts() {
    let default = Worker::start();
    let chosen = Worker::with("metrics_allow: [127.0.0.9, 192.0.2.0/24]\n");

    assert_page(&ask_from(&default, [127, 0, 0, 1]));
    assert_page(&ask_from(&default, [127, 0, 0, 9]));
    assert_page(&ask_from(&chosen, [127, 0, 0, 9]));
    ask_from(&chosen, [127, 0, 0, 1]).assert_error(403, FORBIDDEN);
    let line = chosen.wait_for_log("the refusal", |line| line["message"] == "metrics refused");
    assert_eq!(line["client"], "127.0.0.1");
}

#[test]
fn an_address_opens_nothing_for_who_comes_through_a_proxy() {
    let worker = Worker::start();

    for header in ["X-Forwarded-For", "X-Real-IP", "Forwarded"] {
        for claim in ["127.0.0.1", "for=127.0.0.1", ""] {
            worker.ask_for_metrics(&[(header, claim)]).assert_error(403, FORBIDDEN);
        }
    }
    assert_eq!(worker.counter("forbidden"), 0, "nobody tried a secret");
}

#[test]
fn a_wrong_secret_is_refused_and_counted_even_from_an_allowed_address() {
    let worker = Worker::start();

    worker.ask_for_metrics(&[("X-Worker-Secret", "wrong")]).assert_error(403, FORBIDDEN);
    worker.ask_for_metrics(&[("Authorization", "Bearer wrong")]).assert_error(403, FORBIDDEN);

    assert_eq!(worker.counter("forbidden"), 2);
    assert_eq!(worker.metrics().get("worker_forbidden_total"), 2.0);
}

#[test]
fn the_page_is_openmetrics_unless_only_plain_text_is_taken() {
    let worker = Worker::start();
    let prometheus = "application/openmetrics-text;version=1.0.0,\
                      application/openmetrics-text;version=0.0.1;q=0.75,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

    for headers in [&[][..], &[("Accept", "*/*")], &[("Accept", prometheus)]] {
        let answer = worker.ask_for_metrics(headers);
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(answer.header("Content-Type"), Some(content_type));
        assert!(answer.text().ends_with("\n# EOF\n"));
        assert!(answer.text().contains("# TYPE worker_deliveries counter\n"));
    }
    let answer = worker.ask_for_metrics(&[("Accept", "text/plain;version=0.0.4")]);
    assert_eq!(answer.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(!answer.text().contains("# EOF"));
    assert!(answer.text().contains("# TYPE worker_deliveries_total counter\n"));
}

#[test]
fn head_has_the_headers_alone_and_other_methods_are_405() {
    let worker = Worker::start();

    let mut http = worker.internal();
    http.send(&request("HEAD", "/metrics", &[], b""));
    let head = http.answer_to_head();
    assert_eq!((head.status, http.ask(&request("GET", "/readyz", &[], b"")).status), (200, 200));
    assert!(head.header("Content-Length").unwrap().parse::<usize>().unwrap() > 1000);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = worker.internal().ask(&request(method, "/metrics", &[], b""));
        assert_eq!(answer.brief(), (405, "method not allowed\n"), "{method}");
        assert_eq!(answer.header("Allow"), Some("GET, HEAD"));
    }
}

#[test]
fn browsers_do_not_reach_it() {
    let worker = Worker::start();

    for path in ["/metrics", "/metrics?topic=a"] {
        let answer = worker.public().ask(&request("GET", path, &[], b""));
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[test]
fn no_topic_user_address_or_secret_is_in_it() {
    let redis = Redis::with_password("xyzzy-of-redis");
    let worker = Worker::node(&redis.url(), "xyzzy-node", "");
    worker.register("xyzzy-topic");
    let _socket = worker.subscribe_as(987_654_321, "xyzzy-topic");
    worker.publish("xyzzy-topic", r#"{"of":"xyzzy-payload"}"#);
    let token = worker.token(987_654_321, "xyzzy-other");
    worker.open("xyzzy-topic").send_text(&format!(r#"{{"type":"auth","token":"{token}"}}"#));
    worker.wait_for_metric("worker_auth_failures_total{reason=\"other_topic\"}", |n| n == 1.0);
    let (id, port) = (worker.id(), format!(":{}", redis.address().port()));

    for accept in ["*/*", "text/plain"] {
        let answer = worker.ask_for_metrics(&[("Accept", accept)]);
        for word in ["xyzzy", "987654321", SECRET, "127.0.0.1", &port, &token[..16], &id] {
            assert!(!answer.text().contains(word), "{word} is in {}", answer.text());
        }
    }
}

#[test]
fn the_status_document_has_no_more_counters_than_before() {
    let counters = Worker::start().status()["counters"].clone();

    let names: Vec<&String> = counters.as_object().unwrap().keys().collect();
    let protocol = include_str!("../../docs/protocol.md");
    for name in names {
        // The way to Redis has these two under names of its own.
        let elsewhere = ["redis_reconnects", "redis_away"].contains(&name.as_str());
        assert!(elsewhere || protocol.contains(&format!("| `{name}` | ")), "{name}");
        assert!(matches!(counters[name], Value::Number(_)), "{name}");
    }
}
