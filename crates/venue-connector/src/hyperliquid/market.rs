//! The venue's markets: their rules, and what the market stream says about them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::margin::MarginTable;
use domain::{
    Book, Instrument, InstrumentId, Level, MarketStatus, MarketTrade, Marks, OutOfRange, PriceRule, Px, Qty, Ratio, Stamp,
    StreamHealth, Usd, Venue,
};
use rust_decimal::Decimal;
use wire::hyperliquid::info::{L2Level, Trade};
use wire::hyperliquid::stream::{
    ActiveAssetCtx, Bbo, ClientFrame, FIXED_DECIMALS, FixedBook, FixedLevel, ServerFrame, Subscription, book_via_serde,
    scan_l2_book,
};

use super::Shared;
use super::stream::{Heard, Reader};

/// Decimals of a perpetual's price plus decimals of its size (fact sheet §2.2).
const PRICE_DECIMALS: u32 = 6;
const SIGNIFICANT_FIGURES: u8 = 5;
/// Smallest order value in USDC (fact sheet §2.2).
const NOTIONAL_MIN: i32 = 10;

/// Every perpetual of the main dex, as it was at start. Its numbers are pinned for the life of the process: an order's bytes
/// must mean the same whenever they are made.
#[derive(Debug)]
pub(super) struct Universe {
    by_id: BTreeMap<InstrumentId, Arc<Instrument>>,
    by_coin: BTreeMap<String, Arc<Instrument>>,
    /// Markets whose grid or number changed since start, and how: nothing new is placed in them (F30, F31).
    changed: Mutex<BTreeMap<InstrumentId, String>>,
}

impl Universe {
    pub(super) fn new(instruments: impl IntoIterator<Item = Instrument>) -> Universe {
        let mut by_id = BTreeMap::new();
        let mut by_coin = BTreeMap::new();
        for instrument in instruments {
            let instrument = Arc::new(instrument);
            by_coin.insert(instrument.id.name().to_owned(), Arc::clone(&instrument));
            by_id.insert(instrument.id, instrument);
        }
        Universe { by_id, by_coin, changed: Mutex::new(BTreeMap::new()) }
    }

    pub(super) fn get(&self, id: InstrumentId) -> Option<&Arc<Instrument>> {
        self.by_id.get(&id)
    }

    pub(super) fn coin(&self, coin: &str) -> Option<&Arc<Instrument>> {
        self.by_coin.get(coin)
    }

    /// The market, if orders in it can be written.
    pub(super) fn tradable(&self, id: InstrumentId) -> Result<&Arc<Instrument>, String> {
        if let Some(how) = self.changed.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            return Err(format!("{id} changed since start ({how}); a restart reads its rules afresh"));
        }
        self.get(id).ok_or_else(|| format!("{id} is not a perpetual of this venue"))
    }

    /// Compares fresh rules with the pinned ones; the rule changes that the desk must hear of.
    ///
    /// A market whose number or grid changed is told as closed, with the old grid: what the books hold is counted in it.
    pub(super) fn update(&self, fresh: &[Instrument]) -> Vec<Instrument> {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = Vec::new();
        let known: BTreeSet<InstrumentId> = fresh.iter().map(|i| i.id).collect();
        for new in fresh {
            let Some(old) = self.by_id.get(&new.id) else { continue };
            let grid = (new.venue_asset, new.tick, new.lot) != (old.venue_asset, old.tick, old.lot);
            if grid {
                changed.entry(new.id).or_insert_with(|| {
                    format!(
                        "number {} → {}, tick {} → {}, lot {} → {}",
                        old.venue_asset, new.venue_asset, old.tick, new.tick, old.lot, new.lot
                    )
                });
            }
            // once changed it stays closed here, even if it changes back: what happened in between is not known
            if changed.contains_key(&new.id) {
                news.push(Instrument { status: MarketStatus::Closed, ..Instrument::clone(old) });
            } else if new != old.as_ref() {
                news.push(new.clone());
            }
        }
        for (id, old) in &self.by_id {
            if !known.contains(id) {
                changed.entry(*id).or_insert_with(|| "the venue no longer lists it".to_owned());
                news.push(Instrument { status: MarketStatus::Closed, ..Instrument::clone(old) });
            }
        }
        news
    }
}

