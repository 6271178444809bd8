//! One request, one answer, one deadline. Orders, cancels and reads have connections of their own, so that none waits for
//! another's.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url, redirect};

use super::config::Timing;

/// Largest answer read. The venue's largest are a few hundred kilobytes (all markets' rules and contexts).
const BODY_MAX: usize = 8 * 1024 * 1024;
/// Below the idle time after which common load balancers close a connection (60 s), so that we close it first.
const IDLE: Duration = Duration::from_secs(50);

/// Which connections a request uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Order,
    Cancel,
    Read,
}

/// A complete answer, whatever its status.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Why there is no complete answer. Whether the request took effect is not known in any of these cases.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The deadline passed first.
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    /// Connecting failed, or the connection broke.
    #[error("the connection failed: {0}")]
    Broken(String),
    /// The answer is larger than 8 MiB.
    #[error("the answer is larger than 8 MiB")]
    TooLarge,
}

/// Clients for the two paths of the venue's API.
#[derive(Debug)]
pub(super) struct Http {
    info: Url,
    exchange: Url,
    orders: Client,
    cancels: Client,
    reads: Client,
}

/// Why no HTTP client could be made: the TLS backend has no roots or no provider.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be made")]
pub struct HttpSetup(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Http {
    pub(super) fn new(base: &str, timing: &Timing) -> Result<Http, HttpSetup> {
        let client = || {
            Client::builder()
                .no_proxy()
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(timing.connect)
                .tcp_nodelay(true)
                .http1_only()
                .pool_idle_timeout(IDLE)
                .build()
                .map_err(|e| HttpSetup(Box::new(e)))
        };
        let url = |path: &str| Url::parse(&format!("{base}{path}")).map_err(|e| HttpSetup(Box::new(e)));
        Ok(Http { info: url("/info")?, exchange: url("/exchange")?, orders: client()?, cancels: client()?, reads: client()? })
    }

    pub(super) async fn info(&self, lane: Lane, body: Vec<u8>, deadline: Duration) -> Result<Answer, NoAnswer> {
        self.post(lane, &self.info, body, deadline).await
    }

    pub(super) async fn exchange(&self, lane: Lane, body: Vec<u8>, deadline: Duration) -> Result<Answer, NoAnswer> {
        self.post(lane, &self.exchange, body, deadline).await
    }

    async fn post(&self, lane: Lane, url: &Url, body: Vec<u8>, deadline: Duration) -> Result<Answer, NoAnswer> {
        let client = match lane {
            Lane::Order => &self.orders,
            Lane::Cancel => &self.cancels,
            Lane::Read => &self.reads,
        };
        let request = client.post(url.clone()).header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body);
        let exchange = async {
            let mut response = request.send().await.map_err(broken)?;
            let status = response.status().as_u16();
            let mut body =
                Vec::with_capacity(response.content_length().map_or(1_024, |n| usize::try_from(n).unwrap_or(0).min(BODY_MAX)));
            while let Some(chunk) = response.chunk().await.map_err(broken)? {
                if body.len() + chunk.len() > BODY_MAX {
                    return Err(NoAnswer::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Answer { status, body })
        };
        // one deadline over everything: a trickle of single bytes does not prolong it (F10)
        tokio::time::timeout(deadline, exchange).await.unwrap_or(Err(NoAnswer::Timeout(deadline)))
    }
}

/// The chain of causes without the address, which `reqwest` would add.
fn broken(error: reqwest::Error) -> NoAnswer {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text.truncate(200);
    NoAnswer::Broken(text)
}
