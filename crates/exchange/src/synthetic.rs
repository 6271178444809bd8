//! A seeded background market for endless runs.

use std::collections::{BTreeMap, VecDeque};

use domain::{Instrument, Prng, Px, Qty, Seed, Side};
use rust_decimal::Decimal;

use crate::{Asset, BackgroundEvent, LevelChange};

/// A background event with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedEvent {
    /// Venue time, UTC milliseconds.
    pub at_ms: u64,
    /// What happens.
    pub event: BackgroundEvent,
}

/// How a synthetic market moves. Values below their minimum are raised to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntheticParams {
    /// Levels per side, 1 to 200.
    pub levels: u32,
    /// Half the usual spread, in acceptable price steps, at least 1.
    pub half_spread_steps: u32,
    /// Mean time between events, milliseconds, at least 1.
    pub mean_gap_ms: u64,
    /// Of 100 events, how many are trades.
    pub trades_per_100: u32,
    /// Typical quantity of the best level, lots; deeper levels hold more.
    pub level_lots: i64,
    /// Mean quantity of a trade, lots.
    pub trade_lots: i64,
    /// Largest random move of the fair price in one event, in acceptable price steps, at most 1,000.
    pub move_steps_max: u32,
    /// Pull towards the starting price: per move, the distance over this number. Zero: none.
    pub reversion: u32,
}

impl SyntheticParams {
    /// A lively market for `instrument` around `px`: twenty levels from 50,000 in quote currency up, trades of 5,000 on average,
    /// ten events a second.
    #[must_use]
    pub fn usual(instrument: &Instrument, px: Px) -> SyntheticParams {
        let lots = |money: i64| {
            let base = Decimal::from(money).checked_div(instrument.px_decimal(px)).unwrap_or(Decimal::ONE);
            instrument.floor_to_lot(base).0.max(1)
        };
        SyntheticParams {
            levels: 20,
            half_spread_steps: 1,
            mean_gap_ms: 100,
            trades_per_100: 30,
            level_lots: lots(50_000),
            trade_lots: lots(5_000),
            move_steps_max: 2,
            reversion: 500,
        }
    }
}

/// An endless seeded background market in integer arithmetic: a mean-reverting fair price, a ladder around it, trades at its
/// best levels. Same seed and parameters, same events.
#[derive(Clone, Debug)]
pub struct SyntheticFlow {
    instrument: Instrument,
    params: SyntheticParams,
    chance: Prng,
    start: Px,
    fair: Px,
    bids: BTreeMap<Px, Qty>,
    asks: BTreeMap<Px, Qty>,
    next_ms: u64,
    /// Events of the same moment that wait their turn: a trade and the level changes it caused.
    pending: VecDeque<BackgroundEvent>,
}

impl SyntheticFlow {
    /// A flow for `instrument` around `start_px`, from `start_ms` on.
    #[must_use]
    pub fn new(instrument: &Instrument, start_px: Px, start_ms: u64, params: SyntheticParams, seed: Seed) -> SyntheticFlow {
        let params = SyntheticParams {
            levels: params.levels.clamp(1, 200),
            half_spread_steps: params.half_spread_steps.clamp(1, 1_000),
            mean_gap_ms: params.mean_gap_ms.max(1),
            trades_per_100: params.trades_per_100.min(100),
            level_lots: params.level_lots.max(1),
            trade_lots: params.trade_lots.max(1),
            move_steps_max: params.move_steps_max.min(1_000),
            reversion: params.reversion,
        };
        let start = instrument.ceil_px(Px(start_px.0.max(1)));
        let mut flow = SyntheticFlow {
            chance: seed.fork(&format!("exchange.synthetic.{}", instrument.id)),
            instrument: instrument.clone(),
            params,
            start,
            fair: start,
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            next_ms: start_ms,
            pending: VecDeque::new(),
        };
        let (bids, asks) = flow.rebuild();
        flow.pending.push_back(BackgroundEvent::Snapshot { asset: flow.asset(), bids, asks });
        flow
    }

    /// The time of the next event, UTC milliseconds.
    #[must_use]
    pub fn next_at_ms(&self) -> u64 {
        self.next_ms
    }

    /// The next event. Times never run backwards; the first event is a snapshot.
    pub fn next_event(&mut self) -> TimedEvent {
        let at_ms = self.next_ms;
        let event = self.pending.pop_front().unwrap_or_else(|| self.happen());
        if self.pending.is_empty() {
            self.next_ms += self.exponential(self.params.mean_gap_ms);
        }
        TimedEvent { at_ms, event }
    }

