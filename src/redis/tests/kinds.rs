//! The kinds of servers there are, and the ways to get in.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;

use tempfile::TempDir;

use super::*;
use crate::config::{RedisAddress, RedisTarget, RedisTls};

#[tokio::test]
async fn a_user_of_the_access_list_gets_in_with_what_it_needs() {
    let server = Server::start(&[]);
    server.cli(&[
        "acl",
        "setuser",
        "worker",
        "on",
        ">hunter2",
        "~*",
        "&*",
        "-@all",
        "+publish",
        "+subscribe",
        "+hello",
        "+select",
    ]);
    let config = |password: &str| RedisConfig {
        username: Some("worker".to_owned()),
        password: Some(password.to_owned()),
        database: 3,
        ..server.config()
    };

    // PING and ROLE are not allowed.
    let way = Way::up(config("hunter2")).await;
    way.publish("let in").await;
    Way::to(config("other")).fails_with("refuses the user name or the password").await;

    server.cli(&["acl", "setuser", "worker", "resetchannels"]);
    until("it may not listen", || {
        way.redis.describe().last_error.is_some_and(|error| error.starts_with("NOPERM"))
    })
    .await;
    way.is(LinkState::Away).await;
}

#[tokio::test]
async fn a_database_that_is_not_there_is_named() {
    let server = Server::start(&["--databases", "2"]);

    let way = Way::to(RedisConfig { database: 2, ..server.config() });

    way.fails_with("DB index is out of range").await;
}

#[tokio::test]
async fn a_socket_of_this_machine_will_do() {
    let server = Server::start(&["--port", "0", "--unixsocket", "redis.sock"]);
    let path = server.folder.path().join("redis.sock");
    let at =
        |path: &Path| RedisConfig { target: RedisTarget::Unix(path.to_owned()), ..server.config() };

    let way = Way::up(at(&path)).await;
    way.publish("by socket").await;
    assert_eq!(way.redis.describe().redis, format!("unix://{}?db=0", path.display()));

    Way::to(at(&path.with_extension("other"))).fails_with("connection refused").await;
}

/// A folder with an authority and a certificate of its for 127.0.0.1.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(&format!("{new} -keyout ca.key -out ca.pem -subj /CN=authority"));
    openssl(&format!(
        "{new} -keyout redis.key -out redis.pem -subj /CN=redis -CA ca.pem -CAkey ca.key \
         -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
    ));
    folder
}

#[tokio::test]
async fn tls_is_spoken_to_who_shows_a_certificate_of_the_authority() {
    let server = Server::start_in(
        certificates(),
        &[
            "--port",
            "0",
            "--tls-port",
            "{port}",
            "--tls-auth-clients",
            "no",
            "--tls-cert-file",
            "redis.pem",
            "--tls-key-file",
            "redis.key",
            "--tls-ca-cert-file",
            "ca.pem",
        ],
    );
    let with = |ca_file: Option<&str>, verify| RedisConfig {
        tls: Some(RedisTls {
            ca_file: ca_file.map(|name| server.folder.path().join(name)),
            verify,
        }),
        ..server.config()
    };

    let checked = Way::up(with(Some("ca.pem"), true)).await;
    checked.publish("secret").await;
    assert!(checked.redis.describe().redis.starts_with("rediss://"));
    Way::up(with(None, false)).await;

    Way::to(with(None, true)).fails_with("invalid peer certificate").await;
    Way::to(with(Some("gone.pem"), true)).fails_with("gone.pem cannot be read").await;
}

#[tokio::test]
async fn a_replica_is_not_taken_until_it_is_a_master() {
    let master = Server::start(&[]);
    let port = master.port.to_string();
    let replica = Server::start(&["--replicaof", "127.0.0.1", port.as_str()]);

    let way = Way::to(replica.config());
    way.fails_with("is a read-only replica").await;

    replica.cli(&["replicaof", "no", "one"]);
    way.is(LinkState::Up).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await; // So that it is tried at once.

    // It is noticed by the first thing that cannot be written, not before.
    replica.cli(&["replicaof", "127.0.0.1", port.as_str()]);
    let refused = loop {
        match way.redis.newer_commands(0).await.query::<()>(cmd("SET").arg("a").arg(1)).await {
            Ok(()) | Err(RedisError::Lost(_)) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(refused, RedisError::NotServing("is a read-only replica (READONLY)".to_owned()));
    until("it is given up", || way.redis.commands().is_none()).await;
}

#[tokio::test]
async fn a_redis_cluster_is_found_by_one_of_its_nodes() {
    let node = Server::start(&["--cluster-enabled", "yes", "--cluster-port", "{free}"]);
    let dead = RedisAddress { host: "127.0.0.1".to_owned(), port: server::free_port() };
    let config = |target| RedisConfig { target, ..node.config() };

    let alone = Way::to(config(RedisTarget::Cluster(vec![dead, node.address()])));
    alone.fails_with("").await;
    node.cli(&["cluster", "addslotsrange", "0", "16383"]);

    alone.is(LinkState::Up).await;
    alone.publish("to all nodes").await;
    assert!(alone.redis.heard_all(alone.redis.listening(0).await).await);
    assert_eq!(*alone.heard.lock(), ["to all nodes"]);
    let _: () = alone.commands().query(cmd("SET").arg("a").arg(1)).await.unwrap();

    let single = Server::start(&[]);
    Way::to(RedisConfig { target: RedisTarget::Cluster(vec![single.address()]), ..node.config() })
        .fails_with("")
        .await;
}

/// A server that answers everything with `answer`.
fn fake(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        // The port is free again when the process ends.
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 1024]);
            let _ = client.write_all(&answer.repeat(3)); // It greets with three commands.
            let _ = client.shutdown(Shutdown::Write);
        }
    });
    port
}

#[tokio::test]
async fn what_is_too_old_or_no_redis_at_all_is_told_without_the_password() {
    let to = |answer| {
        let port = fake(answer);
        Way::to(RedisConfig {
            target: RedisTarget::Tcp(RedisAddress { host: "127.0.0.1".to_owned(), port }),
            username: None,
            password: Some("hunter2".to_owned()),
            database: 0,
            tls: None,
        })
    };

    let old = to(b"-ERR unknown command 'HELLO', with args beginning with: '3' 'hunter2' \r\n");
    let web = to(b"HTTP/1.1 400 Bad Request hunter2\r\n\r\n");
    let odd = to(b"-ERR what is hunter2?\r\n");

    old.fails_with("needs Redis 6 or newer, or Valkey").await;
    odd.fails_with("ERR: what is ***?").await;
    until("it is told", || web.redis.describe().last_error.is_some()).await;
    assert!(!format!("{:?}", web.redis.describe()).contains("hunter2"));
}

/// A folder with the configuration of a sentinel that watches `master` alone.
pub(super) fn sentinel(master: &Server) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "sentinel monitor main 127.0.0.1 {} 1\n\
         sentinel down-after-milliseconds main 500\n\
         sentinel failover-timeout main 3000\n\
         requirepass hunter2\n",
        master.port
    );
    fs::write(folder.path().join("sentinel.conf"), text).unwrap();
    Server::start_in(folder, &["sentinel.conf"])
}
