//! Money made and lost, exact: own fills, fees and funding payments, open positions at the venue's marks.
//!
//! [`Ledger`] is folded from the journal. A [`ProfitMark`] is drawn from it with marks of the moment, and journaled as often as
//! peaks, days and trades need it, so that drawdown budgets outlive the process (C16).

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use domain::{Fill, FundingPayment, Instrument, InstrumentId, Lots, ProfitMark, Px, Usd};
use rust_decimal::Decimal;
use serde::Serialize;

/// What is in one market's till. Prices times quantities are kept in whole tick·lots, so that no rules are needed to fold them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Till {
    /// Received for sales less paid for purchases, in tick·lots.
    traded: i128,
    /// Funding received less fees paid.
    money: Usd,
    /// Position that `traded` accounts for.
    lots: Lots,
    /// Position that came without a price and has not been valued yet.
    unpriced: Lots,
    /// `traded` when the trade that is open began: when the position was last flat, or as the price of the fill that turned it.
    begun_traded: i128,
    /// `money` at that moment.
    begun_money: Usd,
    /// How many trades began.
    trades: u64,
}

impl Till {
    fn position(&self) -> i64 {
        self.lots.0.saturating_add(self.unpriced.0)
    }

    /// A new trade begins: what the position was worth at `px` is where it starts from.
    fn begin(&mut self, px: Px) {
        self.begun_traded = self.traded.saturating_add(value(self.lots, px));
        self.begun_money = self.money;
        self.trades += 1;
    }

    fn worth(&self, unit: Decimal, mark: Px, traded: i128, money: Usd) -> Option<Usd> {
        let units = self.traded.checked_add(value(self.lots, mark))?.checked_sub(traded)?;
        let amount = Decimal::try_from_i128_with_scale(units, 0).ok()?.checked_mul(unit)?;
        Some(Usd::new(amount).ok()? + self.money - money)
    }
}

/// In tick·lots. Prices and quantities are bounded where they enter, so this stays far inside the range.
fn value(lots: Lots, px: Px) -> i128 {
    i128::from(lots.0) * i128::from(px.0)
}

/// What the journal determines of profit: one till per market, and the last mark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    #[serde(serialize_with = "in_order")]
    tills: BTreeMap<InstrumentId, Till>,
    last: Option<ProfitMark>,
}

fn in_order<S: serde::Serializer>(tills: &BTreeMap<InstrumentId, Till>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(tills.iter().map(|(id, till)| {
        // as text: not every format has integers of 128 bits
        (
            id,
            till.traded.to_string(),
            till.begun_traded.to_string(),
            till.money,
            till.begun_money,
            till.lots,
            till.unpriced,
            till.trades,
        )
    }))
}

/// What profit is drawn from besides the ledger.
pub(crate) struct Quotes<'a> {
    /// Market rules.
    pub instruments: &'a BTreeMap<InstrumentId, Instrument>,
    /// The venue's mark of a market, if it is known and fresh.
    pub mark: &'a dyn Fn(InstrumentId) -> Option<Px>,
    /// Equity over all venues.
    pub equity: Usd,
    /// UTC day, counted from 1970-01-01.
    pub day: u32,
}

impl Ledger {
    pub(crate) fn fill(&mut self, fill: &Fill) {
        let till = self.tills.entry(fill.instrument).or_default();
        let before = till.position();
        let moved = Lots(fill.side.sign() * fill.qty.0);
        till.traded = till.traded.saturating_sub(value(moved, fill.px));
        till.lots += moved;
        till.money -= fill.fee;
        let after = till.position();
        if after == 0 || before.signum() == -after.signum() {
            till.begin(fill.px);
            self.forget_trade(fill.instrument);
        }
    }

    fn forget_trade(&mut self, instrument: InstrumentId) {
        if let Some(last) = &mut self.last {
            last.trades.retain(|(of, _, _)| *of != instrument);
        }
    }

    pub(crate) fn funding(&mut self, payment: &FundingPayment) {
        self.tills.entry(payment.instrument).or_default().money += payment.amount;
    }

    /// The position changed by `lots` without a fill: it will be valued at the next mark.
    pub(crate) fn take_over(&mut self, instrument: InstrumentId, lots: Lots) {
        if lots != Lots::ZERO {
            self.tills.entry(instrument).or_default().unpriced += lots;
        }
    }

