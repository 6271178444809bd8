use domain::margin::{MarginModel, MarginTable};
use domain::{Lots, Px, Qty, Ratio, Seed, Side, Usd};
use rust_decimal::Decimal;

use super::*;
use crate::FillRecord;
use crate::event::{Direction, LedgerDelta, LiquidationMethod};
use crate::op::{CancelResult, Grouping, NewOrder, OrderKind, OrderRef, Placed, TimeInForce, Tpsl};
use crate::view::{AccountState, OrderView};

mod dydx;
mod fills;
mod invariants;
mod liquidation;
mod margin;
mod protective;
mod refusals;
mod time;

/// The only market of most tests: ticks of 0.1, lots of 0.001, prices around 1,000.0, flat 10x unless said.
const T: Asset = Asset(4);
const START_MS: u64 = 1_700_000_000_000;

const A: AccountKey = AccountKey([0xa; 20]);
const B: AccountKey = AccountKey([0xb; 20]);
const C: AccountKey = AccountKey([0xc; 20]);

fn usd(text: &str) -> Usd {
    text.parse().unwrap_or_else(|e| panic!("{e}"))
}

fn dec(text: &str) -> Decimal {
    Decimal::from_str_exact(text).unwrap_or_else(|e| panic!("{e}"))
}

fn spec_with(table: MarginTable) -> ExchangeSpec {
    let mut market = MarketSpec::hyperliquid("T", T.0, 3, table, Decimal::from(1_000)).unwrap_or_else(|e| panic!("{e}"));
    market.instrument.tick = dec("0.1");
    market.oracle = Px(10_000);
    ExchangeSpec::hyperliquid(START_MS, vec![market])
}

/// An exchange with a way to say things shortly.
struct World {
    x: Exchange,
    now: u64,
}

impl World {
    /// Accounts A, B and C with 10,000 each; bids 999.0 and 998.0, asks 1001.0 and 1002.0, each 10 base units of background.
    fn new() -> World {
        World::with(spec_with(MarginTable::flat(10)))
    }

    fn with(spec: ExchangeSpec) -> World {
        let mut world = World::empty(spec);
        world.book(&[(9_990, 10_000), (9_980, 10_000)], &[(10_010, 10_000), (10_020, 10_000)]);
        world
    }

    /// Without background.
    fn empty(spec: ExchangeSpec) -> World {
        let now = spec.start_ms;
        let x = Exchange::new(spec, Seed(1)).unwrap_or_else(|e| panic!("{e}"));
        let mut world = World { x, now };
        for account in [A, B, C] {
            assert_eq!(world.x.submit(now, account, Op::Deposit { amount: usd("10000") }), OpResult::Default);
        }
        world.x.drain_events();
        world
    }

    fn book(&mut self, bids: &[(i64, i64)], asks: &[(i64, i64)]) {
        let side = |levels: &[(i64, i64)]| levels.iter().map(|(px, qty)| LevelChange { px: Px(*px), qty: Qty(*qty) }).collect();
        let event = BackgroundEvent::Snapshot { asset: T, bids: side(bids), asks: side(asks) };
        self.x.background(self.now, event);
    }

    fn trade(&mut self, aggressor: Side, px: i64, qty: i64) {
        self.x.background(self.now, BackgroundEvent::Trade { asset: T, px: Px(px), qty: Qty(qty), aggressor });
    }

    fn order(&self, side: Side, px: i64, qty: i64, tif: TimeInForce) -> NewOrder {
        let instrument = self.x.instrument(T).unwrap_or_else(|| panic!("no market"));
        NewOrder::limit(instrument, side, Px(px), Qty(qty), tif)
    }

    fn trigger(&self, side: Side, at: i64, tpsl: Tpsl, qty: i64) -> NewOrder {
        let instrument = self.x.instrument(T).unwrap_or_else(|| panic!("no market"));
        let px = if side == Side::Sell { at * 9 / 10 } else { at * 11 / 10 };
        NewOrder::trigger(instrument, side, instrument.floor_px(Px(px)), Qty(qty), Px(at), true, tpsl)
    }

    fn send(&mut self, account: AccountKey, op: Op) -> OpResult {
        self.x.submit(self.now, account, op)
    }

    fn place_all(&mut self, account: AccountKey, orders: Vec<NewOrder>, grouping: Grouping) -> Vec<Placed> {
        let answer = self.send(account, Op::Place { orders, grouping });
        let OpResult::Orders(placed) = answer else { panic!("{answer:?}") };
        placed
    }

