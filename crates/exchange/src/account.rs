//! An account's money and positions, and the cash algebra of a trade.
//!
//! Cash is kept as the venue's "raw USD": what was paid in, minus what positions cost. The account's value is cash plus signed
//! position values at the mark, so a trade moves cash by its notional and nothing else needs to be realised.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::margin::MarginModel;
use domain::{Instrument, Lots, Px, Qty, Side, Usd};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::event::{Direction, FillRecord, FundingPayment, LedgerRow, OrderUpdate};
use crate::view::{CumulativeFunding, LeverageSetting};
use crate::{AccountKey, Asset};

/// USDC has 6 decimals on the venue.
pub(crate) const CENTS: u32 = 6;
/// Rows kept per account and history: what the venue lets a client reach (fact sheet §3).
const ROWS_KEPT: usize = 10_000;
/// Order status rows kept per account (fact sheet §3).
const STATUS_ROWS_KEPT: usize = 2_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct Position {
    pub szi: Lots,
    /// Signed entry notional of what is open: size times average entry price.
    pub cost: Usd,
    /// Cash leg of an isolated position.
    pub isolated: Option<Usd>,
    pub funding: CumulativeFunding,
}

/// Resting orders of one market and side that may open exposure, summed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resting {
    pub lots: i64,
    /// Σ price in ticks × remaining lots.
    pub value: i128,
}

/// A cross account or an isolated position on its way through market liquidation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cooldown {
    pub until_ms: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub key: AccountKey,
    /// Cash leg of everything but isolated positions.
    pub cash: Usd,
    pub spot: Usd,
    pub positions: BTreeMap<Asset, Position>,
    pub leverage: BTreeMap<Asset, LeverageSetting>,
    pub volume: Usd,
    /// Every live order.
    pub open: BTreeSet<u64>,
    pub cloids: BTreeMap<u128, u64>,
    pub resting: BTreeMap<(Asset, Side), Resting>,
    /// Resting reduce-only orders per market, oldest first, as (time priority, oid).
    pub reduce_only: BTreeMap<Asset, BTreeSet<(u64, u64)>>,
    /// Sleeping triggers per market.
    pub triggers: BTreeMap<Asset, BTreeSet<u64>>,
    pub cancel_at_ms: Option<u64>,
    /// Day number and how often the scheduled cancel fired in it.
    pub cancels_fired: (u64, u32),
    /// Liquidations under way: `None` is the cross account.
    pub cooldowns: BTreeMap<Option<Asset>, Cooldown>,
    pub fills: VecDeque<FillRecord>,
    pub fundings: VecDeque<FundingPayment>,
    pub ledger: VecDeque<LedgerRow>,
    pub statuses: VecDeque<OrderUpdate>,
}

fn keep<T>(rows: &mut VecDeque<T>, row: T, kept: usize) {
    if rows.len() == kept {
        rows.pop_front();
    }
    rows.push_back(row);
}

/// What a trade did to a position.
pub(crate) struct Booked {
    pub start: Lots,
    pub closed_pnl: Usd,
    pub dir: Direction,
}

impl Account {
    pub(crate) fn new(key: AccountKey) -> Account {
        Account {
            key,
            cash: Usd::ZERO,
            spot: Usd::ZERO,
            positions: BTreeMap::new(),
            leverage: BTreeMap::new(),
            volume: Usd::ZERO,
            open: BTreeSet::new(),
            cloids: BTreeMap::new(),
            resting: BTreeMap::new(),
            reduce_only: BTreeMap::new(),
            triggers: BTreeMap::new(),
            cancel_at_ms: None,
            cancels_fired: (0, 0),
            cooldowns: BTreeMap::new(),
            fills: VecDeque::new(),
            fundings: VecDeque::new(),
            ledger: VecDeque::new(),
            statuses: VecDeque::new(),
        }
    }

    pub(crate) fn keep_fill(&mut self, row: FillRecord) {
        keep(&mut self.fills, row, ROWS_KEPT);
    }

    pub(crate) fn keep_funding(&mut self, row: FundingPayment) {
        keep(&mut self.fundings, row, ROWS_KEPT);
    }

    pub(crate) fn keep_ledger(&mut self, row: LedgerRow) {
        keep(&mut self.ledger, row, ROWS_KEPT);
    }

    pub(crate) fn keep_status(&mut self, row: OrderUpdate) {
        keep(&mut self.statuses, row, STATUS_ROWS_KEPT);
    }

    pub(crate) fn szi(&self, asset: Asset) -> Lots {
        self.positions.get(&asset).map_or(Lots::ZERO, |p| p.szi)
    }

    /// How much an order of `side` may trade before it would open or grow a position.
    pub(crate) fn reducible(&self, asset: Asset, side: Side) -> Qty {
        let szi = self.szi(asset);
        if szi.0 * side.sign() < 0 { szi.abs() } else { Qty::ZERO }
    }

