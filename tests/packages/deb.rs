//! The package: installed, used, upgraded, removed and purged, with and without systemd.

use std::collections::BTreeSet;
use std::fs;

use rustix::process::{Resource, getrlimit};

use crate::machine::{Machine, until};

const CONFIG: &str = "/etc/wavelog_worker/config.yaml";
const TOOL: &str = "wavelog_worker --config /etc/wavelog_worker/config.yaml";

/// A booted machine with the package installed, as apt does it; and what apt said.
fn installed() -> (Machine, String) {
    let machine = Machine::booted();
    let said = machine.run("apt-get install --yes /packages/old.deb");
    (machine, said)
}

/// What systemd says of the service.
fn property(machine: &Machine, name: &str) -> String {
    let said = machine.run(&format!("systemctl show --property {name} --value wavelog_worker"));
    said.trim().to_owned()
}

/// The files of a machine, without those that change by themselves or by the package manager.
fn files(machine: &Machine) -> BTreeSet<String> {
    let found = machine.run(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \
         -o -path /var/log -o -path /var/cache -o -path /var/lib/apt -o -path /var/lib/dpkg \
         -o -path /var/lib/systemd -o -path /packages \\) -prune -o -print",
    );
    found.lines().map(str::to_owned).collect()
}

#[test]
fn the_service_runs_at_once_as_a_user_of_its_own_with_a_fresh_secret() {
    let (machine, said) = installed();

    assert!(said.contains("wavelog_worker runs: port 9000 is for browsers"), "{said}");
    assert!(said.contains(&format!("grep ^worker_secret {CONFIG}")), "{said}");
    assert!(said.contains("sudo wavelog_worker status"), "{said}");
    let made = machine.run(&format!("stat --format '%a %U %G' {CONFIG} /etc/wavelog_worker"));
    assert_eq!(made, "640 root wavelog_worker\n750 root wavelog_worker\n");
    let secret = machine.run(&format!("sed -n 's/^worker_secret: \"\\(.*\\)\"/\\1/p' {CONFIG}"));
    assert_eq!(secret.trim().len(), 64, "{secret}");
    assert!(!said.contains(secret.trim()), "{said}");
    let status = machine.run(&format!("{TOOL} status"));
    assert!(status.contains("single node"), "{status}");
    assert_eq!(machine.run("systemctl is-enabled wavelog_worker"), "enabled\n");
    let journal = machine.run("journalctl --unit wavelog_worker --output cat");
    assert!(journal.contains("listening"), "{journal}");
    assert!(!journal.contains("WARN"), "{journal}");
}

#[test]
fn it_brings_manual_pages_completions_and_files_to_copy() {
    let (machine, _) = installed();

    let files = machine.run("dpkg --listfiles wavelog-worker");
    for path in [
        "/usr/share/man/man1/wavelog_worker.1.gz",
        "/usr/share/man/man1/wavelog_worker-doctor.1.gz",
        "/usr/share/bash-completion/completions/wavelog_worker",
        "/usr/share/zsh/vendor-completions/_wavelog_worker",
        "/usr/share/fish/vendor_completions.d/wavelog_worker.fish",
        "/usr/share/doc/wavelog-worker/docs/install.md",
        "/usr/share/doc/wavelog-worker/examples/nginx.conf",
        "/usr/share/doc/wavelog-worker/examples/apache.conf",
        "/usr/share/doc/wavelog-worker/examples/haproxy.cfg",
        "/usr/share/doc/wavelog-worker/examples/Caddyfile",
        "/usr/share/doc/wavelog-worker/examples/config.sample.yaml",
    ] {
        assert!(files.lines().any(|line| line == path), "{path}");
        assert!(fs::metadata(machine.path(path)).unwrap().len() > 100, "{path}");
    }
    let completed = machine.run(
        "bash -c '. /usr/share/bash-completion/completions/wavelog_worker; COMP_CWORD=1; \
         COMP_WORDS=(wavelog_worker doc); _wavelog_worker wavelog_worker doc wavelog_worker; \
         echo ${COMPREPLY[@]}'",
    );
    assert_eq!(completed, "doctor\n");
}

