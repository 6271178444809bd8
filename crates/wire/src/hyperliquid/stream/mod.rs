//! The WebSocket: every frame, both directions (sheet 6).
//!
//! A client decodes with [`ServerFrame::decode`] and sends [`ClientFrame`]s; a server the other way round. A channel that we
//! do not know decodes as [`ServerFrame::Unrecognised`]; a known channel with a malformed payload is a [`Malformed`] error.
//! Book frames, nearly all of the traffic, have a faster road: [`scan_l2_book`].

mod scan;

use std::collections::BTreeMap;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use serde_json::value::RawValue;

use super::action::{Answer, Signed};
use super::info::{
    Abstraction, ActiveAssetData, AllMids, AssetCtx, Candle, ClearinghouseState, Fill, FrontendOrder, FundingDelta, InfoRequest,
    L2Book, L2Level, LedgerUpdate, OpenOrder, OrderRow, SpotAssetCtx, SpotClearinghouseState, Trade, TwapRow, TwapSliceFill,
    TwapState, WebData2,
};
use super::number::non_negative;
use super::{Malformed, Num, User};

pub use scan::{FIXED_DECIMALS, FixedBook, FixedLevel, LEVELS_MAX, book_via_serde, scan_l2_book};

/// The longest frame that [`ServerFrame::decode`] looks at (reliability §8).
pub const FRAME_BYTES_MAX: usize = 4 << 20;

/// A frame from client to server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum ClientFrame {
    /// Starts a stream.
    Subscribe {
        /// Which.
        subscription: Subscription,
    },
    /// Ends a stream: the same object again.
    Unsubscribe {
        /// Which.
        subscription: Subscription,
    },
    /// A request over the socket.
    Post {
        /// Pairs the answer with it.
        id: u64,
        /// What is asked.
        request: PostRequest,
    },
    /// Keeps the socket alive.
    Ping,
}

impl ClientFrame {
    /// Decodes a frame that a client sent.
    ///
    /// # Errors
    /// If it is too long, not JSON, or not a client frame.
    pub fn decode(text: &str) -> Result<ClientFrame, Malformed> {
        if text.len() > FRAME_BYTES_MAX {
            return Err(Malformed::new("client frame", format_args!("{} bytes; expected at most {FRAME_BYTES_MAX}", text.len())));
        }
        serde_json::from_str(text).map_err(|e| Malformed::new("client frame", e))
    }

