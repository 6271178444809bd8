//! The operator's door: HTTP on a unix socket that only the daemon's user can open (T05).

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use alerts::{AlertId, Service};
use axum::body::Bytes;
use axum::extract::{FromRequest, Path as UrlPath, Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use domain::{
    Act, Approval, BadScope, Command, CommandReply, DrillPath, InstrumentId, ParentChange, ParentId, Side, SpecFault, Stamp,
    Stop, StopLevel, StopScope, TransferId, Trigger,
};
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

use crate::approval::{Signed, ToSign};
use crate::config::{RawParent, plan_to_spec};
use crate::daemon::{Request, Signer};
use crate::gate::Gate;
use crate::live::Frame;
use crate::reload;
use crate::show;
use crate::views::View;
use crate::wall::Wall;

/// Requests waiting for the loop.
pub const REQUESTS_MAX: usize = 64;
/// Of the scopes that there are, so many are listed for whoever asks for another one.
const SCOPES_SHOWN: usize = 20;
/// Larger bodies are refused: no command needs more.
const BODY_MAX: usize = 64 * 1024;

/// Every path, for whoever asks for another one.
const PATHS: [&str; 19] = [
    "GET /status",
    "GET /frame",
    "GET /size",
    "GET /margin",
    "GET /alerts",
    "POST /alerts/ack",
    "GET /drills",
    "POST /drill",
    "GET /treasury",
    "POST /treasury/write-off",
    "POST /treasury/accept-wallet",
    "POST /parents",
    "POST /parents/{id}",
    "GET /config",
    "POST /apply",
    "POST /kill",
    "GET /challenge",
    "POST /rearm",
    "POST /unfreeze",
];

/// Raise the stop level.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KillBody {
    /// To what.
    #[serde(deserialize_with = "level_to_stop_at")]
    pub level: StopLevel,
    /// What to stop; absent: everything.
    #[serde(default)]
    pub scope: StopScope,
    /// In whose words.
    pub cause: String,
}

/// A level's word, as on the command line or as in the journal.
fn level_to_stop_at<'de, D: Deserializer<'de>>(d: D) -> Result<StopLevel, D::Error> {
    StopLevel::to_stop_at(&String::deserialize(d)?.replace('_', "-")).map_err(de::Error::custom)
}

/// A body of JSON. What it is not, is said as every other fault.
struct Said<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Said<T> {
    type Rejection = Response;
    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Said<T>, Response> {
        let fault = |value: &str, expected: String| {
            let value = value.chars().take(80).collect();
            refused(vec![SpecFault { field: "body".into(), value, expected }])
        };
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|e| fault("(unread)", format!("at most {BODY_MAX} bytes: {e}")))?;
        serde_json::from_slice(&bytes)
            .map(Said)
            .map_err(|e| fault(&String::from_utf8_lossy(&bytes), format!("JSON as the command line sends it: {e}")))
    }
}

async fn no_such_path(method: Method, uri: Uri) -> Response {
    let expected = format!("one of {}", PATHS.join(", "));
    let fault = SpecFault { field: "path".into(), value: format!("{method} {}", uri.path()), expected };
    (StatusCode::NOT_FOUND, Json(ErrorBody { faults: vec![fault] })).into_response()
}

/// Clear the latch, or unfreeze a market.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonBody {
    /// In whose words.
    pub reason: String,
    /// Which market, when unfreezing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrument: Option<InstrumentId>,
}

/// Say that somebody acts on an alert.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AckBody {
    /// Which.
    pub id: AlertId,
    /// Who.
    pub by: String,
}

/// Put in force what a changed configuration file loosens.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyBody {
    /// Hash of the file whose changes are meant.
    pub file: String,
    /// In whose words.
    pub reason: String,
    /// An operator's approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// Let what was stopped trade again.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RearmBody {
    /// In whose words.
    pub reason: String,
    /// What; absent: all that is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<StopScope>,
    /// An operator's approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// Write a transfer off.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WriteOffBody {
    /// Which.
    pub transfer: TransferId,
    /// In whose words.
    pub reason: String,
}

/// The answer to a refused or impossible request.
#[derive(Debug, Deserialize, Serialize)]
pub struct ErrorBody {
    /// Every fault.
    pub faults: Vec<SpecFault>,
}

