//! A TCP proxy in the test's own process, for links that are slow, broken or silent.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{free_port, until};

/// A link to one server. Dropping it ends all its connections.
pub struct Proxy {
    /// Where to connect instead of to the server.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What happens to the bytes of a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Link {
    /// How much later everything comes, in each direction.
    pub delay: Duration,
    /// What is sent to the server gets stuck on the way, as with a network that loses every
    /// packet: nobody is told, and all of it arrives if that ends.
    pub up_stuck: bool,
    /// The same for what the server sends.
    pub down_stuck: bool,
    /// Of how many chunks of bytes one resets its connection instead of arriving; 0 is none.
    pub reset_one_in: u64,
    /// All connections are ended and new ones refused.
    pub cut: bool,
}

struct Shared {
    server: SocketAddr,
    link: watch::Sender<Link>,
    /// Ends all connections whenever it changes.
    generation: watch::Sender<u64>,
    end: watch::Sender<bool>,
    chunks: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

impl Proxy {
    /// A link to `server` to which nothing happens yet.
    pub fn to(server: SocketAddr) -> Self {
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, free_port()).into();
        let shared = Arc::new(Shared {
            server,
            link: watch::Sender::default(),
            generation: watch::Sender::default(),
            end: watch::Sender::default(),
            chunks: AtomicU64::new(0),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let serving = Arc::clone(&shared);
        let thread = thread::spawn(move || runtime.block_on(serve(serving, address)));
        let proxy = Self { address, shared, thread: Some(thread) };
        proxy.wait_until_listening();
        proxy
    }

    /// Changes what happens from now on.
    pub fn set(&self, link: Link) {
        let before = self.shared.link.send_replace(link);
        if link.cut {
            self.end_connections();
        } else if before.cut {
            self.wait_until_listening();
        }
    }

    /// Ends all connections; new ones are taken.
    pub fn end_connections(&self) {
        self.shared.generation.send_modify(|generation| *generation += 1);
    }

    fn wait_until_listening(&self) {
        until("the proxy to listen", || std::net::TcpStream::connect(self.address).ok());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.end.send_replace(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(shared: Arc<Shared>, address: SocketAddr) {
    let mut link = shared.link.subscribe();
    let mut end = shared.end.subscribe();
    loop {
        // While the link is cut nobody listens, so that connecting is refused.
        tokio::select! {
            _ = link.wait_for(|link| !link.cut) => {}
            _ = end.wait_for(|end| *end) => return,
        }
        let listener = TcpListener::bind(address).await.unwrap();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    tokio::spawn(carry(Arc::clone(&shared), accepted.unwrap().0));
                }
                _ = link.wait_for(|link| link.cut) => break,
                _ = end.wait_for(|end| *end) => return,
            }
        }
    }
}

async fn carry(shared: Arc<Shared>, mut client: TcpStream) {
    let mut generation = shared.generation.subscribe();
    let Ok(mut server) = TcpStream::connect(shared.server).await else {
        return;
    };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
        // A connection that is dropped ends with a reset.
        let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
    // Not into halves that own it: they would say that nothing more comes before they go.
    let (mut client_in, mut client_out) = client.split();
    let (mut server_in, mut server_out) = server.split();
    tokio::select! {
        () = pump(&shared, Direction::Up, &mut client_in, &mut server_out) => {}
        () = pump(&shared, Direction::Down, &mut server_in, &mut client_out) => {}
        _ = generation.changed() => {}
    }
}

/// Carries one direction until either end is gone.
async fn pump(
    shared: &Shared,
    direction: Direction,
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
) {
    // Bounded, so that a server that is read slowly notices it.
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let mut link = shared.link.subscribe();
    let reading = async {
        loop {
            let mut chunk = vec![0; 16 * 1024];
            let Ok(count @ 1..) = from.read(&mut chunk).await else {
                return;
            };
            chunk.truncate(count);
            let Link { delay, reset_one_in, .. } = *shared.link.borrow();
            if reset_one_in > 0 && shared.is_unlucky(reset_one_in) {
                return;
            }
            if sender.send((Instant::now() + delay, chunk)).await.is_err() {
                return;
            }
        }
    };
    let writing = async {
        while let Some((due, chunk)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if link.wait_for(|link| !link.is_stuck(direction)).await.is_err() {
                return;
            }
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}

impl Link {
    fn is_stuck(&self, direction: Direction) -> bool {
        match direction {
            Direction::Up => self.up_stuck,
            Direction::Down => self.down_stuck,
        }
    }
}

impl Shared {
    /// One of `one_in` chunks, in an order that is the same in each run.
    fn is_unlucky(&self, one_in: u64) -> bool {
        let count = self.chunks.fetch_add(1, Ordering::Relaxed);
        let mut mixed = count.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).is_multiple_of(one_in)
    }
}
