//! New connections, from more than one address where ports would run out.
//!
//! A connection needs a port of its own at its source address, of which a system gives out some
//! 28,000, keeps each for a minute after its end, and looks long for a free one when most are
//! taken. On loopback every address of 127.0.0.0/8 is ours, so each 5,000 sockets come from another
//! one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::bench::moment::now_ns;

/// Sockets from one source address.
const SOCKETS_PER_ADDRESS: u64 = 5_000;

/// Where connections come from and where they go.
#[derive(Debug)]
pub struct Sources {
    server: SocketAddr,
    /// The first source address, or none where the system chooses.
    first: Option<u32>,
    made: u64,
}

impl Sources {
    /// For connections to `server`.
    pub fn to(server: SocketAddr) -> Self {
        let first = match server {
            SocketAddr::V4(address) if address.ip().is_loopback() => Some(first_address()),
            _ => None,
        };
        Self { server, first, made: 0 }
    }

    /// Begins a connection. It is there when the socket is writable and has a peer.
    ///
    /// # Errors
    ///
    /// Those of the system, from which there are no more files or ports.
    pub fn connect(&mut self, receive_bytes: Option<usize>) -> io::Result<TcpStream> {
        let socket =
            Socket::new(Domain::for_address(self.server), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(source) = self.next_source() {
            socket.bind(&SockAddr::from(source))?;
        }
        match socket.connect(&SockAddr::from(self.server)) {
            Ok(()) => {}
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        Ok(TcpStream::from_std(socket.into()))
    }

    fn next_source(&mut self) -> Option<SocketAddrV4> {
        let step = u32::try_from(self.made / SOCKETS_PER_ADDRESS).unwrap_or(0);
        self.made += 1;
        Some(SocketAddrV4::new(Ipv4Addr::from(self.first?.checked_add(step)?), 0))
    }
}

/// Another one each time, so that the ports of a run that just ended are not in the way.
fn first_address() -> u32 {
    const SPARE: u64 = 0x00FF_0000;
    // A run of milliseconds is spread over addresses that lie 16 apart.
    let which = (now_ns() >> 20).wrapping_mul(16) % SPARE;
    u32::from(Ipv4Addr::new(127, 0, 0, 2)) + which as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_loopback_sources_change_before_ports_run_out() {
        let mut sources = Sources::to("127.0.0.1:9000".parse().unwrap());

        let first = *sources.next_source().unwrap().ip();
        sources.made = SOCKETS_PER_ADDRESS - 1;
        let last = *sources.next_source().unwrap().ip();
        let next = *sources.next_source().unwrap().ip();

        assert!(first.is_loopback());
        assert_eq!(first, last);
        assert_eq!(u32::from(next), u32::from(first) + 1);
    }

    #[test]
    fn every_first_address_leaves_room_for_millions_of_sockets() {
        for _ in 0..100 {
            let last = Ipv4Addr::from(first_address() + 1_000);
            assert!(last.is_loopback() && last != Ipv4Addr::new(127, 255, 255, 255));
        }
    }

    #[test]
    fn elsewhere_the_system_chooses() {
        assert_eq!(Sources::to("[::1]:9000".parse().unwrap()).next_source(), None);
        assert_eq!(Sources::to("10.0.0.1:9000".parse().unwrap()).next_source(), None);
    }
}
