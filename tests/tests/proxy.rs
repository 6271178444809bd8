//! Stands between the daemon's market and account sockets and the venue, and says things that the venue never would.

use std::net::{SocketAddr, TcpListener};
use std::thread;

use futures_util::{SinkExt, StreamExt};
use tokio::sync::broadcast;
use tokio_tungstenite::tungstenite::Message;

/// Frames waiting to be put in; a test puts in dozens.
const INJECTED_MAX: usize = 1_024;

/// Passes every frame on, both ways, until the test ends.
pub struct Proxy {
    address: SocketAddr,
    inject: broadcast::Sender<String>,
    _runtime: tokio::runtime::Runtime,
}

impl Proxy {
    /// In front of the venue's socket at `upstream`.
    pub fn start(upstream: &str) -> Proxy {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (inject, _) = broadcast::channel(INJECTED_MAX);
        let (upstream, sender) = (upstream.to_owned(), inject.clone());
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, upstream.clone(), sender.subscribe()));
            }
        });
        Proxy { address, inject, _runtime: runtime }
    }

    /// Where the daemon is to connect.
    pub fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// Puts `frame` into every connection, as if the venue had sent it.
    pub fn inject(&self, frame: &str) {
        assert!(self.inject.send(frame.to_owned()).is_ok(), "nobody is connected");
        thread::yield_now();
    }
}

async fn serve(stream: tokio::net::TcpStream, upstream: String, mut injected: broadcast::Receiver<String>) {
    let Ok(mut client) = tokio_tungstenite::accept_async(stream).await else { return };
    let Ok((mut venue, _)) = tokio_tungstenite::connect_async(upstream).await else { return };
    loop {
        let passed = tokio::select! {
            frame = venue.next() => match frame {
                Some(Ok(frame)) => client.send(frame).await.is_ok(),
                Some(Err(_)) | None => false,
            },
            frame = client.next() => match frame {
                Some(Ok(frame)) => venue.send(frame).await.is_ok(),
                Some(Err(_)) | None => false,
            },
            Ok(frame) = injected.recv() => client.send(Message::Text(frame.into())).await.is_ok(),
        };
        if !passed {
            return;
        }
    }
}
