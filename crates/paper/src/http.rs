//! The HTTP side: `/info`, `/exchange`, `/ws`, and `/control`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Query, State, WebSocketUpgrade};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use wire::hyperliquid::Address;
use wire::hyperliquid::action::Signed;

use crate::control::{DepositOrder, MarketPush};
use crate::fault::{Fault, FaultOrder};
use crate::socket;
use crate::spec::{Routing, VenueLimits};
use crate::venue::{Ask, Control, Ending, OUT_MAX, Post, Reply, Served};
use crate::wire_log::WireLog;

/// How long an answer that never comes is not given, before the connection is closed: longer than any client waits.
const NEVER: Duration = Duration::from_secs(600);

/// What every handler needs.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) limits: VenueLimits,
    pub(crate) wire_log: Arc<WireLog>,
    pub(crate) stop: CancellationToken,
}

/// The venue's own paths.
pub(crate) fn venue(app: App) -> Router {
    Router::new().route("/info", post(info)).route("/exchange", post(exchange)).route("/ws", get(upgrade)).with_state(app)
}

/// The control paths.
pub(crate) fn control(app: App) -> Router {
    Router::new()
        .route("/control", get(index))
        .route("/control/faults", get(list).merge(post(order)).merge(delete(clear)))
        .route("/control/fills", get(truth))
        .route("/control/wire", get(wire_page))
        .route("/control/state", get(state))
        .route("/control/market", post(market))
        .route("/control/deposit", post(deposit))
        .route("/control/routing", post(routing))
        .with_state(app)
}

impl App {
    /// Asks the owner; `None` once the venue has stopped.
    pub(crate) async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.asks.send(make(reply)).await.ok()?;
        answer.await.ok()
    }

    /// Reads `request`, waiting out the latency that a fault asks for.
    pub(crate) async fn read(&self, ip: Option<IpAddr>, request: &Value) -> Served {
        let mut is_admitted = false;
        loop {
            match self.ask(|reply| Ask::Read { ip, request: request.clone(), is_admitted, reply }).await {
                Some(Reply::Served(served)) => return served,
                Some(Reply::Wait(delay)) => tokio::time::sleep(delay).await,
                Some(Reply::Late(..)) | None => return stopped(),
            }
            is_admitted = true;
        }
    }

    /// Acts, waiting out the latency that a fault asks for.
    pub(crate) async fn act(&self, ip: Option<IpAddr>, post: Post) -> Served {
        self.wire_log.note(&post);
        let mut post = Some(Box::new(post));
        let mut is_admitted = false;
        loop {
            let Some(this) = post.take() else { return stopped() };
            match self.ask(|reply| Ask::Act { ip, post: this, is_admitted, reply }).await {
                Some(Reply::Served(served)) => return served,
                Some(Reply::Late(delay, back)) => {
                    tokio::time::sleep(delay).await;
                    post = Some(back);
                }
                Some(Reply::Wait(_)) | None => return stopped(),
            }
            is_admitted = true;
        }
    }
}

fn stopped() -> Served {
    Served::text(503, "The venue has stopped")
}

/// Why a body is no JSON, or not the JSON asked for, in the words of the venue's server.
pub(crate) fn unreadable(error: &serde_json::Error) -> Served {
    if error.is_data() {
        Served::text(422, format!("Failed to deserialize the JSON body into the target type: {error}"))
    } else {
        Served::text(400, format!("Failed to parse the request body as JSON: {error}"))
    }
}

async fn info(State(app): State<App>, ConnectInfo(peer): ConnectInfo<SocketAddr>, body: Bytes) -> Response {
    let served = match serde_json::from_slice::<Value>(&body) {
        Ok(request) => app.read(Some(peer.ip()), &request).await,
        Err(e) => unreadable(&e),
    };
    deliver(&app, served).await
}

async fn exchange(State(app): State<App>, ConnectInfo(peer): ConnectInfo<SocketAddr>, body: Bytes) -> Response {
    let served = match serde_json::from_slice::<Signed>(&body) {
        Ok(signed) => app.act(Some(peer.ip()), Post::new(signed)).await,
        Err(e) => {
            app.wire_log.note_unreadable();
            unreadable(&e)
        }
    };
    deliver(&app, served).await
}

/// Gives the answer as it should end.
async fn deliver(app: &App, served: Served) -> Response {
    let wait = match served.ending {
        Ending::Whole | Ending::Cut => Duration::ZERO,
        Ending::Never => NEVER,
        Ending::Late(delay) => delay,
    };
    if wait > Duration::ZERO {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = app.stop.cancelled() => {}
        }
    }
    let status = StatusCode::from_u16(served.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static(served.kind);
    if served.ending == Ending::Cut || served.ending == Ending::Never {
        // the promised length never arrives: the server closes the connection in the middle of the body
        let length = served.body.len();
        let half = Bytes::from(served.body.into_bytes()).slice(..length / 2);
        let broken = stream::iter([Ok(half), Err(std::io::Error::other("cut by a fault"))]);
        let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_LENGTH, HeaderValue::from(length))];
        return (status, headers, Body::from_stream(broken)).into_response();
    }
    (status, [(header::CONTENT_TYPE, kind)], served.body).into_response()
}

