use std::fmt::Debug;

use domain::plain_decimal;
use rust_decimal::Decimal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::action::{Action, Answer, CancelStatus, OrderStatus as Status, Response, Signed};
use super::super::classify::{self, CancelEnd};
use super::super::info::{
    Abstraction, ActiveAssetData, AllMids, AssetCtx, Candle, ClearinghouseState, ExchangeStatus, ExtraAgent, Fill, FrontendOrder,
    FundingRate, InfoRequest, L2Book, LedgerUpdate, MarginTable, Meta, OpenOrder, OrderRow, OrderStatus, OutcomeMeta, PerpDex,
    PerpDexLimits, PerpDexStatus, Portfolio, PreTransferCheck, PredictedFunding, SpotAssetCtx, SpotClearinghouseState, SpotMeta,
    SubAccount, SubAccount2, Trade, TwapRow, TwapSliceFill, UsdcRouting, UserFees, UserFunding, UserRateLimit, UserRole,
    VaultEquity, WebData2,
};
use super::super::json::Json;
use super::super::stream::{ClientFrame, PostResponse, ServerFrame};
use super::super::{BODY_BYTES_MAX, Num};
use super::CaseResult;

/// Checks one recorded payload: an answer, a frame, a list of either, or a recording that pairs requests with answers.
#[must_use]
pub fn payload(file_name: &str, json_text: &str) -> CaseResult {
    let mut result = CaseResult::new(file_name);
    if json_text.len() > BODY_BYTES_MAX {
        result.fault(format!("{} bytes; expected at most {BODY_BYTES_MAX}", json_text.len()));
        return result;
    }
    match Json::parse(json_text) {
        Ok(json) => any(&json, &Hint::of(file_name), "", &mut result),
        Err(e) => result.fault(format!("not JSON: {e}")),
    }
    result
}

/// What a file's name says: `info_userFills_builder_fee.json` is of `/info` and about `userFills`.
struct Hint {
    kind: Option<&'static str>,
}

impl Hint {
    fn of(file_name: &str) -> Hint {
        let stem = file_name.rsplit('/').next().unwrap_or(file_name);
        let stem = stem.strip_suffix(".json").unwrap_or(stem);
        let word = stem.strip_prefix("info_").and_then(|rest| rest.split('_').next());
        Hint { kind: word.and_then(|word| INFO.iter().find(|kind| **kind == word).copied()) }
    }

    const NONE: Hint = Hint { kind: None };
}

/// Every type of `/info`.
const INFO: &[&str] = &[
    "meta",
    "allPerpMetas",
    "metaAndAssetCtxs",
    "perpDexs",
    "perpDexLimits",
    "perpDexStatus",
    "perpsAtOpenInterestCap",
    "marginTable",
    "maxMarketOrderNtls",
    "allMids",
    "l2Book",
    "recentTrades",
    "candleSnapshot",
    "fundingHistory",
    "predictedFundings",
    "clearinghouseState",
    "spotClearinghouseState",
    "activeAssetData",
    "openOrders",
    "frontendOpenOrders",
    "orderStatus",
    "historicalOrders",
    "userFills",
    "userFillsByTime",
    "userFunding",
    "userNonFundingLedgerUpdates",
    "userRateLimit",
    "userFees",
    "subAccounts",
    "subAccounts2",
    "userRole",
    "extraAgents",
    "userAbstraction",
    "exchangeStatus",
    "usdcRouting",
    "preTransferCheck",
    "maxBuilderFee",
    "twapHistory",
    "userTwapSliceFills",
    "userTwapSliceFillsByTime",
    "spotMeta",
    "spotMetaAndAssetCtxs",
    "outcomeMeta",
    "portfolio",
    "userVaultEquities",
    "liquidatable",
    "webData2",
];