    fn asset(&self) -> Asset {
        Asset(self.instrument.venue_asset)
    }

    /// Something new; what follows from it at once is left in `pending`.
    fn happen(&mut self) -> BackgroundEvent {
        if self.chance.chance(u64::from(self.params.trades_per_100), 100) {
            self.trade()
        } else if self.chance.chance(1, 2) {
            self.move_fair();
            let (bids, asks) = self.rebuild();
            BackgroundEvent::Levels { asset: self.asset(), bids, asks }
        } else {
            self.requote()
        }
    }

    /// A market order eats from the best level of one side; the level changes follow it.
    fn trade(&mut self) -> BackgroundEvent {
        let asset = self.asset();
        let aggressor = if self.chance.chance(1, 2) { Side::Buy } else { Side::Sell };
        let mean = u64::try_from(self.params.trade_lots).unwrap_or(1);
        let wanted = i64::try_from(self.exponential(mean).max(1)).unwrap_or(1);
        let best = match aggressor {
            Side::Buy => self.asks.first_entry(),
            Side::Sell => self.bids.last_entry(),
        };
        let Some(mut best) = best else {
            let (bids, asks) = self.rebuild();
            return BackgroundEvent::Levels { asset, bids, asks };
        };
        let (px, qty) = (*best.key(), Qty(wanted).min(*best.get()));
        let left = best.get().minus(qty);
        if left.is_zero() {
            best.remove();
        } else {
            *best.get_mut() = left;
        }
        let change = vec![LevelChange { px, qty: left }];
        let (bids, asks) = if aggressor == Side::Buy { (Vec::new(), change) } else { (change, Vec::new()) };
        self.pending.push_back(BackgroundEvent::Levels { asset, bids, asks });
        BackgroundEvent::Trade { asset, px, qty, aggressor }
    }

    /// Somebody changes the quantity of one level.
    fn requote(&mut self) -> BackgroundEvent {
        let asset = self.asset();
        let buy = self.chance.chance(1, 2);
        let count = if buy { self.bids.len() } else { self.asks.len() };
        let at = usize::try_from(self.chance.below(count as u64)).unwrap_or(0);
        let px = if buy { self.bids.keys().rev().nth(at) } else { self.asks.keys().nth(at) }.copied();
        let Some(px) = px else {
            let (bids, asks) = self.rebuild();
            return BackgroundEvent::Levels { asset, bids, asks };
        };
        let qty = self.level_qty(at);
        let change = vec![LevelChange { px, qty }];
        if buy {
            self.bids.insert(px, qty);
            BackgroundEvent::Levels { asset, bids: change, asks: Vec::new() }
        } else {
            self.asks.insert(px, qty);
            BackgroundEvent::Levels { asset, bids: Vec::new(), asks: change }
        }
    }

    fn move_fair(&mut self) {
        let widest = i64::from(self.params.move_steps_max);
        let mut steps = self.chance.between(-widest, widest);
        if self.params.reversion > 0 {
            let pull = (self.start.0 - self.fair.0) / self.instrument.step_at(self.fair);
            let strength = i64::from(self.params.reversion);
            // the fraction that integer division drops acts by chance
            let rest =
                self.chance.chance(pull.unsigned_abs() % u64::from(self.params.reversion), u64::from(self.params.reversion));
            steps += pull / strength + if rest { pull.signum() } else { 0 };
        }
        for _ in 0..steps.unsigned_abs().min(10_000) {
            self.fair = self.neighbour(self.fair, if steps > 0 { Side::Buy } else { Side::Sell });
        }
        // room for the ladder below
        let lowest = i64::from(self.params.levels + self.params.half_spread_steps + 1) * self.instrument.step_at(self.fair);
        self.fair = self.fair.max(self.instrument.ceil_px(Px(lowest)));
    }

    /// The next acceptable price up (`Buy`) or down.
    fn neighbour(&self, px: Px, up: Side) -> Px {
        match up {
            Side::Buy => self.instrument.ceil_px(Px(px.0 + 1)),
            Side::Sell => self.instrument.floor_px(Px((px.0 - 1).max(1))),
        }
    }

