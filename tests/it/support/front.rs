//! A real proxy with a configuration of the test's own, right or wrong. (`balancer` starts the
//! shipped ones.)

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Worker, free_port, program, until};

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    Nginx,
    Apache,
    Haproxy,
    Caddy,
}

/// All of them.
pub const FRONTS: [Front; 4] = [Front::Nginx, Front::Apache, Front::Haproxy, Front::Caddy];

/// A running proxy. Dropping it ends the process.
pub struct Proxying {
    child: Child,
    /// Where browsers connect.
    pub address: SocketAddr,
    directory: TempDir,
}

impl Front {
    /// Starts it with `lines` of its language inside of what serves the port. In them `@WS@` and
    /// `@INTERNAL@` are the addresses of the worker's ports, `@PORT@` the proxy's own port and
    /// `@DIR@` its directory.
    pub fn start(self, worker: &Worker, lines: &str) -> Proxying {
        self.start_with(worker, lines, &[])
    }

    /// The same with files, by name and text, in its directory.
    pub fn start_with(self, worker: &Worker, lines: &str, files: &[(&str, String)]) -> Proxying {
        self.start_before(worker.ws, worker.internal, lines, files)
    }

    /// The same for a worker that need not be there.
    pub fn start_before(
        self,
        ws: SocketAddr,
        internal: SocketAddr,
        lines: &str,
        files: &[(&str, String)],
    ) -> Proxying {
        // Somebody may take a free port before the proxy does; then it is tried again.
        for _ in 0..5 {
            let directory = TempDir::new().unwrap();
            for (name, text) in files {
                fs::write(directory.path().join(name), text).unwrap();
            }
            let port = free_port();
            let text = self
                .around(lines)
                .replace("@WS@", &ws.to_string())
                .replace("@INTERNAL@", &internal.to_string())
                .replace("@PORT@", &port.to_string())
                .replace("@DIR@", directory.path().to_str().unwrap());
            fs::write(directory.path().join("conf"), text).unwrap();
            if let Some(child) = self.run(&directory, port) {
                return Proxying { child, address: (Ipv4Addr::LOCALHOST, port).into(), directory };
            }
        }
        panic!("{self:?} found no free port");
    }

    /// The whole configuration with `lines` where they belong.
    fn around(self, lines: &str) -> String {
        match self {
            Self::Nginx => format!(
                "error_log stderr warn;\npid @DIR@/pid;\nevents {{ worker_connections 64; }}\n\
                 http {{\naccess_log off;\ndefault_type text/html;\n\
                 client_body_temp_path @DIR@/body;\nproxy_temp_path @DIR@/proxy;\n\
                 fastcgi_temp_path @DIR@/fastcgi;\nuwsgi_temp_path @DIR@/uwsgi;\n\
                 scgi_temp_path @DIR@/scgi;\n\
                 server {{\nlisten 127.0.0.1:@PORT@{};\n{lines}\n}}\n}}\n",
                if lines.contains("ssl_certificate") { " ssl" } else { "" }
            ),
            Self::Apache => {
                let modules = [
                    "mpm_event",
                    "authn_core",
                    "authz_core",
                    "authz_host",
                    "auth_basic",
                    "authn_file",
                    "authz_user",
                    "alias",
                    "dir",
                    "mime",
                    "headers",
                    "rewrite",
                    "proxy",
                    "proxy_http",
                    "proxy_wstunnel",
                    "socache_shmcb",
                    "ssl",
                ];
                let load = modules.map(|name| {
                    format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
                });
                format!(
                    "{}ServerName localhost\nListen 127.0.0.1:@PORT@\nPidFile @DIR@/pid\n\
                     DefaultRuntimeDir @DIR@\nErrorLog /dev/stderr\nUser www-data\n\
                     Group www-data\nTypesConfig /etc/mime.types\nThreadsPerChild 16\n\
                     ServerLimit 2\nMaxRequestWorkers 32\nStartServers 1\n\
                     <VirtualHost 127.0.0.1:@PORT@>\n{lines}\n</VirtualHost>\n",
                    load.concat()
                )
            }
            Self::Haproxy => format!(
                "defaults\n  mode http\n  timeout connect 500ms\n  timeout client 75s\n  \
                 timeout server 75s\n  timeout tunnel 75s\n\
                 frontend f\n  bind 127.0.0.1:@PORT@\n{lines}\n"
            ),
            Self::Caddy => format!(
                "{{\n\tadmin off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n}}\n\
                 http://:@PORT@ {{\n{lines}\n}}\n"
            ),
        }
    }

    /// Runs it and waits until it listens; `None` if its port was taken.
    fn run(self, directory: &TempDir, port: u16) -> Option<Child> {
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let mut command = match self {
            Self::Nginx => {
                let mut command = program("nginx");
                command.args(["-e", "stderr", "-g", "daemon off;", "-c", &path("conf")]);
                command
            }
            Self::Apache => {
                let mut command = program("apache2");
                command.args(["-D", "FOREGROUND", "-f", &path("conf")]);
                command
            }
            Self::Haproxy => {
                let mut command = program("haproxy");
                command.args(["-db", "-f", &path("conf")]);
                command
            }
            Self::Caddy => {
                let mut command = program("caddy");
                command.args(["run", "--adapter", "caddyfile", "--config", &path("conf")]);
                for name in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
                    command.env(name, directory.path());
                }
                command
            }
        };
        let file = fs::File::create(path("log")).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let listens = until("the proxy to listen", || {
            if child.try_wait().unwrap().is_some() {
                let log = fs::read_to_string(path("log")).unwrap_or_default();
                let taken = ["in use", "annot bind", "could not bind"];
                assert!(taken.iter().any(|words| log.contains(words)), "the proxy ended: {log}");
                return Some(false);
            }
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(true)
        });
        listens.then_some(child)
    }
}

impl Proxying {
    /// Its address as a person writes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Proxying {
    fn drop(&mut self) {
        // By SIGTERM, for some have more processes, which would stay.
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::TERM);
        let ended = (0..400).any(|_| {
            thread::sleep(Duration::from_millis(5));
            self.child.try_wait().is_ok_and(|status| status.is_some())
        });
        if !ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            let log = fs::read_to_string(self.directory.path().join("log"));
            eprintln!("the proxy's log:\n{}", log.unwrap_or_default());
        }
    }
}