/// Try a way out.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DrillBody {
    /// Which.
    pub path: DrillPath,
    /// The file with the operator's own signer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<PathBuf>,
}

type Requests = mpsc::Sender<Request>;

/// Binds the socket, readable and writable by its owner alone. A socket left by a dead daemon is replaced; the journal's
/// lock has already shown that no other daemon lives.
///
/// # Errors
/// If the path cannot be bound.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves until the process ends.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: UnixListener, requests: Requests, gate: Arc<Gate>, alerts: Service) -> io::Result<()> {
    let router = Router::new()
        .route("/status", get(status))
        .route("/frame", get(frame))
        .route("/size", get(size))
        .route("/margin", get(margin))
        .route("/alerts", get(listing))
        .route("/alerts/ack", post(acknowledge))
        .route("/drills", get(drills))
        .route("/drill", post(drill))
        .route("/treasury", get(treasury))
        .route("/treasury/write-off", post(write_off))
        .route("/treasury/accept-wallet", post(accept_wallet))
        .route("/parents", post(submit))
        .route("/parents/{id}", post(change))
        .route("/config", get(configuration))
        .route("/apply", post(apply))
        .route("/kill", post(kill))
        .route("/challenge", get(challenge))
        .route("/rearm", post(rearm))
        .route("/unfreeze", post(unfreeze))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_path)
        .layer(axum::extract::DefaultBodyLimit::max(BODY_MAX))
        .layer(axum::Extension(gate))
        .layer(axum::Extension(alerts))
        .with_state(requests);
    axum::serve(listener, router).await
}

async fn status(State(requests): State<Requests>) -> Response {
    match view(&requests).await {
        Some(view) => Json(view).into_response(),
        None => leaving(),
    }
}

async fn frame(State(requests): State<Requests>) -> Response {
    match view(&requests).await {
        Some(view) => Json(Frame::new(&view)).into_response(),
        None => leaving(),
    }
}

/// What a question about size or margin says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    /// Which market.
    instrument: Option<String>,
    /// Only this side.
    side: Option<Side>,
    /// As text, in lines of at most so many columns.
    width: Option<usize>,
}

fn lines(lines: &[String]) -> Response {
    (StatusCode::OK, [("content-type", "text/plain; charset=utf-8")], lines.join("\n")).into_response()
}

async fn size(State(requests): State<Requests>, Query(asked): Query<Asked>) -> Response {
    let name = asked.instrument.unwrap_or_default();
    let unknown = |known: &[InstrumentId]| {
        let names: Vec<String> = known.iter().map(ToString::to_string).collect();
        let expected = if names.is_empty() {
            "a market that the venue has told of".to_owned()
        } else {
            format!("one of {}", names.join(", "))
        };
        refused(vec![SpecFault { field: "instrument".into(), value: name.clone(), expected }])
    };
    let Ok(instrument) = name.parse::<InstrumentId>() else {
        let known = view(&requests).await.map(|view| view.instruments.into_keys().collect::<Vec<_>>());
        return known.map_or_else(leaving, |known| unknown(&known));
    };
    let (to, from) = oneshot::channel();
    if requests.send(Request::Size(instrument, asked.side, to)).await.is_err() {
        return leaving();
    }
    match (from.await, asked.width) {
        (Err(_), _) => leaving(),
        (Ok(Err(known)), _) => unknown(&known),
        (Ok(Ok(sized)), Some(width)) => lines(&show::size::size(&sized.sides, &sized.rules, show::fit(width))),
        (Ok(Ok(sized)), None) => Json(sized.sides).into_response(),
    }
}

async fn margin(State(requests): State<Requests>, Query(asked): Query<Asked>) -> Response {
    let (to, from) = oneshot::channel();
    if requests.send(Request::Margin(to)).await.is_err() {
        return leaving();
    }
    match (from.await, asked.width) {
        (Err(_), _) => leaving(),
        (Ok(view), Some(width)) => lines(&show::margin::margin(&view, show::fit(width))),
        (Ok(view), None) => Json(view).into_response(),
    }
}

async fn listing(Extension(alerts): Extension<Service>, Query(asked): Query<Asked>) -> Response {
    let listing = alerts.listing().await;
    match asked.width {
        Some(width) => lines(&show::alerts::alerts(&listing, Wall::resume(Stamp::default()).stamp(), show::fit(width))),
        None => Json(listing).into_response(),
    }
}

