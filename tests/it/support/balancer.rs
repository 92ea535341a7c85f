//! A real reverse proxy in front of some workers, run with the configuration that is shipped in
//! `deploy/`: only addresses, ports and paths are put in, as an operator would.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Socket as RawSocket, Type};
use tempfile::TempDir;

use super::{Http, Worker, until};

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Haproxy,
    Nginx,
    Caddy,
}

/// Every proxy that has a configuration in `deploy/`.
pub const BALANCERS: [Kind; 3] = [Kind::Haproxy, Kind::Nginx, Kind::Caddy];

/// The two ports of one node, whether somebody listens there or not.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    pub ws: SocketAddr,
    pub internal: SocketAddr,
}

/// A running proxy. Dropping it ends the process.
pub struct Balancer {
    child: Child,
    /// Where browsers connect; TLS if it was asked for.
    pub browsers: SocketAddr,
    /// Where PHP connects.
    pub php: SocketAddr,
    directory: TempDir,
    /// Hold the ports of nodes that are not there, so that nobody else gets them.
    _dead: Vec<RawSocket>,
}

impl From<&Worker> for Node {
    fn from(worker: &Worker) -> Self {
        Self { ws: worker.ws, internal: worker.internal }
    }
}

impl Kind {
    /// The shipped file.
    pub fn text(self) -> String {
        let name = match self {
            Self::Haproxy => "haproxy.cfg",
            Self::Nginx => "nginx.conf",
            Self::Caddy => "Caddyfile",
        };
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name);
        fs::read_to_string(path).unwrap()
    }
}

impl Balancer {
    /// Starts a proxy without TLS in front of up to three nodes. Places that are left are taken by
    /// nodes that refuse every connection, in front of the others.
    pub fn start(kind: Kind, nodes: &[Node]) -> Self {
        Self::launch(kind, nodes, false)
    }

    /// As [`Balancer::start`], with the TLS of the shipped file and a certificate of its own.
    pub fn with_tls(kind: Kind, nodes: &[Node]) -> Self {
        Self::launch(kind, nodes, true)
    }

    fn launch(kind: Kind, nodes: &[Node], tls: bool) -> Self {
        let dead: Vec<RawSocket> = (nodes.len()..3).map(|_| held_port()).collect();
        let absent = dead.iter().map(|socket| {
            let ws = socket.local_addr().unwrap().as_socket().unwrap();
            // Caddy has one internal port for all nodes; nobody listens on it at this address.
            Node { ws, internal: SocketAddr::new(ws.ip(), nodes[0].internal.port()) }
        });
        let all: Vec<Node> = absent.chain(nodes.iter().copied()).collect();
        // Somebody may take a free port before the proxy does; then it is tried again.
        for _ in 0..5 {
            let directory = TempDir::new().unwrap();
            if tls {
                make_certificate(directory.path());
            }
            let [browsers, php] = [free_port(), free_port()];
            let place = Place { browsers, php, tls, nodes: &all, directory: directory.path() };
            if let Some(child) = run(prepare(kind, &place), &place) {
                let [browsers, php] =
                    [browsers, php].map(|port| (Ipv4Addr::LOCALHOST, port).into());
                return Self { child, browsers, php, directory, _dead: dead };
            }
        }
        panic!("{kind:?} found no free ports");
    }

    /// A connection to the port for browsers.
    pub fn public(&self) -> Http {
        Http::connect(self.browsers)
    }

    /// What the proxy wrote to its log so far.
    pub fn log(&self) -> String {
        log(self.directory.path())
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // By SIGTERM, for nginx has more processes, which would stay.
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::TERM);
        let ended = (0..200).any(|_| {
            thread::sleep(Duration::from_millis(5));
            self.child.try_wait().is_ok_and(|status| status.is_some())
        });
        if !ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            eprintln!("the proxy's log:\n{}", self.log());
        }
    }
}

/// What is put into a shipped file.
struct Place<'a> {
    browsers: u16,
    php: u16,
    tls: bool,
    nodes: &'a [Node],
    directory: &'a Path,
}

impl Place<'_> {
    /// The path of a file in the directory.
    fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    /// `text` with the nodes' addresses.
    fn with_nodes(&self, mut text: String) -> String {
        for (name, node) in ["worker-1", "worker-2", "worker-3"].iter().zip(self.nodes) {
            text = swap(&text, &format!("{name}:9000"), &node.ws.to_string());
            text = swap(&text, &format!("{name}:9001"), &node.internal.to_string());
        }
        text
    }
}

/// Writes the configuration and says how to run it.
fn prepare(kind: Kind, place: &Place<'_>) -> Command {
    let text = place.with_nodes(kind.text());
    match kind {
        Kind::Haproxy => haproxy(text, place),
        Kind::Nginx => nginx(text, place),
        Kind::Caddy => caddy(text, place),
    }
}

