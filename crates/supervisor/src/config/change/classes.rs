//! What a change of each key does: one line per key. docs/reload.md explains the classes.
//!
//! A test fails if a key of `config/default.toml` has no line here, or a line no key.

use rust_decimal::Decimal;

/// How the values of a key compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The further a number is from this one, the more is allowed. No number at all allows everything.
    More(Decimal),
    /// The nearer a number is to this one, the more is allowed.
    Less(Decimal),
    /// A set of names: each allows something.
    Names,
    /// A table that can be left out: with it less is allowed. A change of one that exists can do either.
    Extra(&'static str),
    /// A table that can be left out: without it less is allowed.
    Known(&'static str),
    /// It cannot be told from the values, so every change counts as loosening.
    Either(&'static str),
    /// Read at start alone.
    Fixed(&'static str),
}

const MORE: Rule = Rule::More(Decimal::ZERO);
const LESS: Rule = Rule::Less(Decimal::ZERO);
/// Covers: what is above 1 is what stands between the account and its liquidation.
const COVER: Rule = Rule::Less(Decimal::ONE);
/// Confidences: what is missing to 1 is what is risked.
const RISKED: Rule = Rule::More(Decimal::ONE);

const TIERS: Rule =
    Rule::Either("a tier has a leverage and a share of its own, and one without proof of a hedge is sized as base");
const PARTIES: &str = "which markets count together changes, and a group can be larger or smaller for it";

/// Rule per key, with `*` for a name of the operator's. A line that ends in `.**` stands for all that begins so.
pub(super) const TABLE: &[(&str, Rule)] = &[
    ("guard.allow", Rule::Names),
    ("guard.order_notional_max_usd", MORE),
    ("guard.parent_notional_max_usd", MORE),
    ("guard.parents_per_hour_max_usd", MORE),
    ("guard.market_notional_max_usd", MORE),
    ("guard.venue_notional_max_usd", MORE),
    ("guard.leverage_max", MORE),
    ("guard.cover_min", COVER),
    ("guard.price_collar", MORE),
    ("guard.price_collar_reduce", Rule::Either(REDUCE_COLLAR)),
    ("guard.open_orders_per_market_max", MORE),
    ("guard.open_orders_per_venue_max", MORE),
    ("guard.venue_messages_per_min_max", Rule::Either(SHARED)),
    ("guard.venue_burst_max", Rule::Either(SHARED)),
    ("guard.parent_messages_per_min_max", Rule::Either(SHARED)),
    ("guard.parent_burst_max", Rule::Either(SHARED)),
    ("guard.cancel_reserve", Rule::Either(SHARED)),
    ("guard.reduce_reserve", LESS),
    ("guard.duplicate_window_ms", Rule::Either(SHARED)),
    ("guard.book_age_max_ms", MORE),
    ("guard.marks_age_max_ms", MORE),
    ("guard.account_age_max_ms", MORE),
    ("guard.clock_offset_max_ms", MORE),
    ("guard.market.*.order_size_max", MORE),
    ("guard.market.*.order_notional_max_usd", MORE),
    ("guard.market.*.market_notional_max_usd", MORE),
    ("guard.market.*.price_collar", MORE),
    ("guard.market.*.price_collar_reduce", Rule::Either(REDUCE_COLLAR)),
    ("guard.market.*.open_orders_per_market_max", MORE),
    ("guard.market.*.book_age_max_ms", MORE),
    ("guard.market.*.tier", TIERS),
    ("guard.market.*.tier_leverage", MORE),
    ("guard.sizing.other_equity_usd", MORE),
    ("guard.sizing.alloc_l2", MORE),
    ("guard.sizing.share_instrument", MORE),
    ("guard.sizing.share_venue", MORE),
    ("guard.sizing.tier", TIERS),
    ("guard.sizing.tier_leverage", MORE),
    (
        "guard.sizing.sigma_target",
        Rule::Either("it scales the size by volatility one way and the size that the drawdown budget bears the other"),
    ),
    ("guard.sizing.sigma_floor", Rule::Fixed("statistics are kept with it from the start")),
    ("guard.sizing.v_min", MORE),
    ("guard.sizing.v_max", MORE),
    ("guard.sizing.holding_hours", LESS),
    ("guard.sizing.k_loss", LESS),
    ("guard.sizing.k_slippage", LESS),
    ("guard.sizing.fee_rate", LESS),
    ("guard.sizing.depth_share", MORE),
    ("guard.sizing.depth_bps", MORE),
    ("guard.funding.z_from", MORE),
    ("guard.funding.z_full", MORE),
    ("guard.funding.z_red", MORE),
    ("guard.funding.persistence_from", MORE),
    ("guard.funding.persistence_red", MORE),
    ("guard.funding.instability_from", MORE),
    ("guard.funding.instability_full", MORE),
    ("guard.funding.multiplier_max", LESS),
    ("guard.funding.multiplier_unknown", LESS),
    (
        "guard.funding.hours_min",
        Rule::Either("a market that is not known has a multiplier of its own, larger or smaller than the measured one"),
    ),
    ("guard.funding.intervals_stale", MORE),
    ("guard.cover.watch", COVER),
    ("guard.cover.top_up", COVER),
    ("guard.cover.reduce", COVER),
    ("guard.cover.kill", COVER),
    ("guard.cover.hysteresis", LESS),
    ("guard.cover.target", COVER),
    ("guard.cover.shocked_min", COVER),
    ("guard.liquidation.distance_min", LESS),
    ("guard.scenario.*.kind", Rule::Extra(SCENARIO)),
    ("guard.scenario.*.shock", Rule::Extra(SCENARIO)),
    ("guard.scenario.*.funding_hours", LESS),
    ("guard.buffer.alpha", RISKED),
    ("guard.buffer.tail", LESS),
    ("guard.buffer.exit_minutes", LESS),
    ("guard.buffer.unknown_factor", LESS),
    ("guard.buffer.runway_hours_min", LESS),
    ("guard.drawdown.trade", MORE),
    ("guard.drawdown.group", MORE),
    ("guard.drawdown.day", MORE),
    ("guard.drawdown.peak", MORE),
    ("guard.drawdown.velocity_1m", MORE),
    ("guard.drawdown.velocity_5m", MORE),
    ("guard.drawdown.velocity_15m", MORE),
    ("guard.group.*.markets", Rule::Either(PARTIES)),
    ("guard.group.*.net_max", MORE),
    ("guard.group.*.gross_max", MORE),
    ("guard.oracle.basis_alert_bps", MORE),
    ("guard.oracle.basis_max_bps", MORE),
    ("guard.oracle.age_max_ms", MORE),
    ("guard.oracle.frozen_updates", MORE),
    ("guard.oracle.frozen_move_bps", MORE),
    ("guard.oracle.quarantine_ms", LESS),
    ("guard.repeat.window_ms", LESS),
    ("guard.repeat.children_max", MORE),
    ("guard.repeat.fills_max", MORE),
    ("guard.rejects.consecutive_max", MORE),
    ("guard.rejects.share_max", MORE),
    ("guard.rejects.answers_min", MORE),
    ("guard.rejects.quiet_ms", LESS),
    ("guard.trust.review_days", MORE),
    ("guard.scorecard.*.exit", Rule::Either("without an answer the last drill counts, whatever it measured")),
    ("guard.scorecard.*.*", Rule::Known("an answer of the scorecard moves the trust in the venue either way")),
    ("daemon.**", Rule::Fixed("the daemon is set up with it once")),
    ("venue.**", Rule::Fixed("the connection to the venue is made with it at start")),
    ("paper.**", Rule::Fixed("the paper venue is started with it")),
    ("treasury.**", Rule::Fixed("transfers under way are bound to the limits and keys that they began with")),
    ("kill.**", Rule::Fixed("what SIGTERM does is set up at start; engaged and level are acts, and looked at each time")),
    ("operators.**", Rule::Fixed("who may approve is not changed by whoever can write the file")),
    ("alerts.**", Rule::Fixed("the outbox is opened with it at start")),
    ("watchdog.**", Rule::Fixed("the watchdog is a process of its own and reads it when it starts")),
    ("plan.**", Rule::Fixed("a plan is submitted at start")),
];

const SHARED: &str = "reductions are bound by it as well: either way something is let through that was not, or kept back";
const REDUCE_COLLAR: &str = "a wider one lets reductions trade at worse prices, a narrower one may keep them from trading at all";
const SCENARIO: &str = "a larger shock also lets what hedges gain more";

/// What is said of a section that has no line: it waits for a restart, as the safest that can be done with it.
const UNKNOWN: Rule = Rule::Fixed("read at start alone");

/// The rule of the key at `path`, and whether the table names it.
pub(super) fn rule(path: &[&str]) -> (Rule, bool) {
    let fits = |pattern: &str| match pattern.strip_suffix(".**") {
        Some(prefix) => path.first() == Some(&prefix),
        None => {
            let mut parts = pattern.split('.');
            path.iter().all(|have| parts.next().is_some_and(|want| want == "*" || want == *have)) && parts.next().is_none()
        }
    };
    TABLE.iter().find(|(pattern, _)| fits(pattern)).map_or((UNKNOWN, false), |(_, rule)| (*rule, true))
}
