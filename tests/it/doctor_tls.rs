//! The doctor and the tools where TLS ends at a real proxy: good certificates, and each way of
//! being bad.

use std::process::Command;

use jiff::{Timestamp, ToSpan};

use crate::support::{
    Authority, BALANCERS, Balancer, Diagnosis, Front, LONG_AGO, Node, Patient, Proxying, command,
};

const RIGHT: &str = "ssl_certificate @DIR@/site.pem; ssl_certificate_key @DIR@/site.pem;\n\
    location = /ws { proxy_pass http://@WS@; proxy_http_version 1.1;\n\
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; }\n\
    location = /client.js { proxy_pass http://@WS@; }";

/// A patient behind nginx, with its certificate.
fn behind(patient: &Patient, certificate: String) -> Proxying {
    Front::Nginx.start_with(&patient.worker, RIGHT, &[("site.pem", certificate)])
}

/// In so many days, as openssl writes it.
fn in_days(days: i64) -> String {
    let at = Timestamp::now().checked_add((days * 24).hours()).unwrap();
    at.strftime("%Y%m%d%H%M%SZ").to_string()
}

/// The doctor at `url`, who believes `authority`.
fn doctor(patient: &Patient, authority: &Authority, url: &str) -> Diagnosis {
    let mut command = command();
    command.env("SSL_CERT_FILE", authority.file()).env_remove("SSL_CERT_DIR");
    command.args(["doctor", "--quick", "--url", url]);
    command.arg("--config").arg(patient.config());
    Diagnosis::of(command)
}

#[test]
fn a_good_certificate_is_no_fault_and_one_that_ends_soon_a_warning() {
    let (patient, authority) = (Patient::new(), Authority::new());
    for (days, state) in [(90, "ok"), (5, "warning")] {
        let proxy = behind(&patient, authority.certificate("localhost", LONG_AGO, &in_days(days)));

        let url = format!("https://localhost:{}", proxy.address.port());
        let diagnosis = doctor(&patient, &authority, &url);

        diagnosis.assert_well();
        assert_eq!(diagnosis.state("tls"), state);
        assert!(diagnosis.found("tls").contains(", the certificate is good for localhost until "));
        assert_eq!(diagnosis.state("push"), "ok");
    }
}

#[test]
fn each_flaw_of_a_certificate_is_named_and_the_rest_is_tested_all_the_same() {
    let (patient, authority, stranger) = (Patient::new(), Authority::new(), Authority::new());
    for (certificate, found, change) in [
        (
            authority.certificate("localhost", LONG_AGO, &in_days(-3)),
            "it expired on",
            "certbot renew",
        ),
        (
            authority.certificate("localhost", &in_days(3), &in_days(30)),
            "it is good only from",
            "timedatectl",
        ),
        (
            authority.certificate("other.example", LONG_AGO, &in_days(90)),
            "it is for other.example",
            "certbot certonly -d localhost",
        ),
        (
            stranger.certificate("localhost", LONG_AGO, &in_days(90)),
            "no known authority",
            "fullchain.pem",
        ),
        (authority.self_signed("localhost"), "no known authority", "if you made it yourself"),
    ] {
        let proxy = behind(&patient, certificate);

        let url = format!("wss://localhost:{}/ws", proxy.address.port());
        let diagnosis = doctor(&patient, &authority, &url);

        diagnosis.assert_fault("tls", found, change);
        assert_eq!(diagnosis.failed(), ["tls"]);
        assert_eq!(diagnosis.state("push"), "ok");
    }
    let proxy = behind(&patient, stranger.certificate("other.example", LONG_AGO, &in_days(90)));
    let diagnosis =
        doctor(&patient, &authority, &format!("wss://localhost:{}", proxy.address.port()));
    assert_eq!(diagnosis.failed(), ["tls", "tls"], "two flaws are two faults");
}