/// Sorts a payload by its content and checks it.
fn any(json: &Json, hint: &Hint, path: &str, result: &mut CaseResult) {
    if let Json::Map(entries) = json {
        if let Some(errors) = json.get("errors").filter(|e| e.items().iter().any(|e| e.has("message"))) {
            return errors
                .items()
                .iter()
                .enumerate()
                .for_each(|(n, e)| documented_error(e, &format!("{path}errors[{n}]"), result));
        }
        if json.has("request") && json.has("response") {
            return exchange_of_messages(json, hint, path, result);
        }
        if let Some(body) = json.get("body") {
            if json.u64_at("http_status").is_some_and(|status| status >= 400) {
                return http_error(body, path, result);
            }
            return any(body, hint, &at(path, "body"), result);
        }
        if json.has("channel") {
            return server_frame(json, path, result);
        }
        if json.has("method") {
            return check::<ClientFrame>(json, path, result);
        }
        if json.has("action") && json.has("signature") {
            return check::<Signed>(json, path, result);
        }
        if matches!(json.text_at("status"), Some("ok" | "err")) {
            return answer(json, path, result);
        }
        let frames = |value: &Json| {
            let frame = |f: &Json| f.has("channel") || f.has("method");
            frame(value) || (!value.items().is_empty() && value.items().iter().all(frame))
        };
        if !entries.is_empty() && entries.iter().any(|(_, v)| frames(v)) {
            return recording(entries, path, result);
        }
        // a delta has a type too, but no request has only money beside it
        if json.text_at("type").is_some_and(|kind| INFO.contains(&kind)) {
            return check::<InfoRequest>(json, path, result);
        }
        if json.has("type") && serde_json::from_str::<Action>(&json.text()).is_ok() {
            return check::<Action>(json, path, result);
        }
    }
    let envelope = |item: &Json| {
        ["channel", "method", "body", "request"].iter().any(|key| item.has(key))
            || matches!(item.text_at("status"), Some("ok" | "err"))
    };
    if !json.items().is_empty() && json.items().iter().all(envelope) {
        return json.items().iter().enumerate().for_each(|(n, item)| {
            let path = item.text_at("case").map_or_else(|| format!("{path}[{n}]"), |case| format!("{path}[{case}]"));
            any(item, hint, &path, result);
        });
    }
    // what the content is goes before what the name says; the name decides where the content leaves it open
    match sort(json).or(hint.kind) {
        Some(kind) => info(kind, json, path, result),
        None => match sort(&Json::List(vec![json.clone()])) {
            Some(kind) => info(kind, json, path, result),
            None => result.fault(format!("{}: not a payload that the sheet knows", or_top(path))),
        },
    }
}

