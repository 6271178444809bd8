//! One message, one answer, one deadline.

use std::time::Duration;

use domain::Span;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Url, redirect};
use serde_json::Value;

use crate::outbox::{Answer, Delivery};
use crate::render;
use crate::secret::Secret;

/// More of an answer is not read: Telegram quotes the message, nobody says more.
const BODY_MAX: usize = 64 * 1024;
/// Characters of an answer that are kept for a person to read.
const WORDS_MAX: usize = 200;

/// Where a target is and how it is spoken to.
#[derive(Clone, Debug)]
pub enum Channel {
    /// Any HTTP server; it gets the alert as JSON.
    Webhook {
        /// Its address.
        url: Secret,
        /// Sent as `Authorization: Bearer`.
        bearer: Option<Secret>,
    },
    /// A chat, by a bot.
    Telegram {
        /// Base of the Bot API.
        api: String,
        /// The bot's token.
        token: Secret,
        /// Number of the chat, or the name of a channel.
        chat: String,
        /// Topic of a forum.
        thread: Option<i64>,
    },
    /// A channel, by an incoming webhook.
    Slack {
        /// Its address, which whoever knows it may write to.
        url: Secret,
    },
}

/// Why no sender could be made. The address is not in it.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The address is none.
    #[error("expected an https:// address, or http:// on loopback")]
    Address,
    /// A secret cannot stand in a header.
    #[error("the bearer token has characters that no header may hold")]
    Bearer,
    /// The TLS backend has no roots or no provider.
    #[error("the HTTP client could not be made: {0}")]
    Client(reqwest::Error),
}

/// Sends messages to one target.
#[derive(Debug)]
pub struct Sender {
    client: Client,
    url: Url,
    channel: Channel,
    /// The daemon's name in messages.
    from: String,
    timeout: Duration,
}

impl Sender {
    /// A sender to `channel`. `from` names this daemon in every message; one message with its answer takes at most `timeout`.
    ///
    /// # Errors
    /// If the address is none, is neither https nor on loopback, or the HTTP client cannot be made.
    pub fn new(channel: Channel, from: &str, timeout: Duration) -> Result<Sender, SetupError> {
        let mut headers = HeaderMap::new();
        let address = match &channel {
            Channel::Webhook { url, bearer } => {
                if let Some(bearer) = bearer {
                    let value = HeaderValue::from_str(&format!("Bearer {}", bearer.expose()));
                    let mut value = value.map_err(|_| SetupError::Bearer)?;
                    value.set_sensitive(true);
                    headers.insert(AUTHORIZATION, value);
                }
                url.expose().to_owned()
            }
            Channel::Telegram { api, token, .. } => format!("{}/bot{}/sendMessage", api.trim_end_matches('/'), token.expose()),
            Channel::Slack { url } => url.expose().to_owned(),
        };
        let url = Url::parse(&address).ok().filter(is_safe).ok_or(SetupError::Address)?;
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(timeout)
            .http1_only()
            .default_headers(headers)
            .build()
            .map_err(|e| SetupError::Client(e.without_url()))?;
        Ok(Sender { client, url, channel, from: from.to_owned(), timeout })
    }

    /// Sends one message. No secret is in the answer's words, whatever the server says.
    pub async fn send(&self, delivery: &Delivery) -> Answer {
        let body = match &self.channel {
            Channel::Webhook { .. } => render::webhook(&self.from, delivery),
            Channel::Telegram { chat, thread, .. } => render::telegram(&self.from, chat, *thread, delivery),
            Channel::Slack { .. } => render::slack(&self.from, delivery),
        };
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            // for a receiver that wants to drop a message which it got twice
            .header("idempotency-key", format!("{}-{}-{}", self.name_in_header(), delivery.record.id, delivery.before))
            .body(body.to_string());
        let exchange = async {
            let mut response = request.send().await.map_err(broken)?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(broken)? {
                let room = BODY_MAX.saturating_sub(body.len());
                body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if body.len() >= BODY_MAX {
                    break;
                }
            }
            Ok((status, headers, body))
        };
        // one deadline over everything: a trickle of single bytes does not prolong it
        let answer = match tokio::time::timeout(self.timeout, exchange).await {
            Err(_) => Answer::Later { after: None, words: format!("no complete answer within {:?}", self.timeout) },
            Ok(Err(words)) => Answer::Later { after: None, words },
            Ok(Ok((status, headers, body))) => self.judge(status, &headers, &body),
        };
        self.blot(answer)
    }

    /// The daemon's name as a header may hold it.
    fn name_in_header(&self) -> String {
        self.from.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    }

    fn judge(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Answer {
        let said: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let words = match said["description"].as_str() {
            Some(description) => format!("HTTP {status}: {description}"),
            None => {
                let text: String = String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect();
                format!("HTTP {status}: {}", text.trim()).trim_end_matches([':', ' ']).to_owned()
            }
        };
        let header = || headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok();
        let after = said["parameters"]["retry_after"].as_u64().or_else(header).map(Span::secs);
        let ok = (200..300).contains(&status)
            && match self.channel {
                Channel::Telegram { .. } => said["ok"] == true,
                Channel::Webhook { .. } | Channel::Slack { .. } => true,
            };
        match status {
            _ if ok => Answer::Delivered { words },
            408 | 425 | 429 | 500.. => Answer::Later { after, words },
            _ => Answer::Refused { words },
        }
    }

    fn blot(&self, answer: Answer) -> Answer {
        let clean = |words: String| {
            let path = self.url.path();
            let words = if path.len() > 1 { words.replace(path, "(path)") } else { words };
            let words = match &self.channel {
                Channel::Webhook { url, bearer } => bearer.iter().chain([url]).fold(words, |words, secret| secret.blot(&words)),
                Channel::Telegram { token, .. } => token.blot(&words),
                Channel::Slack { url } => url.blot(&words),
            };
            crate::outbox::cut(&words, WORDS_MAX)
        };
        match answer {
            Answer::Delivered { words } => Answer::Delivered { words: clean(words) },
            Answer::Later { after, words } => Answer::Later { after, words: clean(words) },
            Answer::Refused { words } => Answer::Refused { words: clean(words) },
        }
    }
}

/// What is told of an account does not travel in the clear.
fn is_safe(url: &Url) -> bool {
    let loopback = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    url.host_str().is_some() && (url.scheme() == "https" || (url.scheme() == "http" && loopback))
}

/// The chain of causes without the address, which `reqwest` would add.
fn broken(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
