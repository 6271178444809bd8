//! One WebSocket: it decodes frames, asks the owner, and sends what the owner puts into its queue.

use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use wire::hyperliquid::action::Signed;

use crate::http::{App, unreadable};
use crate::streams::{Frame, PostRequest};
use crate::venue::{Ask, ConnId, Ending, FrameAsk, Post, Served};

/// Longest frame from a client: a full batch of orders takes about 40 kB.
pub(crate) const MESSAGE_MAX: usize = 1 << 20;
/// A peer that takes longer to accept one message is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Tells the owner that a socket is gone, however its task ends.
pub(crate) struct Leave {
    pub(crate) app: App,
    pub(crate) conn: ConnId,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let (asks, conn) = (self.app.asks.clone(), self.conn);
        // a runtime that is shutting down takes the owner with it
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if asks.send(Ask::Gone { conn }).await.is_err() {
                    tracing::trace!(conn, "the venue stopped before the socket");
                }
            });
        }
    }
}

/// Serves one socket until either side ends it.
pub(crate) async fn run(ws: WebSocket, leave: Leave, mut queue: mpsc::Receiver<Utf8Bytes>) {
    let (mut sink, mut source) = ws.split();
    let (app, conn) = (leave.app.clone(), leave.conn);
    let idle_limit = app.limits.ws_idle;
    let mut idle_at = Instant::now() + idle_limit;
    let mut posts: JoinSet<Option<String>> = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = app.stop.cancelled() => break,
            message = queue.recv() => {
                let Some(text) = message else { break };
                idle_at = Instant::now() + idle_limit;
                match timeout(SEND_TIMEOUT, sink.send(Message::Text(text))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) | Err(_) => break,
                }
            }
            Some(done) = posts.join_next() => match done {
                Ok(Some(text)) => if tell(&app, conn, FrameAsk::Out(text)).await.is_err() { break },
                // the answer was cut: so is the socket
                Ok(None) => break,
                Err(_) => {}
            },
            frame = source.next() => {
                let text = match frame {
                    Some(Ok(Message::Text(text))) => text,
                    Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                };
                if take(&app, conn, &text, &mut posts).await.is_err() {
                    break;
                }
            }
            () = tokio::time::sleep_until(idle_at) => {
                tracing::debug!(conn, "nothing sent for too long: the socket is closed");
                break;
            }
        }
    }
}

/// The venue has stopped.
struct Stopped;

async fn tell(app: &App, conn: ConnId, frame: FrameAsk) -> Result<(), Stopped> {
    app.asks.send(Ask::Frame { conn, frame }).await.map_err(|_| Stopped)
}

async fn take(app: &App, conn: ConnId, text: &str, posts: &mut JoinSet<Option<String>>) -> Result<(), Stopped> {
    let frame = match serde_json::from_str::<Frame>(text) {
        Ok(Frame::Ping) => FrameAsk::Ping,
        Ok(Frame::Subscribe { subscription }) => FrameAsk::Subscribe(subscription),
        Ok(Frame::Unsubscribe { subscription }) => FrameAsk::Unsubscribe(subscription),
        Ok(Frame::Post { id, request }) => {
            if posts.len() >= app.limits.ws_posts_in_flight {
                let text = serde_json::json!({ "channel": "error", "data": format!("too many pending post requests id={id}") });
                return tell(app, conn, FrameAsk::Out(text.to_string())).await;
            }
            let app = app.clone();
            posts.spawn(async move { answer(&app, id, request).await });
            FrameAsk::Counted
        }
        Err(_) => FrameAsk::Unreadable(text.to_owned()),
    };
    tell(app, conn, frame).await
}

/// The frame that answers a post; `None` breaks the socket.
async fn answer(app: &App, id: u64, request: PostRequest) -> Option<String> {
    let kind = request.kind.clone();
    let read = request.payload.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let served = match kind.as_str() {
        "info" => app.read(None, &request.payload).await,
        "action" => match serde_json::from_value::<Signed>(request.payload) {
            Ok(signed) => app.act(None, Post::new(signed)).await,
            Err(e) => {
                app.wire_log.note_unreadable();
                unreadable(&e)
            }
        },
        _ => Served::text(422, format!("unknown post type {kind}")),
    };
    match served.ending {
        Ending::Whole => {}
        Ending::Late(delay) => tokio::time::sleep(delay).await,
        Ending::Never => std::future::pending().await,
        Ending::Cut => return None,
    }
    let (kind, payload) = match (served.status, served.kind, kind.as_str()) {
        (200, crate::venue::JSON, "info") => ("info", format!(r#"{{"type":{},"data":{}}}"#, quoted(&read), served.body)),
        (200, crate::venue::JSON, _) => ("action", served.body),
        (_, _, _) => ("error", quoted(&format!("{} {}", served.status, served.body))),
    };
    Some(format!(r#"{{"channel":"post","data":{{"id":{id},"response":{{"type":"{kind}","payload":{payload}}}}}}}"#))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