    /// The frame's text.
    #[must_use]
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A request over the socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "lowercase")]
pub enum PostRequest {
    /// A read.
    Info(InfoRequest),
    /// An action.
    Action(Box<Signed>),
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Subscription {
    /// Mids of a dex.
    AllMids {
        /// Absent or empty: the main dex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    /// Book snapshots: 20 levels every 5 s, or 5 levels every 0.5 s if `fast`.
    L2Book {
        /// Which coin.
        coin: String,
        /// 2 to 5.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        n_sig_figs: Option<u8>,
        /// 1, 2 or 5, only with 5 figures.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mantissa: Option<u8>,
        /// The fast, shallow variant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fast: Option<bool>,
    },
    /// Best bid and offer, on change.
    Bbo {
        /// Which coin.
        coin: String,
    },
    /// Public trades; the first message is history.
    Trades {
        /// Which coin.
        coin: String,
    },
    /// Candles.
    Candle {
        /// Which coin.
        coin: String,
        /// `1m` to `1M`.
        interval: String,
    },
    /// Reference prices of one coin; spot coins answer on `activeSpotAssetCtx`.
    ActiveAssetCtx {
        /// Which coin.
        coin: String,
    },
    /// Marks and mids of all coins.
    FastAssetCtxs,
    /// Reference prices of a dex.
    AssetCtxs {
        /// Absent or empty: the main dex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    /// Reference prices of all dexes.
    AllDexsAssetCtxs,
    /// Reference prices of spot.
    SpotAssetCtxs,
    /// Leverage setting and room of one coin.
    ActiveAssetData {
        /// The account.
        user: User,
        /// Which coin.
        coin: String,
    },
    /// Changes of orders: no user field, no snapshot, no replay.
    OrderUpdates {
        /// The account.
        user: User,
    },
    /// Fills, funding, liquidations, venue cancels, on channel `user`.
    UserEvents {
        /// The account.
        user: User,
    },
    /// Fills, snapshot first.
    UserFills {
        /// The account.
        user: User,
        /// Merges partial fills.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aggregate_by_time: Option<bool>,
    },
    /// Funding payments, snapshot first.
    UserFundings {
        /// The account.
        user: User,
    },
    /// Other ledger rows, snapshot first.
    UserNonFundingLedgerUpdates {
        /// The account.
        user: User,
    },
    /// Past orders, snapshot first.
    UserHistoricalOrders {
        /// The account.
        user: User,
    },
    /// The account, periodically.
    ClearinghouseState {
        /// The account.
        user: User,
        /// Absent or empty: the main dex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    /// The account on all dexes.
    AllDexsClearinghouseState {
        /// The account.
        user: User,
    },
    /// Working orders, full list.
    OpenOrders {
        /// The account.
        user: User,
        /// Absent or empty: the main dex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    /// Spot balances.
    SpotState {
        /// The account.
        user: User,
        /// Balances that count for a portfolio-margin account.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        is_portfolio_margin: Option<bool>,
    },
    /// Running venue TWAPs.
    TwapStates {
        /// The account.
        user: User,
        /// Absent or empty: the main dex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    /// Past venue TWAPs.
    UserTwapHistory {
        /// The account.
        user: User,
    },
    /// Fills of venue TWAPs.
    UserTwapSliceFills {
        /// The account.
        user: User,
    },
    /// Messages to the user.
    Notification {
        /// The account.
        user: User,
    },
    /// The web application's aggregate.
    WebData3 {
        /// The account.
        user: User,
    },
    /// Its predecessor.
    WebData2 {
        /// The account.
        user: User,
    },
    /// Changes of outcome markets.
    OutcomeMetaUpdates,
}

impl Subscription {
    /// The account of a user stream.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        match self {
            Subscription::ActiveAssetData { user, .. }
            | Subscription::OrderUpdates { user }
            | Subscription::UserEvents { user }
            | Subscription::UserFills { user, .. }
            | Subscription::UserFundings { user }
            | Subscription::UserNonFundingLedgerUpdates { user }
            | Subscription::UserHistoricalOrders { user }
            | Subscription::ClearinghouseState { user, .. }
            | Subscription::AllDexsClearinghouseState { user }
            | Subscription::OpenOrders { user, .. }
            | Subscription::SpotState { user, .. }
            | Subscription::TwapStates { user, .. }
            | Subscription::UserTwapHistory { user }
            | Subscription::UserTwapSliceFills { user }
            | Subscription::Notification { user }
            | Subscription::WebData3 { user }
            | Subscription::WebData2 { user } => Some(user),
            Subscription::AllMids { .. }
            | Subscription::L2Book { .. }
            | Subscription::Bbo { .. }
            | Subscription::Trades { .. }
            | Subscription::Candle { .. }
            | Subscription::ActiveAssetCtx { .. }
            | Subscription::FastAssetCtxs
            | Subscription::AssetCtxs { .. }
            | Subscription::AllDexsAssetCtxs
            | Subscription::SpotAssetCtxs
            | Subscription::OutcomeMetaUpdates => None,
        }
    }

    /// Whether two subscriptions name the same stream: users in any letter case, an absent dex equal to the empty one, an
    /// absent flag equal to false. Server echoes are normalised, so texts must not be compared.
    #[must_use]
    pub fn same_stream(&self, other: &Subscription) -> bool {
        fn canonical(subscription: &Subscription) -> Option<BTreeMap<String, Value>> {
            let Ok(Value::Object(map)) = serde_json::to_value(subscription) else { return None };
            let blank = |value: &Value| matches!(value, Value::Null | Value::Bool(false)) || value == "";
            Some(
                map.into_iter()
                    .filter(|(_, value)| !blank(value))
                    .map(|(key, mut value)| {
                        if let ("user", Value::String(user)) = (key.as_str(), &mut value) {
                            user.make_ascii_lowercase();
                        }
                        (key, value)
                    })
                    .collect(),
            )
        }
        canonical(self) == canonical(other)
    }
}

/// A frame from server to client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFrame {
    /// Plain text that is not JSON, such as `Websocket connection established.`
    Greeting(String),
    /// Answer to a ping.
    Pong,
    /// A subscription was taken or ended; the echo is normalised.
    SubscriptionResponse(Acknowledged),
    /// A refusal, with the venue's words.
    Error(String),
    /// Answer to a post.
    Post(PostAnswer),
    /// Mids.
    AllMids(Mids),
    /// A book snapshot.
    L2Book(L2Book),
    /// Best bid and offer.
    Bbo(Bbo),
    /// Public trades.
    Trades(Vec<Trade>),
    /// A candle.
    Candle(Candle),
    /// Reference prices of a perpetual.
    ActiveAssetCtx(ActiveAssetCtx),
    /// Reference prices of a spot pair.
    ActiveSpotAssetCtx(ActiveSpotAssetCtx),
    /// Marks and mids; first all, then changes.
    FastAssetCtxs(BTreeMap<String, FastAssetCtx>),
    /// Reference prices of a dex.
    AssetCtxs(AssetCtxs),
    /// Reference prices of all dexes.
    AllDexsAssetCtxs(AllDexsAssetCtxs),
    /// Reference prices of spot.
    SpotAssetCtxs(Vec<SpotAssetCtx>),
    /// Leverage setting and room of one coin.
    ActiveAssetData(ActiveAssetData),
    /// Changes of orders.
    OrderUpdates(Vec<OrderUpdate>),
    /// Events of the account (channel `user`).
    User(UserEvent),
    /// Fills.
    UserFills(UserFills),
    /// Funding payments.
    UserFundings(UserFundings),
    /// Other ledger rows.
    UserNonFundingLedgerUpdates(UserLedger),
    /// Past orders.
    UserHistoricalOrders(UserHistoricalOrders),
    /// The account.
    ClearinghouseState(DexClearinghouseState),
    /// The account on all dexes.
    AllDexsClearinghouseState(AllDexsClearinghouseState),
    /// Working orders.
    OpenOrders(DexOpenOrders),
    /// Spot balances.
    SpotState(SpotState),
    /// Running venue TWAPs.
    TwapStates(TwapStates),
    /// Past venue TWAPs.
    UserTwapHistory(UserTwapHistory),
    /// Fills of venue TWAPs.
    UserTwapSliceFills(UserTwapSliceFills),
    /// A message to the user.
    Notification(Notification),
    /// The web application's aggregate.
    WebData3(WebData3),
    /// Its predecessor.
    WebData2(Box<WebData2>),
    /// Changes of outcome markets.
    OutcomeMetaUpdates(OutcomeMetaUpdates),
    /// A channel that we do not know: counted, nothing follows from it.
    Unrecognised {
        /// Its name.
        channel: String,
    },
}

/// Pairs of channel name and variant, both ways.
macro_rules! channels {
    ($($name:literal => $variant:ident,)*) => {
        impl ServerFrame {
            /// The channel's name; empty for plain text.
            #[must_use]
            pub fn channel(&self) -> &str {
                match self {
                    ServerFrame::Greeting(_) => "",
                    ServerFrame::Pong => "pong",
                    ServerFrame::Unrecognised { channel } => channel,
                    $(ServerFrame::$variant(_) => $name,)*
                }
            }

            /// All channels that carry data.
            pub const CHANNELS: &'static [&'static str] = &[$($name,)*];

            fn from_parts(channel: &str, data: Option<&RawValue>) -> Result<ServerFrame, Malformed> {
                match channel {
                    "pong" => Ok(ServerFrame::Pong),
                    $($name => payload(channel, data).map(ServerFrame::$variant),)*
                    other => Ok(ServerFrame::Unrecognised { channel: other.chars().take(60).collect() }),
                }
            }
        }

        impl Serialize for ServerFrame {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                if let ServerFrame::Greeting(text) = self {
                    return s.serialize_str(text);
                }
                let mut map = s.serialize_map(None)?;
                map.serialize_entry("channel", self.channel())?;
                match self {
                    ServerFrame::Greeting(_) | ServerFrame::Pong | ServerFrame::Unrecognised { .. } => {}
                    $(ServerFrame::$variant(data) => map.serialize_entry("data", data)?,)*
                }
                map.end()
            }
        }
    };
}

channels! {
    "subscriptionResponse" => SubscriptionResponse,
    "error" => Error,
    "post" => Post,
    "allMids" => AllMids,
    "l2Book" => L2Book,
    "bbo" => Bbo,
    "trades" => Trades,
    "candle" => Candle,
    "activeAssetCtx" => ActiveAssetCtx,
    "activeSpotAssetCtx" => ActiveSpotAssetCtx,
    "fastAssetCtxs" => FastAssetCtxs,
    "assetCtxs" => AssetCtxs,
    "allDexsAssetCtxs" => AllDexsAssetCtxs,
    "spotAssetCtxs" => SpotAssetCtxs,
    "activeAssetData" => ActiveAssetData,
    "orderUpdates" => OrderUpdates,
    "user" => User,
    "userFills" => UserFills,
    "userFundings" => UserFundings,
    "userNonFundingLedgerUpdates" => UserNonFundingLedgerUpdates,
    "userHistoricalOrders" => UserHistoricalOrders,
    "clearinghouseState" => ClearinghouseState,
    "allDexsClearinghouseState" => AllDexsClearinghouseState,
    "openOrders" => OpenOrders,
    "spotState" => SpotState,
    "twapStates" => TwapStates,
    "userTwapHistory" => UserTwapHistory,
    "userTwapSliceFills" => UserTwapSliceFills,
    "notification" => Notification,
    "webData3" => WebData3,
    "webData2" => WebData2,
    "outcomeMetaUpdates" => OutcomeMetaUpdates,
}

fn payload<T: de::DeserializeOwned>(channel: &str, data: Option<&RawValue>) -> Result<T, Malformed> {
    let data = data.ok_or_else(|| Malformed::new(channel, "no data"))?;
    serde_json::from_str(data.get()).map_err(|e| Malformed::new(channel, e))
}

impl ServerFrame {
    /// Decodes a text frame. Text that does not begin like a JSON object is a [`ServerFrame::Greeting`].
    ///
    /// # Errors
    /// If it is too long, is broken JSON, or a known channel carries something else than it should.
    pub fn decode(text: &str) -> Result<ServerFrame, Malformed> {
        // the envelope borrows; a tagged enum would copy the whole message first
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(borrow)]
            channel: std::borrow::Cow<'a, str>,
            #[serde(borrow, default)]
            data: Option<&'a RawValue>,
        }
        if text.len() > FRAME_BYTES_MAX {
            return Err(Malformed::new("frame", format_args!("{} bytes; expected at most {FRAME_BYTES_MAX}", text.len())));
        }
        if !text.trim_start().starts_with('{') {
            return Ok(ServerFrame::Greeting(text.chars().take(200).collect()));
        }
        let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|e| Malformed::new("frame", e))?;
        ServerFrame::from_parts(&envelope.channel, envelope.data)
    }

    /// The frame's text.
    #[must_use]
    pub fn encode(&self) -> String {
        if let ServerFrame::Greeting(text) = self {
            return text.clone();
        }
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for ServerFrame {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<ServerFrame, D::Error> {
        let text = Box::<RawValue>::deserialize(d)?;
        ServerFrame::decode(text.get()).map_err(de::Error::custom)
    }
}

/// A subscription was taken or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// `subscribe` or `unsubscribe`.
    pub method: String,
    /// The echo.
    pub subscription: Subscription,
}