    fn place(&mut self, account: AccountKey, order: NewOrder) -> Placed {
        self.place_all(account, vec![order], Grouping::Na).remove(0)
    }

    /// Places a limit order and gives its number, resting or filled.
    fn put(&mut self, account: AccountKey, side: Side, px: i64, qty: i64) -> u64 {
        let order = self.order(side, px, qty, TimeInForce::Gtc);
        oid(&self.place(account, order))
    }

    /// Takes `qty` at any price up to the band.
    fn market(&mut self, account: AccountKey, side: Side, qty: i64) -> u64 {
        let px = if side == Side::Buy { 15_000 } else { 5_000 };
        let order = self.order(side, px, qty, TimeInForce::Ioc);
        oid(&self.place(account, order))
    }

    fn refusal(&mut self, account: AccountKey, order: NewOrder) -> String {
        let placed = self.place(account, order);
        let Placed::Error(refusal) = placed else { panic!("expected a refusal, got {placed:?}") };
        refusal.to_string()
    }

    fn cancel(&mut self, account: AccountKey, oid: u64) -> CancelResult {
        let answer = self.send(account, Op::Cancel { orders: vec![(T, oid)] });
        let OpResult::Cancels(mut results) = answer else { panic!("{answer:?}") };
        results.remove(0)
    }

    fn status(&self, account: AccountKey, oid: u64) -> &'static str {
        self.x.order_status(account, OrderRef::Oid(oid)).map_or("unknown", |update| update.status.word())
    }

    fn view(&self, account: AccountKey, oid: u64) -> OrderView {
        let update = self.x.order_status(account, OrderRef::Oid(oid)).unwrap_or_else(|| panic!("no order {oid}"));
        update.order
    }

    fn szi(&self, account: AccountKey) -> i64 {
        self.x.account_state(account).positions.iter().find(|p| p.asset == T).map_or(0, |p| p.szi.0)
    }

    fn state(&self, account: AccountKey) -> AccountState {
        self.x.account_state(account)
    }

    fn fills(&self, account: AccountKey) -> Vec<(i64, i64)> {
        self.x.fills(account, 0).iter().map(|f| (f.px.0, f.qty.0 * f.side.sign())).collect()
    }

    fn fill_records(&self, account: AccountKey) -> Vec<FillRecord> {
        self.x.fills(account, 0)
    }

    /// Status words told since the last drain, in order.
    fn told(&mut self) -> Vec<(u64, &'static str)> {
        let events = self.x.drain_events().into_iter();
        events
            .filter_map(
                |event| if let Event::Order(update) = event { Some((update.order.oid, update.status.word())) } else { None },
            )
            .collect()
    }

    fn pin(&mut self, mark: i64) {
        self.x.fault(self.now, Fault::PinMark { asset: T, mark: Some(Px(mark)) });
    }

    fn wait(&mut self, ms: u64) {
        self.now += ms;
        self.x.advance(self.now);
    }

    fn leverage(&mut self, account: AccountKey, is_cross: bool, leverage: u32) -> OpResult {
        self.send(account, Op::UpdateLeverage { asset: T, is_cross, leverage })
    }

    /// Money and positions are conserved, and the book is whole.
    fn check(&self) {
        check(&self.x).unwrap_or_else(|e| panic!("{e}"));
    }
}

fn check(x: &Exchange) -> Result<(), String> {
    let p = x.pools();
    let sum = p.accounts + p.background + p.vault + p.fees + p.withdraw_fees + p.funding;
    if sum != p.net_deposits {
        return Err(format!("money: {sum} is not {}: {p:?}", p.net_deposits));
    }
    for (asset, market) in &x.markets {
        if x.net_position(*asset) != Lots::ZERO {
            return Err(format!("positions of {asset:?} sum to {:?}", x.net_position(*asset)));
        }
        market.book.check()?;
    }
    Ok(())
}

/// The text of a refused action.
fn text(answer: &OpResult) -> &str {
    if let OpResult::Refused(text) = answer { text } else { "not refused" }
}

fn oid(placed: &Placed) -> u64 {
    match placed {
        Placed::Resting { oid, .. }
        | Placed::Filled { oid, .. }
        | Placed::WaitingForFill { oid }
        | Placed::WaitingForTrigger { oid } => *oid,
        Placed::Error(refusal) => panic!("refused: {refusal}"),
    }
}