async fn acknowledge(Extension(alerts): Extension<Service>, Said(body): Said<AckBody>) -> Response {
    match alerts.acknowledge(body.id, &body.by).await {
        Ok(()) => Json(CommandReply::Done).into_response(),
        Err(no) => {
            let open: Vec<String> = no.open.iter().map(ToString::to_string).collect();
            let open =
                if open.is_empty() { "an alert that is open; none is".to_owned() } else { format!("one of {}", open.join(", ")) };
            refused(vec![SpecFault { field: "alert".into(), value: no.id.to_string(), expected: open }])
        }
    }
}

async fn drills(State(requests): State<Requests>, Query(asked): Query<Asked>) -> Response {
    let (to, from) = oneshot::channel();
    if requests.send(Request::Drills(to)).await.is_err() {
        return leaving();
    }
    match (from.await, asked.width) {
        (Err(_), _) => leaving(),
        (Ok(view), Some(_)) => lines(&show::drill::drills(&view)),
        (Ok(view), None) => Json(view).into_response(),
    }
}

async fn drill(State(requests): State<Requests>, Said(body): Said<DrillBody>) -> Response {
    let signer = body.signer.as_deref().map(|file| crate::venue::read_key("signer", file)).transpose();
    let signer = match signer {
        Ok(signer) => signer.map(|key| Box::new(Signer(key))),
        Err(failure) => {
            let value = body.signer.map(|file| file.display().to_string()).unwrap_or_default();
            return refused(vec![SpecFault { field: "signer".into(), value, expected: failure.why().to_owned() }]);
        }
    };
    let (to, from) = oneshot::channel();
    if requests.send(Request::Drill(body.path, signer, to)).await.is_err() {
        return leaving();
    }
    match from.await {
        Ok(CommandReply::Refused(faults)) => refused(faults),
        Ok(reply) => Json(reply).into_response(),
        Err(_) => leaving(),
    }
}

async fn treasury(State(requests): State<Requests>, Query(asked): Query<Asked>) -> Response {
    let (to, from) = oneshot::channel();
    if requests.send(Request::Treasury(to)).await.is_err() {
        return leaving();
    }
    match (from.await, asked.width) {
        (Err(_), _) => leaving(),
        (Ok(page), Some(width)) => lines(&show::treasury::treasury(&page, show::fit(width))),
        (Ok(page), None) => Json(page).into_response(),
    }
}

/// The loop's view of everything, or `None` if the loop has ended.
pub async fn view(requests: &Requests) -> Option<View> {
    let (to, from) = oneshot::channel();
    requests.send(Request::Status(to)).await.ok()?;
    from.await.ok()
}

/// Has the loop carry out `command`; `None` if the loop has ended.
pub async fn ask(requests: &Requests, command: Command) -> Option<CommandReply> {
    let (to, from) = oneshot::channel();
    requests.send(Request::Command(command, to)).await.ok()?;
    from.await.ok()
}

/// Admits `raw`, checked against the rules of its market.
///
/// # Errors
/// Every fault.
pub async fn admit(requests: &Requests, raw: &RawParent) -> Result<ParentId, Vec<SpecFault>> {
    let ended = || vec![SpecFault { field: "daemon".into(), value: "stopping".into(), expected: "a running daemon".into() }];
    let known = view(requests).await.ok_or_else(ended)?.instruments;
    let rules = raw.instrument.parse::<InstrumentId>().ok().and_then(|id| known.get(&id));
    let Some(rules) = rules else {
        let names: Vec<String> = known.keys().map(ToString::to_string).collect();
        let expected = format!("one of {}", names.join(", "));
        return Err(vec![SpecFault { field: "instrument".into(), value: raw.instrument.clone(), expected }]);
    };
    let spec = plan_to_spec(raw, rules)?;
    match ask(requests, Command::Submit(Box::new(spec))).await.ok_or_else(ended)? {
        CommandReply::Accepted(id) => Ok(id),
        CommandReply::Refused(faults) => Err(faults),
        CommandReply::Done | CommandReply::Waiting { .. } | CommandReply::Drilling(_) => Err(ended()),
    }
}