async fn upgrade(State(app): State<App>, ConnectInfo(peer): ConnectInfo<SocketAddr>, ws: WebSocketUpgrade) -> Response {
    let (out, queue) = mpsc::channel(OUT_MAX);
    match app.ask(|reply| Ask::Connect { ip: peer.ip(), out, reply }).await {
        Some(Some(conn)) => {
            let gone = socket::Leave { app: app.clone(), conn };
            ws.max_message_size(socket::MESSAGE_MAX).on_upgrade(move |ws| socket::run(ws, gone, queue))
        }
        Some(None) => (StatusCode::TOO_MANY_REQUESTS, "Too many websocket connections").into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn index() -> Json<Value> {
    let faults: Vec<Value> = Fault::ALL.iter().map(|f| json!({ "fault": f.name(), "does": f.explain() })).collect();
    Json(json!({
        "paths": [
            "GET /control/faults", "POST /control/faults", "DELETE /control/faults?fault=NAME",
            "GET /control/fills?user=0x…[&since_ms=N]", "GET /control/wire?since=N", "GET /control/state", "POST /control/market", "POST /control/deposit", "POST /control/routing",
        ],
        "faults": faults,
    }))
}

fn refusal(text: impl std::fmt::Display) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": text.to_string() }))).into_response()
}

fn answer<T: serde::Serialize>(answer: Option<T>) -> Response {
    answer.map_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response(), |a| Json(a).into_response())
}

async fn list(State(app): State<App>) -> Response {
    answer(app.ask(|reply| Ask::Control(Control::List(reply))).await)
}

async fn order(State(app): State<App>, body: Bytes) -> Response {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Orders {
        Many(Vec<Value>),
        One(Value),
    }
    let orders = match serde_json::from_slice::<Orders>(&body) {
        Ok(Orders::Many(many)) => many,
        Ok(Orders::One(one)) => vec![one],
        Err(e) => return refusal(format!("not JSON: {e}")),
    };
    match orders.into_iter().map(serde_json::from_value::<FaultOrder>).collect::<Result<Vec<_>, _>>() {
        Ok(orders) => match app.ask(|reply| Ask::Control(Control::Order(orders, reply))).await {
            Some(Ok(active)) => answer(Some(active)),
            Some(Err(bad)) => refusal(bad),
            None => answer::<()>(None),
        },
        Err(e) => refusal(format!("not a fault order: {e}; expected {{\"fault\":NAME, …}}")),
    }
}

#[derive(Deserialize)]
struct Which {
    fault: Option<String>,
}

async fn clear(State(app): State<App>, Query(which): Query<Which>) -> Response {
    match which.fault.map(|name| name.parse::<Fault>()).transpose() {
        Ok(which) => answer(app.ask(|reply| Ask::Control(Control::Clear(which, reply))).await),
        Err(unknown) => refusal(unknown),
    }
}

#[derive(Deserialize)]
struct Whose {
    user: String,
    #[serde(default)]
    since_ms: u64,
}

async fn truth(State(app): State<App>, Query(whose): Query<Whose>) -> Response {
    match whose.user.parse::<Address>() {
        Ok(user) => answer(app.ask(|reply| Ask::Control(Control::Truth(user, whose.since_ms, reply))).await),
        Err(bad) => refusal(format!("user: {bad}")),
    }
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn wire_page(State(app): State<App>, Query(Since { since }): Query<Since>) -> Response {
    Json(app.wire_log.page(since)).into_response()
}

async fn state(State(app): State<App>) -> Response {
    answer(app.ask(|reply| Ask::Control(Control::State(reply))).await)
}

async fn market(State(app): State<App>, body: Bytes) -> Response {
    match serde_json::from_slice::<MarketPush>(&body) {
        Ok(push) => done(app.ask(|reply| Ask::Control(Control::Push(push, reply))).await),
        Err(e) => refusal(format!("not a market push: {e}")),
    }
}

async fn deposit(State(app): State<App>, body: Bytes) -> Response {
    match serde_json::from_slice::<DepositOrder>(&body) {
        Ok(order) => done(app.ask(|reply| Ask::Control(Control::Deposit(order, reply))).await),
        Err(e) => refusal(format!("not a deposit: {e}")),
    }
}

async fn routing(State(app): State<App>, body: Bytes) -> Response {
    match serde_json::from_slice::<Routing>(&body) {
        Ok(routing) => done(app.ask(|reply| Ask::Control(Control::Route(routing, reply))).await.map(Ok)),
        Err(e) => refusal(format!("not a routing: {e}")),
    }
}

fn done(result: Option<Result<(), String>>) -> Response {
    match result {
        Some(Ok(())) => Json(json!({ "done": true })).into_response(),
        Some(Err(text)) => refusal(text),
        None => answer::<()>(None),
    }
}
