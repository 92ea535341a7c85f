//! A Debian of a test's own: a copy of a tree that `scripts/debian-tree` made, either plain, where
//! commands run in a chroot, or booted, with systemd as the first process of namespaces of its own.
//! Or no Debian at all, but a network of a test's own.
//!
//! A booted machine has its own network, so its ports are nobody else's. Whatever runs in it ends
//! with it: its first process is killed, and the kernel kills the rest. Start reading at
//! [`Machine::booted`].

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest time that anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(180);

/// A Debian of a test's own.
pub struct Machine {
    directory: TempDir,
    /// The process that made the namespaces, and the first one within.
    running: Option<(Child, u32)>,
}

/// What a command did.
#[derive(Debug)]
pub struct Done {
    pub succeeded: bool,
    /// Both streams.
    pub said: String,
}

/// Where what is tested stands.
pub fn made(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    target.join("packages").join(name)
}

/// Asks until there is an answer.
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        sleep(Duration::from_millis(20));
    }
}

/// Runs `command` to its end.
pub fn done(command: &mut Command) -> Done {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    Done { succeeded: status.success(), said: said.into_owned() }
}

impl Machine {
    /// One without systemd running. Its network is this machine's.
    pub fn plain() -> Self {
        let machine = Self { directory: copy_of("plain"), running: None };
        // For apt, which fetches what a package depends on.
        fs::copy("/etc/resolv.conf", machine.path("/etc/resolv.conf")).unwrap();
        machine
    }

    /// One that systemd has started, with the packages of the tests in `/packages`.
    pub fn booted() -> Self {
        let directory = copy_of("systemd");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages/boot.sh");
        let root = directory.path().to_owned();
        let machine = Self::within(directory, &[script.as_os_str(), root.as_os_str()], "systemd");
        // That all is well with units that are not ours is not asked for.
        until("systemd to have started everything", || {
            let state = machine.try_run("systemctl is-system-running").said;
            ["running", "degraded"].contains(&state.trim()).then_some(())
        });
        machine
    }

    /// Files and programs of this machine, but a network with nothing but loopback, on which
    /// 10.9.0.1 is, too; and a directory for what the test makes.
    pub fn network() -> Self {
        let directory = TempDir::new_in(made("")).unwrap();
        let script = "mount --make-rprivate / && mount -t proc proc /proc && ip link set lo up && \
                      ip address add 10.9.0.1/24 dev lo && exec sleep infinity";
        Self::within(directory, &["-c".as_ref(), script.as_ref()], "sleep")
    }

    /// Runs `sh` with `arguments` as the first process of new namespaces, and waits until it has
    /// become `name`.
    fn within(directory: TempDir, arguments: &[&OsStr], name: &str) -> Self {
        let mut outside = Command::new("unshare")
            .args(["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork"])
            .args(["--kill-child", "sh"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let first = until("the first process", || {
            assert!(outside.try_wait().unwrap().is_none(), "the machine does not start");
            let id = outside.id();
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).ok()?;
            children.trim().parse().ok()
        });
        let machine = Self { directory, running: Some((outside, first)) };
        until("the first process to be up", || {
            let running = fs::read_to_string(format!("/proc/{first}/comm")).ok()?;
            (running.trim_end() == name).then_some(())
        });
        machine
    }

    /// Where `path` of this Debian is, seen from outside.
    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    /// Runs `script` in a shell as root and returns what it said; it has to succeed.
    #[track_caller]
    pub fn run(&self, script: &str) -> String {
        let done = self.try_run(script);
        assert!(done.succeeded, "{script}: {}", done.said);
        done.said
    }

    /// Runs `script` in a shell as root.
    pub fn try_run(&self, script: &str) -> Done {
        done(&mut self.command(script))
    }

    /// Starts `script` in a shell as root; it ends with the machine at the latest.
    pub fn start(&self, script: &str, log: &Path) {
        assert!(self.running.is_some(), "nothing would end it");
        let log = fs::File::create(log).unwrap();
        let mut command = self.command(script);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        drop(command.spawn().unwrap());
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=1", "120"]);
        if let Some((_, first)) = &self.running {
            command.args(["nsenter", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"]);
            command.args(["--target", &first.to_string()]);
        } else {
            command.args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "chroot"]);
            command.arg(self.directory.path());
        }
        command.args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"]);
        command.args(["DEBIAN_FRONTEND=noninteractive", "sh", "-c", script]);
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some((outside, _)) = &mut self.running {
            // The kernel kills the first process with it, and with that all others.
            let _ = outside.kill();
            let _ = outside.wait();
        }
    }
}

/// A copy of a tree, with the packages in `/packages`.
fn copy_of(tree: &str) -> TempDir {
    let directory = TempDir::new_in(made("")).unwrap();
    let from = made("trees").join(tree).join(".");
    let copied = done(Command::new("cp").arg("-a").arg(from).arg(directory.path()));
    assert!(copied.succeeded, "{}", copied.said);
    // What is written need not outlive a power cut, and the disk is everybody's.
    let settings = directory.path().join("etc/dpkg/dpkg.cfg.d/tests");
    fs::write(settings, "force-unsafe-io\n").unwrap();
    let packages = directory.path().join("packages");
    fs::create_dir(&packages).unwrap();
    for name in ["old.deb", "new.deb"] {
        fs::copy(made(name), packages.join(name)).unwrap();
    }
    directory
}
