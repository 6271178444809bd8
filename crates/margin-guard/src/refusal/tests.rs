//! Every refusal says the same thing to a counter, a program and a person.

use domain::{MarketStatus, ParentId, Px, Qty, Ratio, Side, StopLevel, StreamKind};

use super::{Datum, Refusal, Scope};
use crate::world::{HL, btc, child, usd};

/// One of each, with a room of 7 where there is one.
fn all() -> Vec<Refusal> {
    let (instrument, parent, key, room) = (btc(), ParentId(3), child(1, 1, 0, 0).key, Qty(7));
    let (asked, max, px) = (Qty(9), Qty(8), Px(100));
    let (small, large, min) = (usd("1.5"), usd("2.5"), Ratio::scaled(3, 0));
    vec![
        Refusal::Stopped { level: StopLevel::Cancel },
        Refusal::NotReady,
        Refusal::UnknownInstrument { instrument },
        Refusal::NotAllowed { instrument },
        Refusal::MarketState { instrument, status: MarketStatus::CancelOnly },
        Refusal::Frozen { instrument, why: "break".into() },
        Refusal::WrongKey { key, parent, no: 4 },
        Refusal::DuplicateKey { key },
        Refusal::Duplicate { other: parent, age_ms: 5, window_ms: 1_000 },
        Refusal::UnknownParent { parent },
        Refusal::NotOfParent { parent, field: "side" },
        Refusal::ParentExceeded { parent, total: max, filled: Qty(1), working: Qty(0), asked, room },
        Refusal::OffGrid { instrument, px, step: 10 },
        Refusal::TooSmall { instrument, qty: Qty(1), min: max },
        Refusal::NotionalTooSmall { instrument, notional: small, min: large },
        Refusal::SelfMatch { side: Side::Buy, px, own: Px(99) },
        Refusal::NotReducing { closable: room, asked, room },
        Refusal::Overtakes { reducing: Qty(1), closable: room, asked, room },
        Refusal::StreamDown { venue: HL, stream: StreamKind::Account },
        Refusal::ClockOffset { venue: HL, offset_ms: -700, max_ms: 500 },
        Refusal::Missing { datum: Datum::Marks, of: instrument.to_string() },
        Refusal::Stale { datum: Datum::Book, of: instrument.to_string(), age_ms: 2_001, max_ms: 2_000 },
        Refusal::BadBook { instrument },
        Refusal::NoReference { instrument, fresh: 1 },
        Refusal::Collar { px, reference: Px(90), collar: Ratio::bps(300) },
        Refusal::OrderSize { instrument, asked, max, room },
        Refusal::OrderNotional { notional: large, max: small, room },
        Refusal::OpenOrders { scope: Scope::Venue(HL), open: 20, max: 20 },
        Refusal::Throttled { scope: Scope::Parent(parent), retry_ms: 100 },
        Refusal::MarketExposure { instrument, side: Side::Sell, would_be: large, max: small, room },
        Refusal::VenueExposure { venue: HL, would_be: large, max: small, room },
        Refusal::Leverage { would_be: large, equity: small, max: min, room },
        Refusal::Cover { venue: HL, equity: large, maintenance: small, min, room },
        Refusal::IsolatedCover { instrument, margin: large, maintenance: small, min, room },
        Refusal::ParentNotional { notional: large, max: small, room },
        Refusal::ParentsPerHour { notional: large, hour: small, max: small, room },
        Refusal::DuplicateParent { parent },
    ]
}

#[test]
fn kind_room_and_json_agree() {
    let mut kinds = std::collections::BTreeSet::new();
    for refusal in all() {
        let json = serde_json::to_value(&refusal).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(json["kind"], refusal.kind());
        assert!(kinds.insert(refusal.kind()), "{refusal:?} is listed twice");
        assert_eq!(refusal.room(), json.get("room").map(|_| Qty(7)), "{refusal:?}");
        assert_eq!(refusal.clone().with_room(Qty(2)).room(), json.get("room").map(|_| Qty(2)), "{refusal:?}");
    }
}

#[test]
fn words_carry_the_numbers() {
    let words: Vec<String> = all().iter().map(ToString::to_string).collect();
    for expected in [
        "the stop level is cancel: no new orders",
        "hyperliquid:BTC is cancel-only: it takes no such order",
        "P3 wants 8 lots, 1 are filled and 0 may still fill: 9 more is too much, 7 would do",
        "buy at 100 could trade with our own sell at 99 (ticks)",
        "reduce-only: of 7 lots that may still be closed 9 is too much, 7 would do",
        "the clock of hyperliquid is -700 ms from ours, more than 500 ms",
        "not known: the mark and oracle price of hyperliquid:BTC",
        "too old: the book of hyperliquid:BTC is from 2001 ms ago; at most 2000 ms are allowed",
        "price 100 is further than a share of 0.03 from the reference 90 (ticks)",
        "message budget of parent P3 is spent down to its reserve; next in 100 ms",
        "hyperliquid:BTC could reach 2.5 short; at most 1.5, which leaves 7 lots",
        "hyperliquid equity of 2.5 would face maintenance of 1.5: below 3 times, which leaves 7 lots",
    ] {
        assert!(words.iter().any(|w| w == expected), "{expected:?} is not among {words:#?}");
    }
}
