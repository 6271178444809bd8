//! What every world is built of: two markets with flow of their own.

use domain::margin::MarginTable;
use domain::{InstrumentId, Venue};
use exchange::{MarketSpec, SyntheticFlow, TimedEvent};
use rust_decimal::Decimal;

/// A market's full name.
pub fn instrument(name: &str) -> InstrumentId {
    InstrumentId::new(Venue::Hyperliquid, name).unwrap_or_else(|e| panic!("{e}"))
}

/// A market without tiers.
pub fn market(asset: u32, name: &str, size_decimals: u32, price: i64) -> MarketSpec {
    MarketSpec::hyperliquid(name, asset, size_decimals, MarginTable::flat(40), Decimal::from(price))
        .unwrap_or_else(|e| panic!("{e}"))
}

/// Two streams of events as one, by time.
pub fn merged(mut one: SyntheticFlow, mut two: SyntheticFlow) -> impl Iterator<Item = TimedEvent> {
    let (mut a, mut b) = (one.next_event(), two.next_event());
    std::iter::from_fn(move || {
        Some(if a.at_ms <= b.at_ms {
            std::mem::replace(&mut a, one.next_event())
        } else {
            std::mem::replace(&mut b, two.next_event())
        })
    })
}
