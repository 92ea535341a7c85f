//! Listening sockets: bound as the configuration says, accepting as long as the node lives, and as
//! many as the system allows.
//!
//! Both ports are bound alike; the event loop of `ws` accepts by itself, `api` by [`Accepting`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tracing::warn;

/// Connections that may wait to be accepted; a herd of browsers comes at once after a restart.
const WAITING_CONNECTIONS: i32 = 4096;

/// Pause after an accept that failed for lack of something, such as open files.
const PAUSE: Duration = Duration::from_millis(50);

/// What is said when connections cannot be accepted.
pub const CANNOT_ACCEPT: &str = "cannot accept connections; raise the limit of open files";

/// A bound socket.
#[derive(Debug)]
pub struct Listener(std::net::TcpListener);

/// A bound socket whose connections tokio serves.
#[derive(Debug)]
pub struct Accepting {
    socket: tokio::net::TcpListener,
    failing: Seldom,
}

/// Lets something be said in the log once in ten seconds.
#[derive(Debug, Default)]
pub struct Seldom(Option<Instant>);

impl Seldom {
    /// Whether it may be said now.
    pub fn now(&mut self) -> bool {
        let may = self.0.is_none_or(|at| at.elapsed() > Duration::from_secs(10));
        if may {
            self.0 = Some(Instant::now());
        }
        may
    }
}

impl Listener {
    /// Binds `port` on `address`, or on all addresses, IPv4 and IPv6. An unspecified address,
    /// `0.0.0.0` or `::`, means all, too, as it does in Go.
    ///
    /// # Errors
    ///
    /// Those of the system: the port is taken, or needs rights.
    pub fn bind(address: Option<IpAddr>, port: u16) -> io::Result<Self> {
        let socket = match address {
            Some(address) if !address.is_unspecified() => {
                bind_one(SocketAddr::new(address, port), false)?
            }
            _ => {
                let all = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
                match bind_one(all, true) {
                    Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
                        // A machine without IPv6.
                        bind_one(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port), false)?
                    }
                    bound => bound?,
                }
            }
        };
        Ok(Self(socket.into()))
    }

    /// The address it is bound to.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The socket, which does not block.
    pub fn into_std(self) -> std::net::TcpListener {
        self.0
    }

    /// Hands the socket to tokio. Needs a runtime.
    ///
    /// # Errors
    ///
    /// Those of the system: no more files.
    pub fn accepting(self) -> io::Result<Accepting> {
        let socket = tokio::net::TcpListener::from_std(self.0)?;
        Ok(Accepting { socket, failing: Seldom::default() })
    }
}

impl Accepting {
    /// The next connection. Goes on when accepting fails, as it does when files run out.
    pub async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.socket.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if self.failing.now() {
                        warn!(%error, "{CANNOT_ACCEPT}");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Raises the limit of open files, one for each socket, as far as the system lets us; the limit.
/// `None` is no limit.
pub fn raise_file_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

/// Has the kernel make its table of open files as large as it may have to be, to a bound; to be
/// called while the process has one thread. Later each doubling of the table would stop whoever
/// opens a file for 10 to 30 ms, and the browsers behind him.
pub fn make_room_for_files(limit: Option<u64>) {
    const MOST: u64 = 32_768; // The table takes 8 bytes a file.
    let last = limit.unwrap_or(MOST).min(MOST).saturating_sub(1);
    if let (Ok(any), Ok(last)) = (std::fs::File::open("/dev/null"), i32::try_from(last)) {
        // What matters is that it was open. It may fail where the limit is not what it seems.
        drop(rustix::io::fcntl_dupfd_cloexec(&any, last));
    }
}

fn bind_one(address: SocketAddr, dual_stack: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if dual_stack {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?; // Or a restart would wait for old connections to time out.
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it: events are small and shall not wait for more.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(WAITING_CONNECTIONS)?;
    Ok(socket)
}

/// Whether accepting failed because of the connection that would have been the next.
pub fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}
