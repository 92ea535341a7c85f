//! What `/proc` says of a server's process: which one it is, whose, and what it costs.
//!
//! So a server that runs already is looked at as one of our own. Knows nothing of what the server
//! does. Start reading at [`Process`].

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use rustix::param::{clock_ticks_per_second, page_size};

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// State of a socket in `/proc/net/tcp` that listens.
const LISTENING: &str = "0A";

/// A process whose costs can be read, as long as it lives and we may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
}

impl Process {
    /// The process that listens on `address`, if it is on this machine and we may see its files.
    /// A port that a container's proxy holds is the proxy's.
    pub fn of_listener(address: SocketAddr) -> Option<Self> {
        // Whoever has the same port here is somebody else if the address is another machine's.
        UdpSocket::bind((address.ip(), 0)).ok()?;
        let mut listeners = Listener::all_on(address.port());
        listeners.retain(|listener| listener.takes(address));
        // One that is bound to the very address goes before one that has them all.
        listeners.sort_by_key(|listener| listener.address.ip().is_unspecified());
        listeners.iter().find_map(Listener::process)
    }

    /// CPU that its threads have used so far, in user and kernel, in nanoseconds. Threads that
    /// have ended are not in it, so a difference of two readings can miss a little. Where the
    /// kernel does not count exactly, it is whole ticks. `None` if it is gone or not ours to see.
    pub fn cpu_ns(self) -> Option<u64> {
        self.resident_pages()?; // Of one that is dead, but not reaped, a single thread is left.
        self.exact_cpu_ns().or_else(|| self.cpu_ticks_ns())
    }

    /// Its resident memory. `None` if it is gone.
    pub fn rss_bytes(self) -> Option<u64> {
        // Exact, but only for those who may look into the process; statm may lag behind.
        let rollup = fs::read_to_string(self.path("smaps_rollup")).ok();
        let exact = rollup.as_deref().and_then(|text| kib_field(text, "Rss:"));
        exact.or_else(|| Some(self.resident_pages()? * page_size() as u64))
    }

    /// The name of its program, as far as the kernel keeps it: 15 bytes.
    pub fn name(self) -> Option<String> {
        Some(fs::read_to_string(self.path("comm")).ok()?.trim_end().to_owned())
    }

    /// Files it may have open at once.
    pub fn open_files(self) -> Option<u64> {
        let limits = fs::read_to_string(self.path("limits")).ok()?;
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
        // "unlimited" is as many as there are numbers.
        Some(line.split_whitespace().next()?.parse().unwrap_or(u64::MAX))
    }

    /// Files that it has open. `None` if it is not ours to see.
    pub fn files(self) -> Option<usize> {
        Some(fs::read_dir(self.path("fd")).ok()?.count())
    }

    /// The groups that it belongs to, its own first. `None` if it is gone.
    pub fn groups(self) -> Option<Vec<u32>> {
        let status = fs::read_to_string(self.path("status")).ok()?;
        let numbers = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(rest.split_whitespace().filter_map(|number| number.parse().ok()))
        };
        Some(numbers("Gid:")?.take(1).chain(numbers("Groups:")?).collect())
    }

    /// Pages of its memory. `None` if it is gone, reaped or not.
    fn resident_pages(self) -> Option<u64> {
        let statm = fs::read_to_string(self.path("statm")).ok()?;
        let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
        (pages > 0).then_some(pages)
    }

    fn exact_cpu_ns(self) -> Option<u64> {
        let mut sum = 0;
        for task in fs::read_dir(self.path("task")).ok()? {
            // A thread may end while we look.
            let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else {
                continue;
            };
            sum += text.split_whitespace().next()?.parse::<u64>().ok()?;
        }
        // A kernel that does not count says zero, and no process comes to run without any.
        (sum > 0).then_some(sum)
    }

    fn cpu_ticks_ns(self) -> Option<u64> {
        let stat = fs::read_to_string(self.path("stat")).ok()?;
        // The name may have spaces and brackets in it; what follows its last bracket has none.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<u64>().ok();
        let (user, system) = (ticks()?, ticks()?);
        Some((user + system) * (NANOS_PER_SEC / clock_ticks_per_second().max(1)))
    }

    fn path(self, file: &str) -> String {
        format!("/proc/{}/{file}", self.pid)
    }
}

/// The field `name` of a file like `smaps_rollup`, `Rss:  1728 kB`, in bytes.
pub fn kib_field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(rest.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// A listening socket of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// What it is bound to.
    pub address: SocketAddr,
    /// The user who made it.
    pub user: u32,
    inode: u64,
}