fn at(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn or_top(path: &str) -> &str {
    if path.is_empty() { "top" } else { path }
}

/// `{"request":…,"response":…}`: the request says what the response is.
fn exchange_of_messages(json: &Json, hint: &Hint, path: &str, result: &mut CaseResult) {
    let (Some(request), Some(response)) = (json.get("request"), json.get("response")) else { return };
    let (request_path, response_path) = (at(path, "request"), at(path, "response"));
    match request.text_at("type").and_then(|kind| INFO.iter().find(|known| **known == kind)) {
        Some(kind) => {
            check::<InfoRequest>(request, &request_path, result);
            info(kind, response, &response_path, result);
        }
        None => {
            any(request, &Hint::NONE, &request_path, result);
            any(response, hint, &response_path, result);
        }
    }
}

/// A socket's recording: frames of both sides under any keys. An echo must name the stream that was asked for.
fn recording(entries: &[(String, Json)], path: &str, result: &mut CaseResult) {
    let mut asked = Vec::new();
    let mut echoed = Vec::new();
    for (key, value) in entries {
        let frames = if let Json::List(frames) = value { frames.as_slice() } else { std::slice::from_ref(value) };
        for (n, frame) in frames.iter().enumerate() {
            let path = format!("{}[{n}]", at(path, key));
            if frame.has("channel") {
                server_frame(frame, &path, result);
                if let Ok(ServerFrame::SubscriptionResponse(ack)) = ServerFrame::decode(&frame.text()) {
                    echoed.push(ack.subscription);
                }
            } else if frame.has("method") {
                check::<ClientFrame>(frame, &path, result);
                if let Ok(ClientFrame::Subscribe { subscription } | ClientFrame::Unsubscribe { subscription }) =
                    ClientFrame::decode(&frame.text())
                {
                    asked.push(subscription);
                }
            } else if frame.entries().is_empty() && frame.items().is_empty() {
                result.ignored.push(path);
            } else {
                result.fault(format!("{path}: not a frame"));
            }
        }
    }
    for echo in echoed.iter().filter(|_| !asked.is_empty()) {
        if !asked.iter().any(|ask| ask.same_stream(echo)) {
            result.fault(format!("{}: an echo of a stream that nobody asked for: {echo:?}", or_top(path)));
        }
    }
}

fn server_frame(json: &Json, path: &str, result: &mut CaseResult) {
    check::<ServerFrame>(json, path, result);
    match ServerFrame::decode(&json.text()) {
        Ok(ServerFrame::Unrecognised { channel }) => {
            result.fault(format!("{}: the channel {channel:?} is not in the sheet", or_top(path)));
        }
        Ok(ServerFrame::Post(post)) => {
            let inner = json.get("data").and_then(|d| d.get("response")).and_then(|r| r.get("payload"));
            match (post.response, inner) {
                (PostResponse::Info(read), Some(inner)) => {
                    if let (Some(data), true) = (inner.get("data"), INFO.contains(&read.kind.as_str())) {
                        info(&read.kind, data, &at(path, "data.response.payload.data"), result);
                    }
                }
                (PostResponse::Action(_), Some(inner)) => answer(inner, &at(path, "data.response.payload"), result),
                (PostResponse::Error(_), _) | (PostResponse::Info(_) | PostResponse::Action(_), None) => {}
            }
        }
        // malformed ones have been noted by the check
        Ok(_) | Err(_) => {}
    }
}

/// What comes with a status of 400 or more: plain text, or `{"code","msg"}`. Nothing follows from it but that it is no answer.
fn http_error(body: &Json, path: &str, result: &mut CaseResult) {
    if body.as_text().is_none() && !body.has("msg") {
        result.fault(format!("{}: expected a text or a msg", at(path, "body")));
    }
}

fn answer(json: &Json, path: &str, result: &mut CaseResult) {
    check::<Answer>(json, path, result);
    let Ok(Answer::Ok(response)) = serde_json::from_str::<Answer>(&json.text()) else { return };
    let unknown: Vec<String> = match response {
        Response::Unrecognised { kind } => vec![kind],
        Response::Order(statuses) => {
            statuses.into_iter().filter_map(|s| if let Status::Unrecognised(w) = s { Some(w) } else { None }).collect()
        }
        Response::Cancel(statuses) => {
            statuses.into_iter().filter_map(|s| if let CancelStatus::Unrecognised(w) = s { Some(w) } else { None }).collect()
        }
        Response::TwapCancel(CancelStatus::Unrecognised(word)) => vec![word],
        Response::Default | Response::TwapOrder(_) | Response::TwapCancel(_) | Response::Created { .. } => Vec::new(),
    };
    for word in unknown {
        result.fault(format!("{}: {word:?} is not in the sheet", or_top(path)));
    }
}

/// A documented refusal must be on the allow-list, and mean what the status word of its type means.
fn documented_error(error: &Json, path: &str, result: &mut CaseResult) {
    let Some(message) = error.text_at("message") else {
        return result.fault(format!("{path}: no message"));
    };
    if error.text_at("source") == Some("Cancel") {
        if classify::cancel(&CancelStatus::Error(message.to_owned())) == CancelEnd::Unknown {
            result.fault(format!("{path}: not on the allow-list of cancels: {message:?}"));
        }
        return;
    }
    let Some(kind) = classify::order(message).or_else(|| classify::account(message)) else {
        return result.fault(format!("{path}: not on the allow-list: {message:?}"));
    };
    if let Some(name) = error.text_at("type").filter(|name| name.is_ascii() && !name.is_empty()) {
        let word = format!("{}{}Rejected", name[..1].to_ascii_lowercase(), &name[1..]);
        if classify::status_kind(&word).is_some_and(|by_word| by_word != kind) {
            result.fault(format!("{path}: {message:?} means {kind:?}, but the status {word} means another thing"));
        }
    }
}

/// Which read a bare answer belongs to, by its keys alone: a malformed number must not make it another read.
fn sort(json: &Json) -> Option<&'static str> {
    match json {
        Json::Text(_) => Some("userAbstraction"),
        Json::Int(_) => Some("maxBuilderFee"),
        Json::Null | Json::Bool(_) | Json::Float(_) => None,
        Json::Map(entries) => sort_map(json, entries),
        Json::List(items) => sort_list(items),
    }
}

