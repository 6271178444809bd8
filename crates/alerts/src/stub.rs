//! An HTTP server for tests that answers by a script, and worse than servers should.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers: status, further header lines, body.
    Say(u16, &'static str, &'static str),
    /// Says nothing until the client leaves.
    Hang,
    /// Closes the connection in the middle of the answer.
    Reset,
    /// Answers a byte at a time, for ever.
    Drip,
    /// Answers with a body without end.
    Flood,
}

/// A request: its first line and headers, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub head: String,
    pub body: serde_json::Value,
}

/// The server.
pub(crate) struct Stub {
    pub url: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Stub {
    /// A server that does `script` and afterwards repeats its last act.
    pub async fn start(script: &[Act]) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(VecDeque::from(script.to_vec())));
        let theirs = Arc::clone(&got);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (got, script) = (Arc::clone(&theirs), Arc::clone(&script));
                tokio::spawn(async move {
                    serve(stream, &got, &script).await;
                });
            }
        });
        Stub { url, got }
    }

    /// Requests so far.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// Waits until there are `count` requests.
    pub async fn wait(&self, count: usize) -> Vec<Got> {
        for _ in 0..4_000 {
            let got = self.got();
            if got.len() >= count {
                return got;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{count} requests, but only {} came", self.got().len());
    }
}

async fn serve(mut stream: TcpStream, got: &Mutex<Vec<Got>>, script: &Mutex<VecDeque<Act>>) -> Option<()> {
    loop {
        let mut bytes = Vec::new();
        let (head, mut rest) = loop {
            let mut chunk = [0; 4_096];
            let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
            bytes.extend_from_slice(&chunk[..n]);
            if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break (String::from_utf8_lossy(&bytes[..at]).into_owned(), bytes[at + 4..].to_vec());
            }
        };
        let length = head.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        while rest.len() < length.unwrap_or(0) {
            let mut chunk = [0; 4_096];
            let n = stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
            rest.extend_from_slice(&chunk[..n]);
        }
        got.lock().unwrap().push(Got { head, body: serde_json::from_slice(&rest).unwrap_or_default() });
        let act = {
            let mut script = script.lock().unwrap();
            if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
        };
        match act? {
            Act::Say(status, headers, body) => {
                let answer = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
                stream.write_all(answer.as_bytes()).await.ok()?;
            }
            Act::Hang => loop {
                stream.read_u8().await.ok()?;
            },
            Act::Reset => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nha").await.ok()?;
                return None;
            }
            Act::Drip => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(b"x").await.ok()?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Act::Flood => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(&[b'x'; 8_192]).await.ok()?;
                }
            }
        }
    }
}

/// rustls without a provider panics at the first client, with or without TLS in it.
pub(crate) fn provider() {
    // the second test of a process finds it installed
    let _installed = rustls::crypto::ring::default_provider().install_default();
}