/// Answer to a post; answers may come out of order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostAnswer {
    /// As in the request.
    pub id: u64,
    /// What came back.
    pub response: PostResponse,
}

/// What came back for a post.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", content = "payload", rename_all = "lowercase")]
pub enum PostResponse {
    /// Of a read.
    Info(InfoAnswer),
    /// Of an action: as over HTTP.
    Action(Answer),
    /// Refused, with the venue's words.
    Error(String),
}

/// Answer to a read over the socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InfoAnswer {
    /// The request's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The answer's text; decode it as the type that [`InfoRequest`] names.
    pub data: Box<RawValue>,
}

impl PartialEq for InfoAnswer {
    fn eq(&self, other: &InfoAnswer) -> bool {
        self.kind == other.kind && self.data.get() == other.data.get()
    }
}

impl Eq for InfoAnswer {}

impl PartialEq for PostResponse {
    fn eq(&self, other: &PostResponse) -> bool {
        match (self, other) {
            (PostResponse::Info(a), PostResponse::Info(b)) => a == b,
            (PostResponse::Action(a), PostResponse::Action(b)) => a == b,
            (PostResponse::Error(a), PostResponse::Error(b)) => a == b,
            (PostResponse::Info(_) | PostResponse::Action(_) | PostResponse::Error(_), _) => false,
        }
    }
}