    /// The setting, cross at the lower of 20 and the market's highest until set (fact sheet §4.5).
    pub(crate) fn leverage(&self, asset: Asset, instrument: &Instrument, cross_allowed: bool) -> LeverageSetting {
        let value = match instrument.margin {
            MarginModel::Hyperliquid(_) => instrument.leverage_max.min(20),
            // no setting of the user's own: the venue's fraction alone holds
            MarginModel::Dydx(_) => instrument.leverage_max,
        };
        let default = LeverageSetting { is_cross: cross_allowed, value };
        self.leverage.get(&asset).copied().unwrap_or(default)
    }

    /// All cash legs and the spot balance.
    pub(crate) fn money(&self) -> Usd {
        self.cash + self.spot + self.positions.values().filter_map(|p| p.isolated).sum()
    }

    /// Books one side of a trade.
    ///
    /// An isolated position pays fees and takes results in its own cash leg; growing it moves initial margin in from cross,
    /// shrinking it moves a proportional part of its equity out (fact sheet §3.1, §8.1).
    pub(crate) fn book(
        &mut self,
        instrument: &Instrument,
        side: Side,
        px: Px,
        qty: Qty,
        fee: Usd,
        setting: LeverageSetting,
    ) -> Booked {
        let asset = Asset(instrument.venue_asset);
        let start = self.szi(asset);
        let closing = self.reducible(asset, side).min(qty);
        let opening = qty.minus(closing);
        let mut closed_pnl = Usd::ZERO;
        if !closing.is_zero() {
            let fee_now = if opening.is_zero() { fee } else { Usd::ZERO };
            closed_pnl = self.close(instrument, side, px, closing, fee_now);
        }
        if !opening.is_zero() {
            self.open(instrument, side, px, opening, fee, setting);
        }
        let dir = match (start.0.signum(), closing.is_zero(), opening.is_zero()) {
            (1, false, false) => Direction::LongToShort,
            (-1, false, false) => Direction::ShortToLong,
            (1, false, true) => Direction::CloseLong,
            (-1, false, true) => Direction::CloseShort,
            _ if side == Side::Buy => Direction::OpenLong,
            _ => Direction::OpenShort,
        };
        Booked { start, closed_pnl, dir }
    }

    fn close(&mut self, instrument: &Instrument, side: Side, px: Px, qty: Qty, fee: Usd) -> Usd {
        let Some(position) = self.positions.get_mut(&Asset(instrument.venue_asset)) else { return Usd::ZERO };
        let received = -signed(side, instrument.notional(px, qty));
        let size = position.szi.abs();
        let cost = if qty == size { position.cost } else { share(position.cost, qty, size) };
        match &mut position.isolated {
            None => self.cash += received - fee,
            Some(raw) => {
                let equity = *raw + instrument.value(px, position.szi);
                *raw += received - fee;
                // on a full close whatever is left goes home, a loss beyond the margin included
                let released = if qty == size { *raw } else { share(equity, qty, size).max(Usd::ZERO) };
                let released = if qty == size { released } else { floor_cents(released) };
                *raw -= released;
                self.cash += released;
            }
        }
        position.cost -= cost;
        position.szi += Lots(side.sign() * qty.0);
        position.funding.since_change = Usd::ZERO;
        if position.szi == Lots::ZERO {
            // the market's lifetime funding survives in an empty position
            position.isolated = None;
            position.cost = Usd::ZERO;
            position.funding.since_open = Usd::ZERO;
        }
        (received - cost).round(CENTS)
    }

    fn open(&mut self, instrument: &Instrument, side: Side, px: Px, qty: Qty, fee: Usd, setting: LeverageSetting) {
        let notional = instrument.notional(px, qty);
        let position = self.positions.entry(Asset(instrument.venue_asset)).or_default();
        if position.szi == Lots::ZERO {
            position.isolated = (!setting.is_cross).then_some(Usd::ZERO);
        }
        let paid = signed(side, notional);
        match &mut position.isolated {
            None => self.cash -= paid + fee,
            Some(raw) => {
                let margin = over_leverage(notional, setting.value);
                self.cash -= margin;
                *raw += margin - paid - fee;
            }
        }
        position.cost += paid;
        position.szi += Lots(side.sign() * qty.0);
        position.funding.since_change = Usd::ZERO;
    }

    /// Books one funding payment (received if positive) where the position's cash is.
    pub(crate) fn fund(&mut self, asset: Asset, usdc: Usd) {
        if let Some(position) = self.positions.get_mut(&asset) {
            position.funding.all_time -= usdc;
            position.funding.since_open -= usdc;
            position.funding.since_change -= usdc;
            match &mut position.isolated {
                Some(raw) => *raw += usdc,
                None => self.cash += usdc,
            }
        }
    }