#[test]
fn tls_where_there_is_none_and_none_where_there_is_tls_are_told_apart() {
    let (patient, authority) = (Patient::new(), Authority::new());
    let proxy = behind(&patient, authority.self_signed("localhost"));
    let plain = format!("http://127.0.0.1:{}", proxy.address.port());
    let diagnosis = doctor(&patient, &authority, &plain);
    diagnosis.assert_fault("upgrade", "the port speaks TLS", "write wss://");

    let with_tls = format!("https://127.0.0.1:{}", patient.worker.ws.port());
    let diagnosis = doctor(&patient, &authority, &with_tls);
    diagnosis.assert_fault("tls", "not TLS", "write ws://");
}

#[test]
fn the_shipped_configurations_have_no_fault_but_the_certificate_of_the_test() {
    let (patient, authority) = (Patient::new(), Authority::new());
    std::thread::scope(|scope| {
        for kind in BALANCERS {
            let (patient, authority) = (&patient, &authority);
            scope.spawn(move || {
                let balancer = Balancer::with_tls(kind, &[Node::from(&patient.worker)]);

                let url = format!("https://localhost:{}", balancer.browsers.port());
                let diagnosis = doctor(patient, authority, &url);

                assert!(diagnosis.failed().iter().all(|step| *step == "tls"), "{diagnosis:?}");
                assert_eq!((kind, diagnosis.state("push")), (kind, "ok"));
                assert_eq!((kind, diagnosis.state("script")), (kind, "ok"));
            });
        }
    });
}

#[test]
fn the_shipped_file_for_apache_has_no_fault() {
    let (patient, authority) = (Patient::new(), Authority::new());
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/apache.conf");
    let text = std::fs::read_to_string(shipped).unwrap();
    let inside = text.split("<VirtualHost *:443>").nth(1).unwrap();
    let inside = inside.split("</VirtualHost>").next().unwrap();
    for part in ["/etc/apache2/site.pem", "127.0.0.1:9000", "log.example.org"] {
        assert!(inside.contains(part), "{part}");
    }
    let inside = inside
        .replace("/etc/apache2/site.pem", "@DIR@/site.pem")
        .replace("127.0.0.1:9000", "@WS@")
        .replace("log.example.org", "localhost");
    let certificate = authority.certificate("localhost", LONG_AGO, &in_days(90));
    let proxy = Front::Apache.start_with(&patient.worker, &inside, &[("site.pem", certificate)]);

    let url = format!("https://localhost:{}", proxy.address.port());
    let diagnosis = doctor(&patient, &authority, &url);

    diagnosis.assert_well();
    for step in ["tls", "upgrade", "script", "push", "exposure"] {
        assert_eq!((step, diagnosis.state(step)), (step, "ok"));
    }
}

#[test]
fn tools_reach_a_worker_through_tls_and_refuse_a_bad_certificate() {
    let (patient, authority, stranger) = (Patient::new(), Authority::new(), Authority::new());
    let proxy = behind(&patient, authority.certificate("localhost", LONG_AGO, &in_days(90)));
    let listen = |believed: &Authority| -> Command {
        let mut command = command();
        command.env("SSL_CERT_FILE", believed.file()).env_remove("SSL_CERT_DIR");
        command.arg("listen").arg("--config").arg(patient.config());
        command.args(["--url", &format!("wss://localhost:{}/ws", proxy.address.port())]);
        command.args(["--count", "1", "t"]);
        command
    };
    patient.worker.register("t");

    let child = listen(&authority).stdout(std::process::Stdio::piped()).spawn().unwrap();
    patient.worker.wait_for_sockets(1);
    patient.worker.publish("t", "{\"n\":1}");
    let output = child.wait_with_output().unwrap();

    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"n\":1}\n");
    let mut refused = listen(&stranger).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(refused.stderr.take().unwrap()),
        &mut line,
    )
    .unwrap();
    refused.kill().unwrap();
    refused.wait().unwrap();
    assert!(line.contains("a browser refuses the certificate: no known authority"), "{line}");
}