impl Eq for PostResponse {}

impl<'de> Deserialize<'de> for PostResponse {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<PostResponse, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            r#type: String,
            payload: Box<RawValue>,
        }
        let raw = Raw::deserialize(d)?;
        let payload = raw.payload.get();
        match raw.r#type.as_str() {
            "info" => serde_json::from_str(payload).map(PostResponse::Info).map_err(de::Error::custom),
            "action" => serde_json::from_str(payload).map(PostResponse::Action).map_err(de::Error::custom),
            "error" => serde_json::from_str(payload).map(PostResponse::Error).map_err(de::Error::custom),
            other => Err(de::Error::unknown_variant(other, &["info", "action", "error"])),
        }
    }
}

/// Mids of a dex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mids {
    /// By coin.
    pub mids: AllMids,
    /// Which dex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dex: Option<String>,
}

/// Best bid and offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bbo {
    /// Which coin.
    pub coin: String,
    /// Venue time, milliseconds.
    pub time: u64,
    /// Bid, ask.
    pub bbo: [Option<L2Level>; 2],
}

/// Reference prices of a perpetual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveAssetCtx {
    /// Which coin.
    pub coin: String,
    /// The prices.
    pub ctx: AssetCtx,
}

/// Reference prices of a spot pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActiveSpotAssetCtx {
    /// Which pair.
    pub coin: String,
    /// The prices.
    pub ctx: SpotAssetCtx,
}