impl Listener {
    /// All that listen on `port`, on whatever address. Empty if the kernel does not say.
    pub fn all_on(port: u16) -> Vec<Self> {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
        let texts = tables.iter().filter_map(|path| fs::read_to_string(path).ok());
        let all = texts.flat_map(|text| text.lines().filter_map(Self::read).collect::<Vec<_>>());
        all.filter(|listener| listener.address.port() == port).collect()
    }

    /// The process that has it, if we may see its files.
    pub fn process(&self) -> Option<Process> {
        owner(self.inode)
    }

    /// Reads a line of `/proc/net/tcp` or `tcp6`, if its socket listens.
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace();
        let local = fields.nth(1)?;
        if fields.nth(1)? != LISTENING {
            return None;
        }
        let (ip, port) = local.split_once(':')?;
        let address = SocketAddr::new(read_ip(ip)?, u16::from_str_radix(port, 16).ok()?);
        let user = fields.nth(3)?.parse().ok()?;
        Some(Self { address, user, inode: fields.nth(1)?.parse().ok()? })
    }

    /// Whether a connection to `address` comes to it.
    pub fn takes(&self, address: SocketAddr) -> bool {
        let own = self.address.ip();
        self.address.port() == address.port()
            && (own == address.ip().to_canonical() || own.is_unspecified())
    }
}

/// Reads an address as the kernel prints it: words of 32 bits in the order of this machine.
fn read_ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

/// The process that has the socket `inode` open.
fn owner(inode: u64) -> Option<Process> {
    let link = format!("socket:[{inode}]");
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // Those of other users cannot be read.
        let Ok(files) = fs::read_dir(entry.path().join("fd")) else {
            continue;
        };
        if files.flatten().any(|file| {
            fs::read_link(file.path()).is_ok_and(|target| target.as_path() == Path::new(&link))
        }) {
            return Some(Process { pid });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::process;

    use super::*;

    fn ourselves() -> Process {
        Process { pid: process::id() }
    }

    #[test]
    fn work_costs_cpu_and_both_ways_of_reading_it_agree() {
        let before = ourselves().cpu_ns().unwrap();
        let mut sum = 0_u64;
        while ourselves().cpu_ns().unwrap() < before + 30_000_000 {
            sum = (0..100_000).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
        }

        // Other tests may end threads meanwhile, whose time only the ticks keep.
        let (exact, ticks) = (ourselves().cpu_ns().unwrap(), ourselves().cpu_ticks_ns().unwrap());
        assert!(ticks + 100_000_000 > exact, "{ticks} {exact}");
        assert_eq!(Process { pid: u32::MAX }.cpu_ns(), None);
    }

    #[test]
    fn memory_and_limits_are_read() {
        let process = ourselves();

        assert!(process.rss_bytes().unwrap() > 1 << 20);
        assert!(process.open_files().unwrap() > 10);
        assert!(!process.name().unwrap().is_empty());
        assert_eq!(Process { pid: u32::MAX }.rss_bytes(), None);
    }

    #[test]
    fn one_that_is_dead_but_not_reaped_has_no_costs() {
        let mut child = process::Command::new("sleep").arg("60").spawn().unwrap();
        let dead = Process { pid: child.id() };
        child.kill().unwrap();
        let state = || fs::read_to_string(dead.path("stat")).unwrap();
        while !state().contains(") Z ") {
            std::thread::yield_now();
        }

        assert_eq!((dead.cpu_ns(), dead.rss_bytes()), (None, None));
        child.wait().unwrap();
    }

    #[test]
    fn whoever_listens_on_a_port_is_found() {
        for bind in ["127.0.0.1:0", "127.0.0.2:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(bind) else {
                continue; // A machine without IPv6.
            };
            let mut address = listener.local_addr().unwrap();
            if address.ip().is_unspecified() {
                address.set_ip(Ipv4Addr::LOCALHOST.into());
            }

            assert_eq!(Process::of_listener(address), Some(ourselves()), "{bind}");
            drop(listener);
            assert_eq!(Process::of_listener(address), None, "{bind}");
        }
    }

    #[test]
    fn nobody_here_listens_on_an_address_of_another_machine() {
        let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = everywhere.local_addr().unwrap().port();

        assert_eq!(Process::of_listener(SocketAddr::from(([192, 0, 2, 1], port))), None);
    }

    #[test]
    fn lines_of_the_table_are_read() {
        let line = "   0: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1084 1 0000000028767802 100 0 0 10 0";
        let found = Listener::read(line).unwrap();

        assert_eq!(found.inode, 1084);
        if cfg!(target_endian = "little") {
            assert_eq!(found.address, "127.0.0.1:9000".parse().unwrap());
        }
        assert_eq!(Listener::read(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(Listener::read("  sl  local_address rem_address   st tx_queue"), None);
        assert_eq!(read_ip("00000000000000000000000000000000"), Some(Ipv6Addr::UNSPECIFIED.into()));
    }
}