    /// Positions that are not flat.
    pub(crate) fn held(&self) -> impl Iterator<Item = (Asset, &Position)> + '_ {
        self.positions.iter().filter(|(_, p)| p.szi != Lots::ZERO).map(|(asset, p)| (*asset, p))
    }
}

fn signed(side: Side, amount: Usd) -> Usd {
    match side {
        Side::Buy => amount,
        Side::Sell => -amount,
    }
}

/// `amount · part/whole`, multiplied first; at 12 decimals.
fn share(amount: Usd, part: Qty, whole: Qty) -> Usd {
    amount
        .decimal()
        .checked_mul(Decimal::from(part.0))
        .and_then(|x| x.checked_div(Decimal::from(whole.0)))
        .and_then(|x| Usd::new(x).ok())
        .unwrap_or(amount)
}

fn floor_cents(amount: Usd) -> Usd {
    let floor = amount.decimal().round_dp_with_strategy(CENTS, RoundingStrategy::ToNegativeInfinity);
    Usd::new(floor).unwrap_or(amount)
}

/// Initial margin of a notional: divided by the leverage, 6 decimals, rounded up.
pub(crate) fn over_leverage(notional: Usd, leverage: u32) -> Usd {
    let margin = notional.decimal() / Decimal::from(leverage.max(1));
    Usd::new(margin).unwrap_or(notional).ceil(CENTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MarketSpec;
    use domain::margin::MarginTable;

    fn usd(text: &str) -> Usd {
        text.parse().unwrap_or_else(|e| panic!("{e}"))
    }

    fn hype() -> Instrument {
        let spec = MarketSpec::hyperliquid("HYPE", 159, 2, MarginTable::flat(10), Decimal::from(37));
        spec.unwrap_or_else(|e| panic!("{e}")).instrument
    }

    const ISOLATED: LeverageSetting = LeverageSetting { is_cross: false, value: 10 };
    const CROSS: LeverageSetting = LeverageSetting { is_cross: true, value: 10 };

    #[test]
    fn the_recorded_isolated_position() {
        // fact sheet §3.1: 2 HYPE bought at 37.829, 10x isolated, taker fee 0.034046: rawUsd −68.126246
        let (instrument, asset) = (hype(), Asset(159));
        let mut account = Account::new(AccountKey([1; 20]));
        account.cash = usd("83.347682");
        account.book(&instrument, Side::Buy, Px(378_290), Qty(200), usd("0.034046"), ISOLATED);
        let position = &account.positions[&asset];
        assert_eq!(position.isolated, Some(usd("-68.126246")));
        assert_eq!(account.cash, usd("75.781882"), "margin 7.5658 left the cross account");
        assert_eq!(instrument.value(Px(378_260), position.szi) + usd("-68.126246"), usd("7.525754"));
    }

    #[test]
    fn entry_averages_on_increase_only_and_profit_is_realised_in_proportion() {
        let (instrument, asset) = (hype(), Asset(159));
        let mut account = Account::new(AccountKey([1; 20]));
        let mut trade = |side, px, qty| {
            let booked = account.book(&instrument, side, Px(px), Qty(qty), Usd::ZERO, CROSS);
            (booked.dir, booked.closed_pnl, account.positions[&asset].cost)
        };
        assert_eq!(trade(Side::Buy, 300_000, 100), (Direction::OpenLong, Usd::ZERO, usd("30")));
        assert_eq!(trade(Side::Buy, 400_000, 100), (Direction::OpenLong, Usd::ZERO, usd("70")));
        assert_eq!(trade(Side::Sell, 360_000, 50), (Direction::CloseLong, usd("0.5"), usd("52.5")));
        assert_eq!(trade(Side::Sell, 340_000, 250), (Direction::LongToShort, usd("-1.5"), usd("-34")));
        assert_eq!(trade(Side::Buy, 330_000, 100), (Direction::CloseShort, usd("1"), Usd::ZERO));
        assert_eq!(account.cash, Usd::ZERO, "0.5 − 1.5 + 1");
    }

    #[test]
    fn an_isolated_close_sends_its_share_of_the_equity_home() {
        let instrument = hype();
        let mut account = Account::new(AccountKey([1; 20]));
        account.cash = usd("100");
        account.book(&instrument, Side::Buy, Px(300_000), Qty(200), Usd::ZERO, ISOLATED);
        assert_eq!(account.cash, usd("94"));
        account.book(&instrument, Side::Sell, Px(310_000), Qty(100), Usd::ZERO, ISOLATED);
        assert_eq!(account.cash, usd("98"), "half of margin 6 and of profit 2");
        account.book(&instrument, Side::Sell, Px(310_000), Qty(100), Usd::ZERO, ISOLATED);
        assert_eq!((account.cash, account.money()), (usd("102"), usd("102")));
    }
}