/// Mark and mid; only what changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FastAssetCtx {
    /// Mark price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark_px: Option<Num>,
    /// Mid price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mid_px: Option<Num>,
}

/// Reference prices of a dex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetCtxs {
    /// Which dex.
    #[serde(default)]
    pub dex: String,
    /// In the order of its universe.
    pub ctxs: Vec<AssetCtx>,
}

/// Reference prices of all dexes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllDexsAssetCtxs {
    /// Dex and prices.
    pub ctxs: Vec<(String, Vec<AssetCtx>)>,
}

/// A change of an order. A cancel and its replacement come in either order, and possibly before the HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderUpdate {
    /// The order.
    pub order: OpenOrder,
    /// A word of sheet 3.2; see [`super::classify::state`].
    pub status: String,
    /// Since when, milliseconds.
    pub status_timestamp: u64,
}

/// Events of the account; one of these is present.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserEvent {
    /// Fills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fills: Option<Vec<Fill>>,
    /// A funding payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding: Option<FundingPayment>,
    /// A liquidation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liquidation: Option<Liquidation>,
    /// Orders that the venue cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_user_cancel: Option<Vec<NonUserCancel>>,
    /// Venue TWAPs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twap_history: Option<Vec<TwapRow>>,
    /// Fills of venue TWAPs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub twap_slice_fills: Option<Vec<TwapSliceFill>>,
}

/// A funding payment, as streams carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FundingPayment {
    /// Venue time, milliseconds.
    pub time: u64,
    /// Which coin.
    pub coin: String,
    /// Negative = paid.
    pub usdc: Num,
    /// Signed position.
    pub szi: Num,
    /// Per hour.
    pub funding_rate: Num,
    /// Samples behind it.
    #[serde(default)]
    pub n_samples: Option<u64>,
}

impl From<FundingPayment> for FundingDelta {
    fn from(p: FundingPayment) -> FundingDelta {
        FundingDelta { kind: None, coin: p.coin, usdc: p.usdc, szi: p.szi, funding_rate: p.funding_rate, n_samples: p.n_samples }
    }
}