/// The read that a key gives away; earlier rows win.
const BY_KEY: &[(&[&str], &str)] = &[
    (&["clearinghouseState", "serverTime"], "webData2"),
    (&["universe", "tokens"], "spotMeta"),
    (&["universe"], "meta"),
    (&["levels"], "l2Book"),
    (&["marginTiers"], "marginTable"),
    (&["crossMarginSummary"], "clearinghouseState"),
    (&["assetPositions"], "clearinghouseState"),
    (&["balances"], "spotClearinghouseState"),
    (&["maxTradeSzs", "availableToTrade"], "activeAssetData"),
    (&["nRequestsUsed"], "userRateLimit"),
    (&["feeSchedule"], "userFees"),
    (&["role"], "userRole"),
    (&["specialStatuses"], "exchangeStatus"),
    (&["depositRoute"], "usdcRouting"),
    (&["isSanctioned"], "preTransferCheck"),
    (&["totalOiCap"], "perpDexLimits"),
    (&["totalNetDeposit"], "perpDexStatus"),
    (&["outcomes"], "outcomeMeta"),
];

/// As [`BY_KEY`], for the elements of a list.
const BY_ELEMENT_KEY: &[(&[&str], &str)] = &[
    (&["universe"], "allPerpMetas"),
    (&["fill"], "userTwapSliceFills"),
    (&["state", "status"], "twapHistory"),
    (&["order", "status"], "historicalOrders"),
    (&["startPosition"], "userFills"),
    (&["closedPnl"], "userFills"),
    (&["side", "tid"], "recentTrades"),
    (&["limitPx", "orderType"], "frontendOpenOrders"),
    (&["limitPx", "isTrigger"], "frontendOpenOrders"),
    (&["limitPx", "triggerCondition"], "frontendOpenOrders"),
    (&["limitPx"], "openOrders"),
    (&["t", "T"], "candleSnapshot"),
    (&["fundingRate"], "fundingHistory"),
    (&["dexToClearinghouseState"], "subAccounts2"),
    (&["subAccountUser"], "subAccounts"),
    (&["validUntil"], "extraAgents"),
    (&["deployer", "fullName"], "perpDexs"),
    (&["vaultAddress", "equity"], "userVaultEquities"),
    (&["positionIndex"], "liquidatable"),
];

