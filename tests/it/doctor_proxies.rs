//! The doctor in front of real proxies, each in a right configuration and in wrong ones: it names
//! the fault, and the line to change in that very proxy.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{FRONTS, Front, Link, Patient, Proxy, free_port};

/// How each proxy passes `/ws` and `/client.js` on as it should.
fn right(front: Front) -> &'static str {
    match front {
        Front::Nginx => {
            "location = /ws { proxy_pass http://@WS@; proxy_http_version 1.1;\n\
             proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";\n\
             proxy_read_timeout 75s; }\n\
             location = /client.js { proxy_pass http://@WS@; }"
        }
        Front::Apache => {
            "ProxyPass \"/ws\" \"http://@WS@/ws\" upgrade=websocket timeout=75\n\
             ProxyPass \"/client.js\" \"http://@WS@/client.js\""
        }
        Front::Haproxy => {
            "  use_backend b if { path /ws /client.js }\nbackend b\n  server worker @WS@"
        }
        Front::Caddy => "@worker path /ws /client.js\nreverse_proxy @worker @WS@",
    }
}

/// Runs the doctor at each of `cases`: a proxy, its lines, and what the doctor has to find in
/// which step.
fn each_case(cases: &[(Front, &str, &str, &str, &str)]) {
    let patient = Patient::new();
    thread::scope(|scope| {
        for (front, lines, step, found, change) in cases {
            let patient = &patient;
            scope.spawn(move || {
                let proxy = front.start(&patient.worker, lines);

                let diagnosis = patient.quick(&proxy.url());

                diagnosis.assert_fault(step, found, change);
            });
        }
    });
}

#[test]
fn a_right_proxy_has_no_fault_and_an_idle_socket_lives() {
    let patient = Patient::with("ping_interval: 2s\nidle_timeout: 5s\n");
    thread::scope(|scope| {
        for front in FRONTS {
            let patient = &patient;
            scope.spawn(move || {
                let proxy = front.start(&patient.worker, right(front));

                let diagnosis = patient.doctor(&["--url", &proxy.url()]);

                diagnosis.assert_well();
                for step in
                    ["upgrade", "origin", "script", "auth", "push", "buffering", "exposure", "idle"]
                {
                    assert_eq!((front, step, diagnosis.state(step)), (front, step, "ok"));
                }
                assert!(diagnosis.found("push").starts_with("5 of 5, "));
                let name = format!("{front:?}");
                assert!(diagnosis.found("upgrade").to_lowercase().contains(&name.to_lowercase()));
            });
        }
    });
}

#[test]
fn a_proxy_that_does_not_pass_upgrade_on_is_named_with_the_lines_that_do() {
    each_case(&[
        (
            Front::Nginx,
            "location / { proxy_pass http://@WS@; }",
            "upgrade",
            "Upgrade and Connection are lost",
            "    proxy_set_header Upgrade $http_upgrade;",
        ),
        (
            Front::Apache,
            "ProxyPass \"/\" \"http://@WS@/\"",
            "upgrade",
            "Upgrade and Connection are lost",
            "upgrade=websocket",
        ),
        (
            Front::Haproxy,
            "  http-request del-header Upgrade\n  default_backend b\nbackend b\n  server w @WS@",
            "upgrade",
            "Upgrade and Connection are lost",
            "http-request del-header Upgrade",
        ),
        (
            Front::Caddy,
            "request_header -Upgrade\nrequest_header -Connection\nreverse_proxy @WS@",
            "upgrade",
            "Upgrade and Connection are lost",
            "request_header -Upgrade",
        ),
    ]);
}

#[test]
fn a_path_that_is_not_passed_on_is_named_whoever_answers_instead() {
    each_case(&[
        (Front::Nginx, "location / { return 404; }", "upgrade", "404, a page", "location = /ws {"),
        (
            Front::Nginx,
            "location / { return 200 '<html><title>Wavelog</title>'; }",
            "upgrade",
            "a page \"Wavelog\"",
            "location = /ws {",
        ),
        (
            Front::Apache,
            "",
            "upgrade",
            "the path is not passed on",
            "ProxyPass \"/ws\" \"http://127.0.0.1:",
        ),
        (
            Front::Haproxy,
            "  http-request deny deny_status 404",
            "upgrade",
            "the path is not passed on",
            "use_backend worker if { path /ws /client.js }",
        ),
        (
            Front::Caddy,
            "respond 404",
            "upgrade",
            "the path is not passed on",
            "reverse_proxy @worker 127.0.0.1:",
        ),
    ]);
}

