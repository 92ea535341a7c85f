//! The static program in a root with nothing else: it finds a Redis by name, as the C library's
//! static form can, and believes the certificates of the image.

use std::fs;
use std::path::PathBuf;

use crate::machine::{Machine, made, until};

const SECRET: &str = "f3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A network with a copy of the image's root.
fn scene() -> (Machine, PathBuf) {
    let machine = Machine::network();
    let root = machine.path("image");
    machine.run(&format!("cp -a {} {}", made("image").display(), root.display()));
    (machine, root)
}

/// Starts Redis in the network, on port 6379, with `options`.
fn redis(machine: &Machine, options: &str) {
    let directory = machine.path("").display().to_string();
    let options = format!("--bind 127.0.0.1 --save '' --dir {directory} {options}");
    machine.start(&format!("redis-server {options}"), &machine.path("redis.log"));
    let log = machine.path("redis.log");
    until("Redis", || fs::read_to_string(&log).unwrap().contains("Ready to accept").then_some(()));
}

/// Starts a DNS server that knows `redis.test` and nothing else.
fn dns(machine: &Machine) {
    let options = "--keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --user=root \
                   --pid-file= --listen-address=127.0.0.1 --bind-interfaces --log-facility=- \
                   --address=/redis.test/127.0.0.1";
    machine.start(&format!("dnsmasq {options}"), &machine.path("dns.log"));
    let log = machine.path("dns.log");
    until("DNS", || fs::read_to_string(&log).unwrap().contains("started").then_some(()));
}

/// What the worker in the root says of the Redis at `url`, once it knows.
fn found(machine: &Machine, url: &str) -> String {
    let log = machine.path("worker.log");
    let root = machine.path("image").display().to_string();
    machine.start(
        &format!(
            "WORKER_SECRET={SECRET} WORKER_REDIS_URL={url} chroot --userspec=65532:65532 {root} \
             /usr/bin/wavelog_worker"
        ),
        &log,
    );
    let said = until("news of Redis", || {
        let said = fs::read_to_string(&log).unwrap();
        (said.contains("connected to Redis") || said.contains("Redis is away")).then_some(said)
    });
    let worker = machine.run("pgrep --full ^/usr/bin/wavelog_worker");
    machine.run(&format!("kill -KILL {}", worker.trim()));
    until("its end", || {
        (!machine.try_run("pgrep --full ^/usr/bin/wavelog_worker").succeeded).then_some(())
    });
    said
}

#[test]
fn a_redis_is_found_by_the_file_of_hosts_and_by_dns_with_and_without_nsswitch() {
    let (machine, root) = scene();
    redis(&machine, "");
    dns(&machine);

    fs::write(root.join("etc/hosts"), "127.0.0.1 redis-1\n").unwrap();
    let alone = found(&machine, "redis://redis-1:6379/0");
    fs::write(root.join("etc/resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    let mut all = vec![("hosts alone", alone)];
    for nsswitch in [None, Some("hosts: files dns\n"), Some("hosts: files mymachines dns\n")] {
        if let Some(text) = nsswitch {
            fs::write(root.join("etc/nsswitch.conf"), text).unwrap();
        }
        all.push(("hosts", found(&machine, "redis://redis-1:6379/0")));
        all.push(("dns", found(&machine, "redis://redis.test:6379/0")));
    }
    let unknown = found(&machine, "redis://unknown.test:6379/0");

    for (how, said) in all {
        assert!(said.contains("connected to Redis"), "{how}: {said}");
    }
    assert!(unknown.contains("failed to lookup address information"), "{unknown}");
}

#[test]
fn a_redis_with_tls_is_believed_by_the_certificates_of_the_image_and_by_no_others() {
    let (machine, root) = scene();
    let directory = machine.path("").display().to_string();
    machine.run(&format!(
        "cd {directory} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
         -keyout ca.key -out ca.pem -subj /CN=authority -days 2 && openssl req -newkey ec \
         -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout redis.key -out redis.csr \
         -subj /CN=redis.test && printf 'subjectAltName=DNS:redis.test' >names && openssl x509 \
         -req -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile names \
         -out redis.pem"
    ));
    let tls = "--port 0 --tls-port 6379 --tls-auth-clients no --tls-cert-file redis.pem \
               --tls-key-file redis.key";
    redis(&machine, tls);
    fs::write(root.join("etc/hosts"), "127.0.0.1 redis.test\n").unwrap();

    let stranger = found(&machine, "rediss://redis.test:6379/0");
    let bundle = root.join("etc/ssl/certs/ca-certificates.crt");
    let both =
        fs::read_to_string(&bundle).unwrap() + &fs::read_to_string(machine.path("ca.pem")).unwrap();
    fs::write(&bundle, both).unwrap();
    let known = found(&machine, "rediss://redis.test:6379/0");

    assert!(stranger.contains("Redis is away") && stranger.contains("certificate"), "{stranger}");
    assert!(known.contains("connected to Redis"), "{known}");
}
