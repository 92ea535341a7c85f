//! A way to a server that can be blocked without an end of the connection, as by a firewall.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on to a server.
pub(super) struct Proxy {
    pub(super) port: u16,
    /// Connections up to this number are frozen.
    frozen: watch::Sender<u64>,
    accepted: watch::Receiver<u64>,
}

impl Proxy {
    pub(super) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (frozen, gate) = watch::channel(0);
        let (count, accepted) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                count.send_modify(|count| *count += 1);
                let number = *count.borrow();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass(from_client, to_server, number, gate.clone()));
                tokio::spawn(pass(from_server, to_client, number, gate.clone()));
            }
        });
        Self { port, frozen, accepted }
    }

    /// Nothing passes any more on the connections there are; new ones are as ever.
    pub(super) fn freeze(&self) {
        self.frozen.send_replace(*self.accepted.borrow());
    }

    /// Everything passes again.
    pub(super) fn thaw(&self) {
        self.frozen.send_replace(0);
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    number: u64,
    mut gate: watch::Receiver<u64>,
) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let open = gate.wait_for(|&frozen| frozen < number).await.map(drop);
        if open.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