    /// Moves the ladder to the fair price and says which levels changed.
    fn rebuild(&mut self) -> (Vec<LevelChange>, Vec<LevelChange>) {
        let mut changes = (Vec::new(), Vec::new());
        for side in [Side::Buy, Side::Sell] {
            let mut px = self.fair;
            for _ in 1..self.params.half_spread_steps {
                px = self.neighbour(px, side.flip());
            }
            let mut wanted = Vec::new();
            for _ in 0..self.params.levels {
                px = self.neighbour(px, side.flip());
                wanted.push(px);
            }
            let mut ladder = std::mem::take(if side == Side::Buy { &mut self.bids } else { &mut self.asks });
            let out = if side == Side::Buy { &mut changes.0 } else { &mut changes.1 };
            ladder.retain(|px, _| {
                let stays = wanted.contains(px);
                if !stays {
                    out.push(LevelChange { px: *px, qty: Qty::ZERO });
                }
                stays
            });
            for (at, px) in wanted.into_iter().enumerate() {
                if !ladder.contains_key(&px) && px.0 > 0 {
                    let qty = self.level_qty(at);
                    ladder.insert(px, qty);
                    out.push(LevelChange { px, qty });
                }
            }
            *(if side == Side::Buy { &mut self.bids } else { &mut self.asks }) = ladder;
        }
        changes
    }

    /// A quantity for the level so many steps from the best: half to one and a half times what is typical there.
    fn level_qty(&mut self, at: usize) -> Qty {
        let depth = 4 + i64::try_from(at).unwrap_or(0);
        let typical = self.params.level_lots.saturating_mul(depth) / 4;
        Qty((typical / 100).saturating_mul(self.chance.between(50, 150)).max(1))
    }

    /// Roughly exponential with this mean, in integers: `−log2(u)` read off the leading zeros, the mantissa taken as linear.
    fn exponential(&mut self, mean: u64) -> u64 {
        let draw = self.chance.next_u64() | 1;
        let zeros = draw.leading_zeros();
        let mantissa = (draw << zeros) >> 48 & 0x7fff;
        let log2_scaled = (u64::from(zeros) + 1) * 0x8000 - mantissa;
        let scaled = u128::from(log2_scaled) * u128::from(mean) * 693 / (1_000 * 0x8000);
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MarketSpec;
    use domain::margin::MarginTable;

    fn flow(seed: u64) -> SyntheticFlow {
        let spec = MarketSpec::hyperliquid("BTC", 0, 5, MarginTable::flat(40), Decimal::from(97_000));
        let spec = spec.unwrap_or_else(|e| panic!("{e}"));
        let params = SyntheticParams::usual(&spec.instrument, spec.oracle);
        SyntheticFlow::new(&spec.instrument, spec.oracle, 1_000, params, Seed(seed))
    }

    #[test]
    fn same_seed_same_market() {
        let run = |seed| {
            let mut flow = flow(seed);
            std::iter::repeat_with(move || flow.next_event()).take(2_000).collect::<Vec<_>>()
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn it_ticks_on_the_grid_never_crossed_and_around_its_start() {
        let mut flow = flow(3);
        let (mut last, mut trades, mut lots) = (0, 0_u32, 0_i64);
        for n in 0..20_000 {
            let TimedEvent { at_ms, event } = flow.next_event();
            assert!(at_ms >= last);
            last = at_ms;
            assert_eq!(matches!(event, BackgroundEvent::Snapshot { .. }), n == 0);
            if let BackgroundEvent::Trade { px, qty, .. } = event {
                assert!(flow.instrument.allows_px(px) && qty.0 > 0);
                trades += 1;
                lots += qty.0;
            }
            let (bid, ask) = (flow.bids.keys().next_back(), flow.asks.keys().next());
            assert!(bid.zip(ask).is_none_or(|(bid, ask)| bid < ask));
            assert!(flow.bids.keys().chain(flow.asks.keys()).all(|px| flow.instrument.allows_px(*px)));
        }
        assert!((flow.fair.0 - flow.start.0).abs() * 100 < flow.start.0 * 2, "2 % of the start: {:?}", flow.fair);
        assert!((4_000..7_000).contains(&trades), "about 30 % of the moments: {trades}");
        assert!(lots / i64::from(trades) <= flow.params.trade_lots * 12 / 10);
        assert!((900_000..2_000_000).contains(&(last - 1_000)), "about 100 ms apart, pairs at once: {last}");
    }
}