#[test]
fn a_query_or_a_path_that_is_lost_on_the_way_is_named() {
    each_case(&[
        (
            Front::Nginx,
            "location /ws { rewrite ^ /ws? break; proxy_pass http://@WS@; proxy_http_version 1.1;\nproxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; }",
            "upgrade",
            "the query with the topic is lost",
            "no path and no variable behind the port",
        ),
        (
            Front::Apache,
            "RewriteEngine on\nRewriteRule ^/ws$ http://@WS@/ws? [P]",
            "upgrade",
            "the query with the topic is lost",
            "must keep the query",
        ),
        (
            Front::Haproxy,
            "  http-request set-uri /ws\n  default_backend b\nbackend b\n  server w @WS@",
            "upgrade",
            "the query with the topic is lost",
            "http-request set-path /ws",
        ),
        (
            Front::Caddy,
            "rewrite * /ws?\nreverse_proxy @WS@",
            "upgrade",
            "the query with the topic is lost",
            "rewrite",
        ),
        (
            Front::Nginx,
            "location /ws { proxy_pass http://@WS@/; proxy_http_version 1.1;\nproxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; }",
            "upgrade",
            "under another path than /ws",
            "no path and no / behind the port",
        ),
        (
            Front::Apache,
            "ProxyPass \"/ws\" \"http://@WS@/\" upgrade=websocket",
            "upgrade",
            "under another path than /ws",
            "the worker's own path is /ws",
        ),
    ]);
}

#[test]
fn the_internal_port_behind_a_proxy_is_named_and_that_strangers_reach_it() {
    let cases = [
        (
            Front::Nginx,
            "location / { proxy_pass http://@INTERNAL@; }",
            "ws_port, not internal_port",
        ),
        (Front::Apache, "ProxyPass \"/\" \"http://@INTERNAL@/\"", "ws_port, not internal_port"),
        (
            Front::Haproxy,
            "  default_backend b\nbackend b\n  server w @INTERNAL@",
            "ws_port, not internal_port",
        ),
        (Front::Caddy, "reverse_proxy @INTERNAL@", "ws_port, not internal_port"),
    ];
    let patient = Patient::new();
    thread::scope(|scope| {
        for (front, lines, change) in cases {
            let patient = &patient;
            scope.spawn(move || {
                let proxy = front.start(&patient.worker, lines);

                let diagnosis = patient.quick(&proxy.url());

                diagnosis.assert_fault("upgrade", "internal port, which is for PHP alone", change);
                diagnosis.assert_fault(
                    "exposure",
                    "/internal/status reaches the worker's internal API",
                    "",
                );
            });
        }
    });
}

#[test]
fn the_internal_api_beside_a_right_socket_is_a_fault() {
    let patient = Patient::new();
    let lines =
        format!("{}\nlocation /internal/ {{ proxy_pass http://@INTERNAL@; }}", right(Front::Nginx));
    let proxy = Front::Nginx.start(&patient.worker, &lines);

    let diagnosis = patient.quick(&proxy.url());

    diagnosis.assert_fault("exposure", "403 \"forbidden\"", "location /internal/ { return 404; }");
    assert_eq!(diagnosis.failed(), ["exposure"]);
}

#[test]
fn a_worker_that_is_not_there_behind_its_proxy_is_named() {
    thread::scope(|scope| {
        for front in FRONTS {
            scope.spawn(move || {
                let dead = ([127, 0, 0, 1], free_port()).into();
                let proxy = front.start_before(dead, dead, right(front), &[]);
                let directory = tempfile::tempdir().unwrap();

                let url = proxy.url();
                let diagnosis =
                    crate::support::doctor_alone(directory.path(), &["--quick", "--url", &url]);

                diagnosis.assert_fault("upgrade", "it finds no worker", "start the worker");
            });
        }
    });
}