async fn submit(State(requests): State<Requests>, Said(raw): Said<RawParent>) -> Response {
    match admit(&requests, &raw).await {
        Ok(id) => Json(CommandReply::Accepted(id)).into_response(),
        Err(faults) => refused(faults),
    }
}

async fn change(State(requests): State<Requests>, UrlPath(id): UrlPath<u32>, Said(change): Said<ParentChange>) -> Response {
    carry(&requests, Command::Change(ParentId(id), change)).await
}

async fn kill(State(requests): State<Requests>, Extension(gate): Extension<Arc<Gate>>, Said(body): Said<KillBody>) -> Response {
    let KillBody { level, scope, cause } = body;
    let faults = unknown_scope(&requests, scope).await;
    if !faults.is_empty() {
        return refused(faults);
    }
    let stop = Stop { scope, ..Stop::all(level, Trigger::Operator, cause) };
    // at once: the loop may be waiting for the journal
    gate.obey(&stop);
    carry(&requests, Command::Kill(stop)).await
}

/// How long a stop of less than everything waits to hear whether its scope exists.
const LOOK_MAX: Duration = Duration::from_millis(300);

/// A scope that covers nothing would stop nothing, and whoever asked for it would not know. For everything nobody is asked.
async fn unknown_scope(requests: &Requests, scope: StopScope) -> Vec<SpecFault> {
    if scope == StopScope::All {
        return Vec::new();
    }
    // a loop that waits for its disk must not keep the gate open: then the scope is taken as it is
    let Ok(Some(View { desk, instruments, .. })) = tokio::time::timeout(LOOK_MAX, view(requests)).await else {
        return Vec::new();
    };
    let known: Vec<StopScope> = match scope {
        StopScope::All => Vec::new(),
        StopScope::Venue(_) => desk.venues.iter().map(|line| StopScope::Venue(line.venue)).collect(),
        StopScope::Market(_) => instruments.keys().copied().map(StopScope::Market).collect(),
        StopScope::Parent(_) => desk.parents.iter().map(|line| StopScope::Parent(line.spec.id)).collect(),
    };
    if known.contains(&scope) {
        return Vec::new();
    }
    let names: Vec<String> = known.iter().take(SCOPES_SHOWN).map(ToString::to_string).collect();
    let more = if known.len() > SCOPES_SHOWN { format!(" and {} more", known.len() - SCOPES_SHOWN) } else { String::new() };
    let expected = if names.is_empty() {
        "all: there is none of these".to_owned()
    } else {
        format!("all, or one of {}{more}", names.join(", "))
    };
    vec![SpecFault { field: "scope".into(), value: scope.to_string(), expected }]
}

/// Which act is to be approved.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActAsked {
    act: String,
    #[serde(default)]
    scope: Option<String>,
    #[serde(default)]
    file: Option<String>,
}

impl ActAsked {
    fn act(self) -> Result<Act, SpecFault> {
        let fault = |field: &str, value: &str, expected: String| SpecFault { field: field.into(), value: value.into(), expected };
        match (self.act.as_str(), self.scope, self.file) {
            ("rearm", None, None) => Ok(Act::Rearm { scope: None }),
            ("rearm", Some(scope), None) => scope
                .parse()
                .map(|scope| Act::Rearm { scope: Some(scope) })
                .map_err(|e: BadScope| fault("scope", &scope, e.to_string())),
            ("apply", None, Some(file)) => Ok(Act::Apply { file }),
            (act, ..) => Err(fault("act", act, "rearm, with or without a scope, or apply with the hash of a file".into())),
        }
    }
}

async fn challenge(State(requests): State<Requests>, Query(asked): Query<ActAsked>) -> Response {
    let act = match asked.act() {
        Ok(act) => act,
        Err(fault) => return refused(vec![fault]),
    };
    match what_to_sign(&requests, act).await {
        Some(Ok(asked)) => Json(asked).into_response(),
        Some(Err(faults)) => refused(faults),
        None => leaving(),
    }
}

/// What an operator signs to approve of `act` now; `None` if the loop has ended.
async fn what_to_sign(requests: &Requests, act: Act) -> Option<Result<Box<ToSign>, Vec<SpecFault>>> {
    let (to, from) = oneshot::channel();
    requests.send(Request::Challenge(act, to)).await.ok()?;
    from.await.ok()
}