/// A market by the venue's description of it.
///
/// # Errors
/// What is wrong with the description, in words.
pub(super) fn instrument(
    name: &str,
    asset: u32,
    size_decimals: u32,
    leverage_max: u32,
    tiers: Option<&[(Usd, u32)]>,
    isolated_only: bool,
    delisted: bool,
) -> Result<Instrument, String> {
    let id = InstrumentId::new(Venue::Hyperliquid, name).map_err(|e| e.to_string())?;
    let price_decimals = PRICE_DECIMALS
        .checked_sub(size_decimals)
        .ok_or_else(|| format!("{name}: szDecimals = {size_decimals}, expected 0 to 6"))?;
    if !(1..=1_000).contains(&leverage_max) {
        return Err(format!("{name}: maxLeverage = {leverage_max}, expected 1 to 1000"));
    }
    let margin = match tiers {
        // most markets have no table: one tier at the highest leverage (fact sheet §8.2)
        None => MarginTable::flat(leverage_max),
        Some(tiers) => MarginTable::new(tiers).map_err(|e| format!("{name}: {e}"))?,
    };
    Ok(Instrument {
        id,
        venue_asset: asset,
        tick: Decimal::new(1, price_decimals),
        lot: Decimal::new(1, size_decimals),
        price_rule: PriceRule::SignificantFigures(SIGNIFICANT_FIGURES),
        qty_min: Qty(1),
        notional_min: Usd::whole(NOTIONAL_MIN),
        leverage_max,
        margin: margin.into(),
        status: if delisted { MarketStatus::Closed } else { MarketStatus::Open },
        isolated_only,
    })
}

/// One market's book from two streams: the snapshot has depth but is seconds old, the best levels are of the last block.
#[derive(Debug, Default)]
struct TwoStreams {
    bids: Vec<Level>,
    asks: Vec<Level>,
    depth_ms: u64,
    best: Option<Best>,
}

#[derive(Clone, Copy, Debug)]
struct Best {
    bid: Option<Level>,
    ask: Option<Level>,
    ms: u64,
}

impl TwoStreams {
    fn depth(&mut self, bids: Vec<Level>, asks: Vec<Level>, ms: u64) {
        // a replayed or reordered snapshot does not turn time back
        if ms >= self.depth_ms {
            self.bids = bids;
            self.asks = asks;
            self.depth_ms = ms;
        }
    }

    fn best(&mut self, best: Best) {
        if self.best.is_none_or(|known| best.ms >= known.ms) {
            self.best = Some(best);
        }
    }

    /// The book that both together show: the best levels, if newer, replace everything that they contradict.
    fn book(&self, instrument: InstrumentId, at: Stamp) -> Book {
        let mut bids = self.bids.clone();
        let mut asks = self.asks.clone();
        let mut venue_ms = self.depth_ms;
        if let Some(best) = self.best.filter(|b| b.ms >= self.depth_ms) {
            venue_ms = best.ms;
            bids.retain(|l| best.bid.is_some_and(|b| l.px < b.px));
            asks.retain(|l| best.ask.is_some_and(|a| l.px > a.px));
            if let Some(bid) = best.bid {
                bids.insert(0, bid);
            }
            if let Some(ask) = best.ask {
                asks.insert(0, ask);
            }
        }
        Book { instrument, bids, asks, venue_ms, at }
    }
}

/// Trades that are remembered per market, to take each once: more than any first message repeats.
const TRADES_KNOWN_MAX: usize = 4_096;

/// The market stream's frames as facts.
pub(super) struct MarketReader {
    shared: Arc<Shared>,
    states: BTreeMap<String, State>,
    fixed: FixedBook,
    /// Trades before this venue time are history that was not lived through.
    since_ms: u64,
}

struct State {
    market: Arc<Instrument>,
    /// What the scanner's numbers are divided by to give ticks and lots.
    px_unit: i64,
    qty_unit: i64,
    book: TwoStreams,
    known: BTreeSet<u64>,
    known_order: VecDeque<u64>,
}