#[test]
fn the_service_is_fenced_in_and_may_open_many_files() {
    let (machine, _) = installed();
    let process = property(&machine, "MainPID");

    let status = machine.run(&format!("cat /proc/{process}/status"));
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().to_owned()
    };
    let user = machine.run("id --user wavelog_worker");
    assert_eq!(field("Uid:"), user.trim());
    assert_eq!(field("CapBnd:"), "0000000000000000");
    assert_eq!((field("NoNewPrivs:"), field("Seccomp:")), ("1".to_owned(), "2".to_owned()));
    let limits = machine.run(&format!("cat /proc/{process}/limits"));
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let limits: Vec<&str> = files.split_whitespace().skip(3).take(2).collect();
    // Or as many as this machine has to give.
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).min(65536).to_string();
    assert_eq!(limits, [most.as_str(), most.as_str()]);
    // A look through the worker's own eyes.
    let enter = format!("nsenter --mount --target {process} setpriv --reuid wavelog_worker");
    let write = machine.try_run(&format!("{enter} --clear-groups touch /var/tmp/x /etc/x"));
    let written = machine.try_run("ls /var/tmp/x /etc/x");
    assert!(!write.succeeded && !written.succeeded, "{write:?} {written:?}");
}

#[test]
fn a_publish_reaches_a_browser() {
    let (machine, _) = installed();
    let log = machine.path("/packages/pushes");

    machine.start(&format!("{TOOL} listen --register --count 1 session.42"), &log);
    until("the listener to be subscribed", || {
        machine.run(&format!("{TOOL} status --topics")).contains("session.42").then_some(())
    });
    until("the push", || {
        machine.run(&format!("{TOOL} publish session.42 '{{\"call\":\"DL1ABC\"}}'"));
        fs::read_to_string(&log).unwrap().contains("\"DL1ABC\"").then_some(())
    });
}

#[test]
fn an_upgrade_restarts_it_and_keeps_the_secret_and_what_was_changed() {
    let (machine, _) = installed();
    machine.run(&format!("sed -i 's/^topic_ttl: .*/topic_ttl: \"2h\"/' {CONFIG}"));
    let before = fs::read_to_string(machine.path(CONFIG)).unwrap();
    let process = property(&machine, "MainPID");

    let said = machine.run("apt-get install --yes /packages/new.deb");

    assert_eq!(fs::read_to_string(machine.path(CONFIG)).unwrap(), before);
    assert_eq!(property(&machine, "ActiveState"), "active");
    assert_ne!(property(&machine, "MainPID"), process);
    assert!(machine.run(&format!("{TOOL} check")).contains("2h"));
    assert!(!said.contains("Give PHP"), "no news on an upgrade: {said}");
    assert!(machine.run("dpkg-query --show wavelog-worker").contains("-2\n"));
}

#[test]
fn an_upgrade_that_finds_a_faulty_configuration_says_that_it_does_not_run() {
    let (machine, _) = installed();
    machine.run(&format!("echo 'ws_port: here' >>{CONFIG}"));

    let said = machine.run("apt-get install --yes /packages/new.deb");

    assert!(said.contains("wavelog_worker does not run; why, says: journalctl -u"), "{said}");
    let journal = machine.run("journalctl --unit wavelog_worker --lines 20 --output cat");
    assert!(journal.contains("ws_port"), "{journal}");
}

#[test]
fn removing_it_stops_it_and_a_purge_leaves_the_user_alone() {
    let machine = Machine::booted();
    let before = files(&machine);
    machine.run("apt-get install --yes /packages/old.deb");
    let process = property(&machine, "MainPID");

    machine.run("apt-get remove --yes wavelog-worker");
    let gone = !machine.path(&format!("/proc/{process}")).exists();
    let kept = machine.path(CONFIG).exists();
    machine.run("apt-get purge --yes wavelog-worker");

    assert!(gone && kept);
    assert!(!machine.try_run(&format!("test -e /proc/{process}")).succeeded);
    let left: Vec<String> = files(&machine).difference(&before).cloned().collect();
    // Copies that adduser makes of what was there before.
    let left: Vec<&String> = left.iter().filter(|path| !path.ends_with('-')).collect();
    assert!(left.is_empty(), "{left:?}");
    let user = machine.run("getent passwd wavelog_worker");
    assert!(user.trim_end().ends_with(":/nonexistent:/usr/sbin/nologin"), "{user}");
}

