//! Subscriptions: what a socket may ask for, and how it is echoed.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wire::hyperliquid::Address;

/// One subscription in its normal form: addresses in lower case, optional keys as the venue echoes them, unknown keys dropped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Sub {
    AllMids {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    L2Book {
        coin: String,
        #[serde(default)]
        n_sig_figs: Option<u8>,
        #[serde(default)]
        mantissa: Option<u8>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fast: Option<bool>,
    },
    Bbo {
        coin: String,
    },
    Trades {
        coin: String,
    },
    Candle {
        coin: String,
        interval: String,
    },
    ActiveAssetCtx {
        coin: String,
    },
    FastAssetCtxs,
    AssetCtxs {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    AllDexsAssetCtxs,
    SpotAssetCtxs,
    OutcomeMetaUpdates,
    ActiveAssetData {
        user: Address,
        coin: String,
    },
    OrderUpdates {
        user: Address,
    },
    UserEvents {
        user: Address,
    },
    UserFills {
        user: Address,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aggregate_by_time: Option<bool>,
    },
    UserFundings {
        user: Address,
    },
    UserNonFundingLedgerUpdates {
        user: Address,
    },
    UserHistoricalOrders {
        user: Address,
    },
    ClearinghouseState {
        user: Address,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    AllDexsClearinghouseState {
        user: Address,
    },
    OpenOrders {
        user: Address,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    SpotState {
        user: Address,
    },
    TwapStates {
        user: Address,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dex: Option<String>,
    },
    UserTwapHistory {
        user: Address,
    },
    UserTwapSliceFills {
        user: Address,
    },
    Notification {
        user: Address,
    },
    WebData2 {
        user: Address,
    },
    WebData3 {
        user: Address,
    },
}

impl Sub {
    /// The account that the stream is about; `None` for market data.
    pub(crate) fn user(&self) -> Option<Address> {
        match self {
            Sub::ActiveAssetData { user, .. }
            | Sub::OrderUpdates { user }
            | Sub::UserEvents { user }
            | Sub::UserFills { user, .. }
            | Sub::UserFundings { user }
            | Sub::UserNonFundingLedgerUpdates { user }
            | Sub::UserHistoricalOrders { user }
            | Sub::ClearinghouseState { user, .. }
            | Sub::AllDexsClearinghouseState { user }
            | Sub::OpenOrders { user, .. }
            | Sub::SpotState { user }
            | Sub::TwapStates { user, .. }
            | Sub::UserTwapHistory { user }
            | Sub::UserTwapSliceFills { user }
            | Sub::Notification { user }
            | Sub::WebData2 { user }
            | Sub::WebData3 { user } => Some(*user),
            Sub::AllMids { .. }
            | Sub::L2Book { .. }
            | Sub::Bbo { .. }
            | Sub::Trades { .. }
            | Sub::Candle { .. }
            | Sub::ActiveAssetCtx { .. }
            | Sub::FastAssetCtxs
            | Sub::AssetCtxs { .. }
            | Sub::AllDexsAssetCtxs
            | Sub::SpotAssetCtxs
            | Sub::OutcomeMetaUpdates => None,
        }
    }

    /// The coin that it names.
    pub(crate) fn coin(&self) -> Option<&str> {
        match self {
            Sub::L2Book { coin, .. }
            | Sub::Bbo { coin }
            | Sub::Trades { coin }
            | Sub::Candle { coin, .. }
            | Sub::ActiveAssetCtx { coin }
            | Sub::ActiveAssetData { coin, .. } => Some(coin),
            Sub::AllMids { .. }
            | Sub::FastAssetCtxs
            | Sub::AssetCtxs { .. }
            | Sub::AllDexsAssetCtxs
            | Sub::SpotAssetCtxs
            | Sub::OutcomeMetaUpdates
            | Sub::OrderUpdates { .. }
            | Sub::UserEvents { .. }
            | Sub::UserFills { .. }
            | Sub::UserFundings { .. }
            | Sub::UserNonFundingLedgerUpdates { .. }
            | Sub::UserHistoricalOrders { .. }
            | Sub::ClearinghouseState { .. }
            | Sub::AllDexsClearinghouseState { .. }
            | Sub::OpenOrders { .. }
            | Sub::SpotState { .. }
            | Sub::TwapStates { .. }
            | Sub::UserTwapHistory { .. }
            | Sub::UserTwapSliceFills { .. }
            | Sub::Notification { .. }
            | Sub::WebData2 { .. }
            | Sub::WebData3 { .. } => None,
        }
    }

    /// The text in which the venue repeats it.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A frame from a client.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "method", rename_all = "camelCase")]
pub(crate) enum Frame {
    Ping,
    Subscribe { subscription: Value },
    Unsubscribe { subscription: Value },
    Post { id: u64, request: PostRequest },
}

/// What a post carries: `info` or `action`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct PostRequest {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) payload: Value,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn echoes_are_normal_forms() {
        let echo = |v: Value| serde_json::from_value::<Sub>(v).ok().map(|s| serde_json::to_value(s).unwrap_or_default());
        assert_eq!(
            echo(json!({ "coin": "BTC", "type": "l2Book", "surprise": 1 })),
            Some(json!({ "type": "l2Book", "coin": "BTC", "nSigFigs": null, "mantissa": null }))
        );
        let user = "0xABCDEFabcdefABCDEFabcdefABCDEFabcdefABCD";
        assert_eq!(
            echo(json!({ "type": "orderUpdates", "user": user })),
            Some(json!({ "type": "orderUpdates", "user": user.to_lowercase() }))
        );
        assert_eq!(echo(json!({ "type": "weather" })), None);
        assert_eq!(echo(json!({ "type": "webData2", "user": user })).map(|v| v["type"].clone()), Some(json!("webData2")));
    }

    #[test]
    fn frames_of_clients_are_read() {
        let frame: Frame = serde_json::from_str(r#"{"method":"ping"}"#).expect("ping");
        assert_eq!(frame, Frame::Ping);
        let frame: Frame =
            serde_json::from_str(r#"{"method":"post","id":7,"request":{"type":"info","payload":{"type":"meta"}}}"#)
                .expect("post");
        assert!(matches!(frame, Frame::Post { id: 7, .. }));
        assert!(serde_json::from_str::<Frame>(r#"{"method":"dance"}"#).is_err());
    }
}