fn haproxy(mut text: String, place: &Place<'_>) -> Command {
    let Place { browsers, php, tls, .. } = place;
    let tls_words = " ssl crt /usr/local/etc/haproxy/site.pem alpn http/1.1 ssl-min-ver TLSv1.2";
    if !tls {
        text = swap(&text, tls_words, "");
    }
    text = text.replace("/usr/local/etc/haproxy/site.pem", &place.path("site.pem"));
    text = swap(&text, "bind :443", &format!("bind 127.0.0.1:{browsers}"));
    text = swap(&text, "bind :9001", &format!("bind 127.0.0.1:{php}"));
    // The nodes of a test share their address and differ by port.
    for node in place.nodes {
        let ready =
            format!("{} port {} addr {}", node.ws, node.internal.port(), node.internal.ip());
        text = swap(&text, &format!("{} port 9001", node.ws), &ready);
    }
    fs::write(place.path("haproxy.cfg"), text).unwrap();
    let mut command = program("haproxy");
    command.args(["-db", "-f", &place.path("haproxy.cfg")]);
    command
}

fn nginx(mut text: String, place: &Place<'_>) -> Command {
    let Place { browsers, php, tls, .. } = place;
    if *tls {
        text = swap(&text, "listen 443 ssl;", &format!("listen 127.0.0.1:{browsers} ssl;"));
        text = swap(&text, "/etc/nginx/site.pem", &place.path("site.pem"));
    } else {
        text = swap(&text, "listen 443 ssl;", &format!("listen 127.0.0.1:{browsers};"));
        text = text
            .lines()
            .filter(|line| !line.contains("ssl_"))
            .flat_map(|line| [line, "\n"])
            .collect();
    }
    text = swap(&text, "listen 9001;", &format!("listen 127.0.0.1:{php};"));
    text = swap(&text, "/run/nginx.pid", &place.path("nginx.pid"));
    let written = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths = written.map(|name| format!("    {name}_temp_path {};\n", place.path(name)));
    text = swap(&text, "http {\n", &format!("http {{\n{}", paths.concat()));
    // Not more files than the machine may have.
    text = swap(&text, "worker_rlimit_nofile 65536;\n", "");
    text = swap(&text, "worker_connections 32768;", "worker_connections 512;");
    fs::write(place.path("nginx.conf"), text).unwrap();
    let mut command = program("nginx");
    command.args(["-e", "stderr", "-g", "daemon off;", "-c", &place.path("nginx.conf")]);
    command
}

fn caddy(mut text: String, place: &Place<'_>) -> Command {
    let Place { browsers, php, tls, .. } = place;
    let asked = place.nodes.last().unwrap().internal.port();
    text = swap(&text, "health_port 9001", &format!("health_port {asked}"));
    text = swap(&text, "http://:9001 {", &format!("http://:{php} {{"));
    // No administration, no redirects on port 80, no authority put into the system's store.
    if is_caddy_2_6_2() {
        text = swap(&text, "request_buffers 2MiB", "buffer_requests");
    }
    let https = if *tls { format!("\thttps_port {browsers}\n") } else { String::new() };
    let options = format!(
        "{{\n\tadmin off\n\tdefault_bind 127.0.0.1\n\tskip_install_trust\n\
         \tauto_https disable_redirects\n{https}}}\n"
    );
    fs::write(place.path("Caddyfile"), options + &text).unwrap();
    let mut command = program("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config", &place.path("Caddyfile")]);
    if !tls {
        command.env("SITE", format!("http://:{browsers}"));
    }
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
        command.env(name, place.directory);
    }
    command
}

/// Debian 12 has it. Versions after it call one setting by another name.
fn is_caddy_2_6_2() -> bool {
    let output = program("caddy").arg("version").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim_start_matches('v').starts_with("2.6.2")
}

/// `text` with `old`, which has to be in it, replaced by `new`.
fn swap(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "the shipped file has no `{old}`");
    text.replace(old, new)
}

/// Runs the proxy and waits until it listens; `None` if it ended because a port was taken.
fn run(mut command: Command, place: &Place<'_>) -> Option<Child> {
    let file = fs::File::create(place.path("log")).unwrap();
    command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let listens = until("the proxy to listen", || {
        if child.try_wait().unwrap().is_some() {
            let log = log(place.directory);
            let taken = ["in use", "annot bind"].iter().any(|words| log.contains(words));
            assert!(taken, "the proxy ended: {log}");
            return Some(false);
        }
        let answers = |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        (answers(place.browsers) && answers(place.php)).then_some(true)
    });
    listens.then_some(child)
}

fn log(directory: &Path) -> String {
    fs::read_to_string(directory.join("log")).unwrap_or_default()
}

/// A program that may stand where only administrators look.
pub fn program(name: &str) -> Command {
    let path = env::var("PATH").unwrap_or_default();
    let mut command = Command::new(name);
    command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
    command
}

/// `site.pem`: certificate and key of a `localhost` that nobody knows.
fn make_certificate(directory: &Path) {
    let mut command = program("openssl");
    command.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt"]);
    command.args(["ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost", "-days", "2"]);
    command.arg("-keyout").arg(directory.join("key.pem"));
    command.arg("-out").arg(directory.join("certificate.pem"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let parts = ["certificate.pem", "key.pem"].map(|name| fs::read(directory.join(name)).unwrap());
    fs::write(directory.join("site.pem"), parts.concat()).unwrap();
}

/// A port that nobody listens on at this moment.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A bound port on which nobody listens: every connection to it is refused. On an address of its
/// own, so that no other port of it answers either.
fn held_port() -> RawSocket {
    let socket = RawSocket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 6, 1], 0)).into()).unwrap();
    socket
}