#[test]
fn a_start_that_fails_is_said_at_once_with_what_to_do() {
    let (machine, _) = installed();
    machine.run("systemctl stop wavelog_worker");
    machine.run(&format!("sed -i 's/^ws_port: .*/ws_port: 80/' {CONFIG}"));

    let start = machine.try_run("systemctl start wavelog_worker");

    assert!(!start.succeeded);
    let journal = machine.run("journalctl --unit wavelog_worker --output cat");
    assert!(journal.contains("ws_port 80: permission denied; choose a port above"), "{journal}");
}

/// Adds lines to the service, as `systemctl edit` does.
fn edit(machine: &Machine, lines: &str) {
    let directory = "/etc/systemd/system/wavelog_worker.service.d";
    machine.run(&format!("mkdir -p {directory} && printf '{lines}' >{directory}/override.conf"));
    machine.run("systemctl daemon-reload");
}

#[test]
fn a_port_below_1024_takes_the_lines_that_the_readme_has() {
    let (machine, _) = installed();
    machine.run(&format!("sed -i 's/^ws_port: .*/ws_port: 80/' {CONFIG}"));
    let may_bind = "CAP_NET_BIND_SERVICE";

    edit(
        &machine,
        &format!(
            "[Service]\\nAmbientCapabilities={may_bind}\\nCapabilityBoundingSet={may_bind}\\n\
             PrivateUsers=no\\n"
        ),
    );
    machine.run("systemctl restart wavelog_worker");

    assert_eq!(machine.run(&format!("{TOOL} health --ws")), "127.0.0.1:80 takes browsers\n");
}

#[test]
fn a_redis_on_a_socket_of_a_group_is_reached_with_the_line_that_the_readme_has() {
    let (machine, _) = installed();
    machine.run("groupadd --system redis && install -d -m 755 /run/redis");
    // There is no Redis in this machine; a connection is enough, and perl can take one.
    let listener = "use IO::Socket::UNIX; $| = 1; umask 0117; \
                    my $s = IO::Socket::UNIX->new(Local => q(/run/redis/redis.sock), Listen => 9); \
                    chown 0, scalar(getgrnam(q(redis))), q(/run/redis/redis.sock); \
                    print qq(listening\\n); while (my $c = $s->accept) { print qq(taken\\n) }";
    let log = machine.path("/packages/redis.log");
    machine.start(&format!("perl -e '{listener}'"), &log);
    let said = |text: &str| fs::read_to_string(&log).unwrap().contains(text);
    until("the socket", || said("listening").then_some(()));
    let url = "unix:///run/redis/redis.sock";
    machine.run(&format!("sed -i 's|^redis_url: .*|redis_url: \"{url}\"|' {CONFIG}"));

    machine.run("systemctl restart wavelog_worker");
    until("the refusal", || {
        let journal = machine.run("journalctl --unit wavelog_worker --output cat");
        journal.contains("ermission denied").then_some(())
    });
    let refused = !said("taken");
    edit(&machine, "[Service]\\nSupplementaryGroups=redis\\n");
    machine.run("systemctl restart wavelog_worker");

    until("the worker to connect", || said("taken").then_some(()));
    assert!(refused);
}

#[test]
fn it_is_installed_with_what_it_depends_on_where_systemd_does_not_run() {
    let machine = Machine::plain();
    let before = files(&machine);

    let said = machine.run("apt-get update && apt-get install --yes /packages/old.deb");

    assert!(
        said.contains(&format!(
            "start it with: runuser -u wavelog_worker -- wavelog_worker --config {CONFIG}"
        )),
        "{said}"
    );
    assert!(machine.path("/etc/ssl/certs/ca-certificates.crt").exists(), "it is recommended");
    let check = "setpriv --reuid wavelog_worker --regid wavelog_worker --clear-groups ";
    let check = machine.run(&format!("{check} {TOOL} check"));
    assert!(check.contains("good: 0 errors, 0 warnings, 0 risks"), "{check}");
    machine.run("apt-get purge --yes wavelog-worker && apt-get autoremove --yes --purge");
    let left: Vec<String> = files(&machine).difference(&before).cloned().collect();
    let ours: Vec<&String> = left.iter().filter(|path| path.contains("wavelog")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}