impl State {
    fn new(market: Arc<Instrument>) -> State {
        let unit = |step: Decimal| 10_i64.pow(FIXED_DECIMALS.saturating_sub(step.normalize().scale()));
        State {
            px_unit: unit(market.tick),
            qty_unit: unit(market.lot),
            market,
            book: TwoStreams::default(),
            known: BTreeSet::new(),
            known_order: VecDeque::new(),
        }
    }

    /// One side in ticks and lots, best first; `None` if a level is off the grid or out of order.
    fn side(&self, levels: &[FixedLevel], descending: bool) -> Option<Vec<Level>> {
        let mut side: Vec<Level> = Vec::with_capacity(levels.len() + 1);
        for level in levels {
            if level.px <= 0 || level.px % self.px_unit != 0 || level.sz < 0 || level.sz % self.qty_unit != 0 {
                return None;
            }
            let level = Level { px: Px(level.px / self.px_unit), qty: Qty(level.sz / self.qty_unit) };
            if side.last().is_some_and(|worse| if descending { level.px >= worse.px } else { level.px <= worse.px }) {
                return None;
            }
            if !level.qty.is_zero() {
                side.push(level);
            }
        }
        Some(side)
    }

    /// A trade is new once.
    fn first_sight(&mut self, tid: u64) -> bool {
        if !self.known.insert(tid) {
            return false;
        }
        self.known_order.push_back(tid);
        if self.known_order.len() > TRADES_KNOWN_MAX
            && let Some(oldest) = self.known_order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

impl MarketReader {
    pub(super) fn new(shared: Arc<Shared>, traded: &[Instrument]) -> MarketReader {
        let states = traded
            .iter()
            .filter_map(|i| shared.markets.get(i.id))
            .map(|market| (market.id.name().to_owned(), State::new(Arc::clone(market))))
            .collect();
        let offset = shared.counters.clock_offset_ms.load(Ordering::Relaxed);
        let since_ms = (shared.clock)().wall_ms.saturating_add_signed(offset);
        MarketReader { shared, states, fixed: FixedBook::default(), since_ms }
    }

    fn depth(&mut self) -> Heard {
        let Some(state) = self.states.get_mut(&self.fixed.coin) else { return self.stranger() };
        match (state.side(&self.fixed.bids, true), state.side(&self.fixed.asks, false)) {
            (Some(bids), Some(asks)) => {
                state.book.depth(bids, asks, self.fixed.time);
                Self::tell_book(&self.shared, state);
                Heard::Data
            }
            _ => {
                self.shared
                    .counters
                    .malformed("l2Book levels", format_args!("{}: off the grid or out of order", self.fixed.coin));
                Heard::Life
            }
        }
    }

    fn best(&mut self, bbo: &Bbo) -> Heard {
        let Some(state) = self.states.get_mut(&bbo.coin) else { return self.stranger() };
        let level = |level: Option<L2Level>| -> Result<Option<Level>, OutOfRange> {
            let Some(level) = level else { return Ok(None) };
            Ok(Some(Level { px: state.market.px_exact(level.px.get())?, qty: state.market.qty_exact(level.sz.get())? }))
        };
        let [bid, ask] = bbo.bbo;
        match (level(bid), level(ask)) {
            (Ok(bid), Ok(ask)) => {
                state.book.best(Best { bid, ask, ms: bbo.time });
                Self::tell_book(&self.shared, state);
                Heard::Data
            }
            (Err(e), _) | (_, Err(e)) => {
                self.shared.counters.malformed("bbo levels", e);
                Heard::Life
            }
        }
    }

    fn tell_book(shared: &Shared, state: &State) {
        shared.sink.book(Arc::new(state.book.book(state.market.id, (shared.clock)())));
    }

    fn trades(&mut self, trades: &[Trade]) -> Heard {
        let at = (self.shared.clock)();
        // the first message of a connection repeats history, newest first
        let mut fresh: Vec<&Trade> = trades.iter().filter(|t| t.time >= self.since_ms).collect();
        fresh.sort_by_key(|t| t.time);
        for trade in fresh {
            let Some(state) = self.states.get_mut(&trade.coin) else {
                self.stranger();
                continue;
            };
            if !state.first_sight(trade.tid) {
                continue;
            }
            let market = &state.market;
            let (px, qty) = match (market.px_exact(trade.px.get()), market.qty_exact(trade.sz.get())) {
                (Ok(px), Ok(qty)) => (px, qty),
                (Err(e), _) | (_, Err(e)) => {
                    self.shared.counters.malformed("trades", e);
                    continue;
                }
            };
            let own =
                trade.users.as_ref().is_some_and(|users| users.iter().any(|u| u.address() == Some(self.shared.config.account)));
            self.shared.sink.trade(MarketTrade {
                instrument: market.id,
                side: trade.side,
                px,
                qty,
                trade: trade.tid.to_string(),
                own,
                venue_ms: trade.time,
                at,
            });
        }
        Heard::Data
    }

    fn marks(&mut self, told: &ActiveAssetCtx) -> Heard {
        let Some(state) = self.states.get(&told.coin) else { return self.stranger() };
        let market = &state.market;
        let ctx = &told.ctx;
        match (market.px_nearest(ctx.mark_px.get()), market.px_nearest(ctx.oracle_px.get())) {
            (Ok(mark), Ok(oracle)) => {
                self.shared.sink.marks(Marks {
                    instrument: market.id,
                    mark,
                    oracle,
                    funding_hourly: Ratio::new(ctx.funding.get()).ok(),
                    open_interest: Some(market.floor_to_lot(ctx.open_interest.get())),
                    at: (self.shared.clock)(),
                });
                Heard::Data
            }
            (Err(e), _) | (_, Err(e)) => {
                self.shared.counters.malformed("activeAssetCtx", e);
                Heard::Life
            }
        }
    }

    fn stranger(&self) -> Heard {
        self.shared.counters.malformed("market not subscribed to", "a frame names another market");
        Heard::Life
    }
}

impl Reader for MarketReader {
    const NAME: &'static str = "market";

    fn begin(&mut self) -> Vec<String> {
        for state in self.states.values_mut() {
            state.book = TwoStreams::default();
        }
        let fast = self.shared.config.fast_book.then_some(true);
        self.states
            .keys()
            .flat_map(|coin| {
                [
                    Subscription::L2Book { coin: coin.clone(), n_sig_figs: None, mantissa: None, fast },
                    Subscription::Bbo { coin: coin.clone() },
                    Subscription::Trades { coin: coin.clone() },
                    Subscription::ActiveAssetCtx { coin: coin.clone() },
                ]
            })
            .map(|subscription| ClientFrame::Subscribe { subscription }.encode())
            .collect()
    }

    fn read(&mut self, frame: &str) -> Heard {
        // nearly every frame is a book; the scanner declines whatever it is not sure of
        if scan_l2_book(frame.as_bytes(), &mut self.fixed).is_some() {
            return self.depth();
        }
        match ServerFrame::decode(frame) {
            Ok(ServerFrame::L2Book(_)) => match book_via_serde(frame) {
                Ok(fixed) => {
                    self.fixed = fixed;
                    self.depth()
                }
                Err(malformed) => {
                    self.shared.counters.malformed(&malformed.what, &malformed.detail);
                    Heard::Life
                }
            },
            Ok(ServerFrame::Bbo(bbo)) => self.best(&bbo),
            Ok(ServerFrame::Trades(trades)) => self.trades(&trades),
            Ok(ServerFrame::ActiveAssetCtx(told)) => self.marks(&told),
            Ok(ServerFrame::Pong | ServerFrame::Greeting(_)) => Heard::Life,
            Ok(ServerFrame::SubscriptionResponse(_)) => Heard::Subscribed,
            Ok(ServerFrame::Error(text)) => {
                self.shared.counters.malformed("error", &text);
                if text.starts_with("Already subscribed") {
                    Heard::DoneWithout
                } else {
                    Heard::Useless(format!("the venue refused: {text}"))
                }
            }
            Ok(other) => {
                self.shared.counters.malformed("unexpected channel", other.channel());
                Heard::Life
            }
            Err(malformed) => {
                self.shared.counters.malformed(&malformed.what, &malformed.detail);
                Heard::Life
            }
        }
    }

    async fn deliver(&mut self) {}

    async fn health(&mut self, health: StreamHealth) {
        self.shared.sink.health(health);
    }

    fn silence(&self) -> Option<(Duration, Duration)> {
        let timing = self.shared.config.timing;
        Some((timing.stale, timing.silent))
    }
}