#[test]
fn a_redirect_a_login_and_a_forbidden_path_are_told_apart() {
    each_case(&[
        (
            Front::Nginx,
            "return 301 https://log.example.org$request_uri;",
            "upgrade",
            "sends the browser to https://log.example.org/ws",
            "write wss:// in worker_client_url",
        ),
        (
            Front::Nginx,
            "location / { return 302 /login; }",
            "upgrade",
            "/login, and a WebSocket does not go",
            "no redirect",
        ),
        (
            Front::Apache,
            "Redirect permanent / https://log.example.org/",
            "upgrade",
            "sends the browser to https://log.example.org/ws",
            "write wss://",
        ),
        (
            Front::Nginx,
            "auth_basic Log; auth_basic_user_file @DIR@/none;",
            "upgrade",
            "asks for a name and a password",
            "auth_basic off",
        ),
        (Front::Haproxy, "  http-request deny", "upgrade", "forbids it", "let /ws pass"),
    ]);
}

#[test]
fn a_rule_that_compares_the_origin_is_told_from_one_that_forbids_all() {
    let patient = Patient::new();
    let lines = format!("if ($http_origin) {{ return 403; }}\n{}", right(Front::Nginx));
    let proxy = Front::Nginx.start(&patient.worker, &lines);

    let diagnosis = patient.quick(&proxy.url());

    diagnosis.assert_fault("origin", "gets 403", "compares Origin");
    assert_eq!(diagnosis.state("push"), "ok", "the rest is tested all the same");
}

#[test]
fn a_proxy_that_cuts_silent_sockets_is_named_with_its_own_timeout() {
    let cases = [
        (Front::Nginx, right(Front::Nginx).replace("75s", "2s"), "    proxy_read_timeout 75s;"),
        (
            Front::Apache,
            format!("Timeout 2\n{}", right(Front::Apache).replace("timeout=75", "timeout=2")),
            "timeout=75",
        ),
        (
            Front::Haproxy,
            format!("  timeout client 2s\n{}\n  timeout tunnel 2s", right(Front::Haproxy)),
            "    timeout tunnel 75s",
        ),
    ];
    // A worker says a minute and still pings every 6 s.
    let patient = Patient::with("ping_interval: 6s\nidle_timeout: 60s\n");
    thread::scope(|scope| {
        for (front, lines, change) in &cases {
            let patient = &patient;
            scope.spawn(move || {
                let proxy = front.start(&patient.worker, lines);

                let diagnosis = patient.doctor(&["--url", &proxy.url()]);

                diagnosis.assert_fault("idle", "cut without a word after ", change);
                assert_eq!(diagnosis.failed(), ["idle"], "{front:?}");
            });
        }
    });
}

#[test]
fn what_stands_beside_the_socket_under_a_path_of_its_own_is_looked_for_there() {
    let patient = Patient::new();
    let lines = "location /worker/ { proxy_pass http://@WS@/; proxy_http_version 1.1;\n\
        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; }";
    let proxy = Front::Nginx.start(&patient.worker, lines);

    let diagnosis = patient.quick(&format!("{}/worker", proxy.url()));

    diagnosis.assert_well();
    assert_eq!(diagnosis.found("script"), "/worker/client.js is there");
}

/// No proxy that we have keeps a WebSocket's bytes back, so this one is the test's own.
#[test]
fn pushes_that_are_kept_back_and_come_in_bunches_are_a_fault() {
    let patient = Patient::new();
    let proxy = Proxy::to(patient.worker.ws);
    let ended = AtomicBool::new(false);

    let diagnosis = thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                for (down_stuck, ms) in [(true, 400), (false, 30)] {
                    proxy.set(Link { down_stuck, ..Link::default() });
                    thread::sleep(Duration::from_millis(ms));
                }
            }
        });
        let diagnosis = patient.quick(&format!("http://{}", proxy.address));
        ended.store(true, Ordering::Relaxed);
        diagnosis
    });

    diagnosis.assert_fault("buffering", "pushes came at once", "buffering and compression off");
}