    pub(crate) fn mark(&mut self, mark: &ProfitMark) {
        for (instrument, lots, px) in &mark.taken {
            self.price(*instrument, *lots, *px);
        }
        self.last = Some(mark.clone());
    }

    fn price(&mut self, instrument: InstrumentId, lots: Lots, px: Px) {
        let till = self.tills.entry(instrument).or_default();
        till.traded = till.traded.saturating_sub(value(lots, px));
        till.lots += lots;
        till.unpriced = till.unpriced - lots;
        if till.position() == 0 {
            till.begin(px);
            self.forget_trade(instrument);
        }
    }

    /// The last mark that was journaled.
    #[must_use]
    pub fn last(&self) -> Option<&ProfitMark> {
        self.last.as_ref()
    }

    /// Profit of one market since the journal began, at `mark`; positions that wait for their first mark count as nothing.
    #[must_use]
    pub fn profit_of(&self, rules: &Instrument, mark: Px) -> Option<Usd> {
        let till = self.tills.get(&rules.id).copied().unwrap_or_default();
        till.worth(rules.tick_lot(), mark, 0, Usd::ZERO)
    }

    /// What to go on from after a restart: the last mark, if there is one.
    pub(crate) fn resume(&self) -> Option<Drawn> {
        self.last.clone().map(|mark| self.drawn(mark, true))
    }

    fn drawn(&self, mark: ProfitMark, restored: bool) -> Drawn {
        Drawn { trades: self.tills.iter().map(|(id, till)| (*id, till.trades)).collect(), mark, restored }
    }

    /// Profit now, with its peaks since `before`.
    ///
    /// `None` if a market with a position has no mark or no rules: a profit that leaves something out is none.
    pub(crate) fn draw(&self, before: Option<&Drawn>, quotes: &Quotes<'_>) -> Option<Drawn> {
        let mut now = self.clone();
        let mut taken = Vec::new();
        for (id, till) in self.tills.iter().filter(|(_, t)| t.unpriced != Lots::ZERO) {
            let px = (quotes.mark)(*id)?;
            now.price(*id, till.unpriced, px);
            taken.push((*id, till.unpriced, px));
        }
        let (mut profit, mut trades) = (Usd::ZERO, Vec::new());
        for (id, till) in &now.tills {
            let open = till.position() != 0;
            // a flat till is worth the same at any mark
            let mark = if open { (quotes.mark)(*id)? } else { Px(0) };
            let unit = quotes.instruments.get(id)?.tick_lot();
            profit += till.worth(unit, mark, 0, Usd::ZERO)?;
            if open {
                let trade = till.worth(unit, mark, till.begun_traded, till.begun_money)?;
                let peak = before.and_then(|b| b.trade_peak(*id, till.trades)).unwrap_or(Usd::ZERO);
                trades.push((*id, trade, peak.max(trade)));
            }
        }
        let (day, equity) = (quotes.day, quotes.equity);
        let Some(Drawn { mark: known, restored, .. }) = before else {
            let peak = profit.max(Usd::ZERO);
            let mark = ProfitMark { day, profit, day_start: Usd::ZERO, peak, equity, peak_equity: equity, trades, taken };
            return Some(now.drawn(mark, false));
        };
        let day_start = match (known.day == day, restored) {
            (true, _) => known.day_start,
            (false, false) => profit,
            // what was lost while nobody watched is charged to the new day; what was won is not credited
            (false, true) => profit.max(known.profit),
        };
        let peak = known.peak.max(profit);
        let peak_equity = if profit > known.peak { equity } else { known.peak_equity.max(equity) };
        let mark = ProfitMark { day, profit, day_start, peak, equity, peak_equity, trades, taken };
        Some(now.drawn(mark, false))
    }
}

/// The newest mark, journaled or not.
#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    /// The mark.
    pub mark: ProfitMark,
    /// How many trades had begun in each market.
    trades: BTreeMap<InstrumentId, u64>,
    /// Whether it was read from the journal.
    restored: bool,
}

impl Drawn {
    /// The highest profit of the open trade, if that is still trade number `trade` of its market.
    fn trade_peak(&self, id: InstrumentId, trade: u64) -> Option<Usd> {
        self.trades.get(&id).filter(|known| **known == trade)?;
        self.mark.trades.iter().find(|(of, _, _)| *of == id).map(|(_, _, peak)| *peak)
    }
}
