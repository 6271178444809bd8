//! The other side of the operator's door: what `submit`, `status` and the like say to a running daemon.

use std::path::{Path, PathBuf};

use domain::SpecFault;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::net::UnixStream;

use crate::api::ErrorBody;

/// Answers are at most this long; a status of ten thousand parents is a few megabytes.
const ANSWER_MAX: usize = 64 << 20;

/// Why a daemon did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon answers at {}: is it running with this configuration?", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke or the answer makes no sense.
    #[error("the daemon's answer was lost: {0}")]
    Lost(String),
    /// The daemon refused.
    #[error("refused:{}", faults.iter().map(|f| format!("\n  {f}")).collect::<String>())]
    Refused {
        /// Every fault.
        faults: Vec<SpecFault>,
    },
}

/// Sends one request and returns the answer's JSON text.
///
/// # Errors
/// If nobody listens, the connection breaks, or the daemon refuses.
pub async fn call<B: Serialize>(socket: &Path, method: Method, path: &str, body: Option<&B>) -> Result<Vec<u8>, ClientError> {
    let lost = |e: &dyn std::fmt::Display| ClientError::Lost(e.to_string());
    let stream =
        UnixStream::connect(socket).await.map_err(|source| ClientError::NotRunning { path: socket.to_owned(), source })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| lost(&e))?;
    let pump = tokio::spawn(connection);
    let bytes = body.map(serde_json::to_vec).transpose().map_err(|e| lost(&e))?.unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "plimsoll")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(bytes)))
        .map_err(|e| lost(&e))?;
    let response = sender.send_request(request).await.map_err(|e| lost(&e))?;
    let status = response.status();
    let limited = http_body_util::Limited::new(response.into_body(), ANSWER_MAX);
    let answer = limited.collect().await.map_err(|e| lost(&e))?.to_bytes();
    pump.abort();
    if status.is_success() {
        return Ok(answer.to_vec());
    }
    if matches!(
        status,
        StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
    ) && let Ok(ErrorBody { faults }) = serde_json::from_slice(&answer)
    {
        return Err(ClientError::Refused { faults });
    }
    Err(ClientError::Lost(format!("{status}: {}", String::from_utf8_lossy(&answer))))
}