fn by_key(json: &Json, table: &[(&[&str], &'static str)]) -> Option<&'static str> {
    table.iter().find(|(keys, _)| keys.iter().all(|key| json.has(key))).map(|(_, kind)| *kind)
}

fn sort_map(json: &Json, entries: &[(String, Json)]) -> Option<&'static str> {
    if matches!(json.text_at("status"), Some("order" | "unknownOid")) && !json.has("statusTimestamp") {
        return Some("orderStatus");
    }
    let prices = || !entries.is_empty() && entries.iter().all(|(_, v)| v.as_text().is_some_and(|t| plain_decimal(t).is_some()));
    by_key(json, BY_KEY).or_else(|| prices().then_some("allMids"))
}

fn sort_list(items: &[Json]) -> Option<&'static str> {
    let first = items.first()?;
    match first {
        Json::Map(_) if items.len() == 2 && matches!(items[1], Json::List(_)) && first.has("universe") => {
            Some(if first.has("tokens") { "spotMetaAndAssetCtxs" } else { "metaAndAssetCtxs" })
        }
        Json::Map(_) => match first.get("delta") {
            Some(delta) if delta.text_at("type") == Some("funding") => Some("userFunding"),
            Some(_) => Some("userNonFundingLedgerUpdates"),
            None => by_key(first, BY_ELEMENT_KEY),
        },
        Json::Null => Some("perpDexs"),
        Json::Text(_) => Some("perpsAtOpenInterestCap"),
        Json::List(pair) => match pair.as_slice() {
            [Json::Text(_), Json::Map(_)] => Some("portfolio"),
            [Json::Text(_), Json::List(_)] => Some("predictedFundings"),
            [Json::Int(_), Json::Text(_)] => Some("maxMarketOrderNtls"),
            _ => None,
        },
        Json::Bool(_) | Json::Int(_) | Json::Float(_) => None,
    }
}

/// Checks an answer of `/info` as the type that its request names.
fn info(kind: &str, json: &Json, path: &str, result: &mut CaseResult) {
    match kind {
        "meta" => check::<Meta>(json, path, result),
        "allPerpMetas" => check::<Vec<Meta>>(json, path, result),
        "metaAndAssetCtxs" => check::<(Meta, Vec<AssetCtx>)>(json, path, result),
        "perpDexs" => check::<Vec<Option<PerpDex>>>(json, path, result),
        "perpDexLimits" => check::<Option<PerpDexLimits>>(json, path, result),
        "perpDexStatus" => check::<PerpDexStatus>(json, path, result),
        "perpsAtOpenInterestCap" => check::<Vec<String>>(json, path, result),
        "marginTable" => check::<MarginTable>(json, path, result),
        "maxMarketOrderNtls" => check::<Vec<(u32, Num)>>(json, path, result),
        "allMids" => check::<AllMids>(json, path, result),
        "l2Book" => check::<Option<L2Book>>(json, path, result),
        "recentTrades" => rows::<Trade>(json, path, result),
        "candleSnapshot" => rows::<Candle>(json, path, result),
        "fundingHistory" => rows::<FundingRate>(json, path, result),
        "predictedFundings" => check::<Vec<(String, Vec<(String, Option<PredictedFunding>)>)>>(json, path, result),
        "clearinghouseState" => check::<ClearinghouseState>(json, path, result),
        "spotClearinghouseState" => check::<SpotClearinghouseState>(json, path, result),
        "activeAssetData" => check::<ActiveAssetData>(json, path, result),
        "openOrders" => rows::<OpenOrder>(json, path, result),
        "frontendOpenOrders" => rows::<FrontendOrder>(json, path, result),
        "orderStatus" => check::<OrderStatus>(json, path, result),
        "historicalOrders" => rows::<OrderRow>(json, path, result),
        "userFills" | "userFillsByTime" => rows::<Fill>(json, path, result),
        "userFunding" => rows::<UserFunding>(json, path, result),
        "userNonFundingLedgerUpdates" => rows::<LedgerUpdate>(json, path, result),
        "userRateLimit" => check::<UserRateLimit>(json, path, result),
        "userFees" => check::<UserFees>(json, path, result),
        "subAccounts" => check::<Option<Vec<SubAccount>>>(json, path, result),
        "subAccounts2" => check::<Option<Vec<SubAccount2>>>(json, path, result),
        "userRole" => check::<UserRole>(json, path, result),
        "extraAgents" => rows::<ExtraAgent>(json, path, result),
        "userAbstraction" => check::<Abstraction>(json, path, result),
        "exchangeStatus" => check::<ExchangeStatus>(json, path, result),
        "usdcRouting" => check::<UsdcRouting>(json, path, result),
        "preTransferCheck" => check::<PreTransferCheck>(json, path, result),
        "maxBuilderFee" => check::<u64>(json, path, result),
        "twapHistory" => rows::<TwapRow>(json, path, result),
        "userTwapSliceFills" | "userTwapSliceFillsByTime" => rows::<TwapSliceFill>(json, path, result),
        "spotMeta" => check::<SpotMeta>(json, path, result),
        "spotMetaAndAssetCtxs" => check::<(SpotMeta, Vec<SpotAssetCtx>)>(json, path, result),
        "outcomeMeta" => check::<OutcomeMeta>(json, path, result),
        "portfolio" => check::<Vec<(String, Portfolio)>>(json, path, result),
        "userVaultEquities" => rows::<VaultEquity>(json, path, result),
        "liquidatable" => check::<Vec<Value>>(json, path, result),
        "webData2" => check::<WebData2>(json, path, result),
        other => result.fault(format!("{}: the read {other:?} is not in the sheet", or_top(path))),
    }
}

/// A list of rows; recordings cut down to one row are taken as well.
fn rows<T: DeserializeOwned + Serialize + PartialEq + Debug>(json: &Json, path: &str, result: &mut CaseResult) {
    if matches!(json, Json::Map(_)) { check::<T>(json, path, result) } else { check::<Vec<T>>(json, path, result) }
}

/// Decodes, encodes, decodes again; nothing known may be lost or changed.
fn check<T: DeserializeOwned + Serialize + PartialEq + Debug>(json: &Json, path: &str, result: &mut CaseResult) {
    let read = |text: &str| serde_json::from_str::<T>(text).map_err(|e| e.to_string());
    let round = || {
        let first = read(&json.text())?;
        let text = serde_json::to_string(&first).map_err(|e| e.to_string())?;
        let second = read(&text).map_err(|e| format!("its own encoding: {e}"))?;
        if first != second {
            return Err(format!("encoding changes it: {first:?} became {second:?}"));
        }
        Json::parse(&text)
    };
    match round() {
        Ok(written) => compare(json, &written, path, result),
        Err(e) => result.fault(format!("{}: {e}", or_top(path))),
    }
}

/// Whether a key with this value says nothing, so that writing or omitting it is the same.
fn blank(value: &Json) -> bool {
    matches!(value, Json::Null | Json::Bool(false))
        || value.as_text().is_some_and(str::is_empty)
        || matches!(value, Json::List(items) if items.is_empty())
}

fn compare(source: &Json, written: &Json, path: &str, result: &mut CaseResult) {
    match (source, written) {
        (Json::Map(had), Json::Map(has)) => {
            for (key, value) in had {
                match written.get(key) {
                    Some(other) => compare(value, other, &at(path, key), result),
                    None if blank(value) => {}
                    None => result.ignored.push(at(path, key)),
                }
            }
            for (key, value) in has.iter().filter(|(key, value)| !source.has(key) && !blank(value)) {
                result.fault(format!("{}: written as {}, but not in the source", at(path, key), value.text()));
            }
        }
        (Json::List(had), Json::List(has)) if had.len() == has.len() => {
            for (n, (a, b)) in had.iter().zip(has).enumerate() {
                compare(a, b, &format!("{path}[{n}]"), result);
            }
        }
        _ if source == written || number(source).is_some_and(|n| number(written) == Some(n)) => {}
        // letter case and padding: addresses are written in lower case, halves of a signature with 64 digits
        (Json::Text(a), Json::Text(b)) if same_hex(a, b) => {}
        _ => result.fault(format!("{}: {} became {}", or_top(path), source.text(), written.text())),
    }
}

fn same_hex(a: &str, b: &str) -> bool {
    let digits = |text: &str| text.strip_prefix("0x").map(|d| d.trim_start_matches('0').to_ascii_lowercase());
    digits(a).is_some() && digits(a) == digits(b)
}

fn number(json: &Json) -> Option<Decimal> {
    match json {
        Json::Text(text) => plain_decimal(text),
        Json::Int(n) => plain_decimal(&n.to_string()),
        Json::Float(x) => plain_decimal(&x.to_string()),
        Json::Null | Json::Bool(_) | Json::List(_) | Json::Map(_) => None,
    }
}