/// A liquidation; this channel's keys are in snake case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Liquidation {
    /// Its number.
    pub lid: u64,
    /// Who liquidates.
    pub liquidator: User,
    /// Who is liquidated.
    pub liquidated_user: User,
    /// Notional.
    #[serde(deserialize_with = "non_negative")]
    pub liquidated_ntl_pos: Num,
    /// Equity.
    pub liquidated_account_value: Num,
}

/// An order that the venue cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NonUserCancel {
    /// Which coin.
    pub coin: String,
    /// The venue's number.
    pub oid: u64,
}

/// Declares a stream payload with a user and, on its first message, a snapshot flag.
macro_rules! user_stream {
    ($(#[$doc:meta] $name:ident { #[$field_doc:meta] $field:ident: $type:ty })*) => {$(
        #[$doc]
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The account.
            pub user: User,
            #[$field_doc]
            pub $field: $type,
            /// True on the first message.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub is_snapshot: Option<bool>,
        }
    )*};
}

user_stream! {
    /// Fills.
    UserFills {
        /// Snapshot: newest first.
        fills: Vec<Fill>
    }
    /// Funding payments.
    UserFundings {
        /// The payments.
        fundings: Vec<FundingPayment>
    }
    /// Other ledger rows.
    UserLedger {
        /// The rows.
        non_funding_ledger_updates: Vec<LedgerUpdate>
    }
    /// Past orders.
    UserHistoricalOrders {
        /// One row per change of status.
        order_history: Vec<OrderRow>
    }
    /// Past venue TWAPs.
    UserTwapHistory {
        /// The TWAPs.
        history: Vec<TwapRow>
    }
    /// Fills of venue TWAPs.
    UserTwapSliceFills {
        /// The fills.
        twap_slice_fills: Vec<TwapSliceFill>
    }
}

/// The account on one dex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DexClearinghouseState {
    /// Which dex.
    #[serde(default)]
    pub dex: String,
    /// The account.
    pub user: User,
    /// Its state.
    pub clearinghouse_state: ClearinghouseState,
}

/// The account on all dexes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AllDexsClearinghouseState {
    /// The account.
    pub user: User,
    /// Dex and state.
    pub clearinghouse_states: Vec<(String, ClearinghouseState)>,
}

/// Working orders on one dex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DexOpenOrders {
    /// Which dex.
    #[serde(default)]
    pub dex: String,
    /// The account.
    pub user: User,
    /// All of them.
    pub orders: Vec<FrontendOrder>,
}

/// Spot balances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpotState {
    /// The account.
    pub user: User,
    /// Its balances.
    pub spot_state: SpotClearinghouseState,
}

/// Running venue TWAPs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwapStates {
    /// Which dex.
    #[serde(default)]
    pub dex: String,
    /// The account.
    pub user: User,
    /// Number and state.
    pub states: Vec<(u64, TwapState)>,
}

/// A message to the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// In words.
    pub notification: String,
}

/// The web application's aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebData3 {
    /// The account.
    pub user_state: WebUserState,
    /// By dex.
    pub perp_dex_states: Vec<WebDexState>,
}

/// The account in [`WebData3`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebUserState {
    /// The web application's agent.
    #[serde(default)]
    pub agent_address: Option<User>,
    /// Until when, milliseconds.
    #[serde(default)]
    pub agent_valid_until: Option<u64>,
    /// Net deposits.
    pub cum_ledger: Num,
    /// Venue time, milliseconds.
    pub server_time: u64,
    /// Whether it is a vault.
    pub is_vault: bool,
    /// The account.
    pub user: User,
    /// Account mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abstraction: Option<Abstraction>,
}

/// A dex in [`WebData3`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebDexState {
    /// In vaults.
    pub total_vault_equity: Num,
    /// Coins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perps_at_open_interest_cap: Option<Vec<String>>,
}

/// Changes of outcome markets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeMetaUpdates {
    /// The changes; their shape is not settled.
    pub updates: Vec<Value>,
}

#[cfg(test)]
mod tests;
