//! The little HTTP that tests need towards the paper venue's control API and the daemon's operator socket.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long the venue may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// `GET path` at `http://host:port`, as JSON.
///
/// # Errors
/// If there is no answer of status 200 that is JSON.
pub fn get(url: &str, path: &str) -> Result<serde_json::Value> {
    call(url, "GET", path, "")
}

/// `POST path` with a JSON body, as JSON.
///
/// # Errors
/// If there is no answer of status 200 that is JSON.
pub fn post(url: &str, path: &str, body: &serde_json::Value) -> Result<serde_json::Value> {
    call(url, "POST", path, &body.to_string())
}

/// `DELETE path`, as JSON.
///
/// # Errors
/// If there is no answer of status 200 that is JSON.
pub fn delete(url: &str, path: &str) -> Result<serde_json::Value> {
    call(url, "DELETE", path, "")
}

/// `GET path` at the unix socket `socket`, as JSON.
///
/// # Errors
/// If there is no answer of status 200 that is JSON.
pub fn get_unix(socket: &Path, path: &str) -> Result<serde_json::Value> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    exchange(stream, "plimsoll", "GET", path, "")
}

/// `POST path` with a JSON body at the unix socket `socket`, as JSON.
///
/// # Errors
/// If there is no answer of status 200 that is JSON.
pub fn post_unix(socket: &Path, path: &str, body: &serde_json::Value) -> Result<serde_json::Value> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    exchange(stream, "plimsoll", "POST", path, &body.to_string())
}

fn call(url: &str, method: &str, path: &str, body: &str) -> Result<serde_json::Value> {
    let host = url.strip_prefix("http://").context("an http:// address")?;
    let stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    exchange(stream, host, method, path, body)
}

fn exchange(mut stream: impl Read + Write, host: &str, method: &str, path: &str, body: &str) -> Result<serde_json::Value> {
    // HTTP/1.0: the answer ends where the connection does, and is never chunked
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, text) = answer.split_once("\r\n\r\n").context("an answer with a head")?;
    if !head.lines().next().is_some_and(|line| line.contains(" 200")) {
        bail!("{method} {path}: {head}\n{text}");
    }
    Ok(serde_json::from_str(text)?)
}