/// The approval that `signed` is, for the command that needs one; `None` if the loop has ended.
///
/// # Errors
/// If it is none.
pub async fn approval(
    requests: &Requests,
    act: Act,
    reason: &str,
    signed: Option<&Signed>,
) -> Option<Result<Option<Approval>, Vec<SpecFault>>> {
    let Some(signed) = signed else { return Some(Ok(None)) };
    let asked = what_to_sign(requests, act).await?;
    Some(asked.and_then(|asked| asked.verify(reason, signed)).map(Some))
}

async fn rearm(State(requests): State<Requests>, Said(body): Said<RearmBody>) -> Response {
    let RearmBody { reason, scope, signed } = body;
    match approval(&requests, Act::Rearm { scope }, &reason, signed.as_ref()).await {
        // the loop adds what stands in the way outside the desk
        Some(Ok(approval)) => carry(&requests, Command::Rearm { reason, scope, approval, standing: Vec::new() }).await,
        Some(Err(faults)) => refused(faults),
        None => leaving(),
    }
}

async fn configuration(State(requests): State<Requests>) -> Response {
    match reload::in_force(&requests).await {
        Some(view) => Json(view).into_response(),
        None => leaving(),
    }
}

async fn apply(State(requests): State<Requests>, Said(body): Said<ApplyBody>) -> Response {
    let ApplyBody { file, reason, signed } = body;
    match approval(&requests, Act::Apply { file: file.clone() }, &reason, signed.as_ref()).await {
        Some(Ok(approval)) => carry(&requests, Command::Apply { file, reason, approval }).await,
        Some(Err(faults)) => refused(faults),
        None => leaving(),
    }
}

async fn unfreeze(State(requests): State<Requests>, Said(body): Said<ReasonBody>) -> Response {
    match body.instrument {
        Some(instrument) => carry(&requests, Command::Unfreeze { instrument, reason: body.reason }).await,
        None => refused(vec![SpecFault { field: "instrument".into(), value: String::new(), expected: "a frozen market".into() }]),
    }
}

async fn write_off(State(requests): State<Requests>, Said(body): Said<WriteOffBody>) -> Response {
    carry(&requests, Command::CloseTransfer { id: body.transfer, reason: body.reason }).await
}

async fn accept_wallet(State(requests): State<Requests>, Said(body): Said<ReasonBody>) -> Response {
    carry(&requests, Command::AcceptWallet { reason: body.reason }).await
}

async fn carry(requests: &Requests, command: Command) -> Response {
    match ask(requests, command).await {
        Some(CommandReply::Refused(faults)) => refused(faults),
        Some(reply) => Json(reply).into_response(),
        None => leaving(),
    }
}

fn refused(faults: Vec<SpecFault>) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(ErrorBody { faults })).into_response()
}

fn leaving() -> Response {
    let fault = SpecFault { field: "daemon".into(), value: "stopping".into(), expected: "a running daemon".into() };
    (StatusCode::SERVICE_UNAVAILABLE, Json(ErrorBody { faults: vec![fault] })).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_on_the_list() {
        let routes = include_str!("api.rs").lines().filter_map(|line| line.trim().strip_prefix(".route(\""));
        let routes: Vec<String> = routes
            .filter_map(|line| line.split_once("\", "))
            .map(|(path, by)| format!("{} {path}", if by.starts_with("get") { "GET" } else { "POST" }))
            .collect();
        assert_eq!(routes, PATHS);
    }

    #[test]
    fn a_level_is_one_of_those_that_stop_something() {
        let read = |text: &str| serde_json::from_str::<KillBody>(text).map(|body| body.level).map_err(|e| e.to_string());
        for word in ["reduce-only", "reduce_only"] {
            assert_eq!(read(&format!(r#"{{"level":"{word}","cause":""}}"#)), Ok(StopLevel::ReduceOnly));
        }
        for bad in ["run", "halt", "", "CANCEL"] {
            let why = read(&format!(r#"{{"level":"{bad}","cause":""}}"#)).unwrap_err();
            assert!(why.contains("one of reduce-only, block, cancel, flatten, sever"), "{why}");
        }
        let why = read(r#"{"level":"cancel","scope":"moon","cause":""}"#).unwrap_err();
        assert!(why.contains("all, venue:hyperliquid, market:hyperliquid:BTC or parent:P7"), "{why}");
    }
}
