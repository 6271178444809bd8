use std::collections::BTreeMap;

use domain::margin::MarginModel;
use domain::{
    EndPolicy, InstrumentId, Level as BookLevel, LiquidityRole, MarketStatus, OrderOutcome, ParentId, Placement, PriceRule, Prng,
    Ratio, Tif, Venue,
};
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::State;

const MS: u64 = 1_000_000;

/// BTC's grid on Hyperliquid: ticks of 0.1, five significant figures, lots of 0.00001, ten dollars at least.
fn btc() -> Instrument {
    Instrument {
        id: InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap(),
        venue_asset: 0,
        tick: Decimal::new(1, 1),
        lot: Decimal::new(1, 5),
        price_rule: PriceRule::SignificantFigures(5),
        qty_min: Qty(1),
        notional_min: Usd::whole(10),
        leverage_max: 40,
        margin: MarginModel::flat(40),
        status: MarketStatus::Open,
        isolated_only: false,
    }
}

fn twap(qty: i64, slices: u32, secs: u64) -> ParentSpec {
    ParentSpec {
        id: ParentId(1),
        instrument: btc().id,
        side: Side::Buy,
        qty: Qty(qty),
        schedule: Schedule::Twap { slices },
        placement: Placement::LimitToMarket,
        display: None,
        horizon: Span::secs(secs),
        limit_px: None,
        slippage_max: Ratio::bps(100),
        end: EndPolicy::Cancel,
        reduce_only: false,
        note: String::new(),
    }
}

fn stamp(ms: u64) -> Stamp {
    Stamp { mono: 1_000 * MS + ms * MS, wall_ms: 1_760_000_000_000 + ms }
}

fn book(ms: u64, bid: i64, ask: i64) -> Book {
    let level = |px| BookLevel { px: Px(px), qty: Qty(50_000) };
    let at = stamp(ms);
    let (bids, asks) = ((0..5).map(|i| level(bid - 10 * i)).collect(), (0..5).map(|i| level(ask + 10 * i)).collect());
    Book { instrument: btc().id, bids, asks, venue_ms: at.wall_ms, at }
}

const BID: i64 = 1_000_000;
const ASK: i64 = 1_000_010;

fn arrival() -> Arrival {
    Arrival { mid_x2: BID + ASK, spread: ASK - BID, tick_lot: Usd::new(btc().tick_lot()).unwrap() }
}

fn start(spec: &ParentSpec) -> Worker {
    Worker::start(spec, &btc(), stamp(0), &arrival(), Seed(7)).unwrap_or_else(|f| panic!("{f:?}"))
}

/// One step at `ms` against a fresh book; places are accepted at once by guard and venue if `ack`.
fn step(worker: &mut Worker, ms: u64, bid: i64, ask: i64) -> Vec<Proposal> {
    let mut out = Vec::new();
    worker.step(stamp(ms), Some(&book(ms, bid, ask)), &mut out);
    for proposal in &out {
        if let Proposal::Place(child) = proposal {
            worker.placed(stamp(ms), child);
            worker.event(stamp(ms), child.no, ChildEvent::Acked);
        }
    }
    out
}

fn fill(worker: &mut Worker, ms: u64, child: &Child, qty: i64, role: LiquidityRole) {
    let event = ChildEvent::Filled { qty: Qty(qty), px: child.px, role, fee: Usd::ZERO, at_mid_x2: None };
    worker.event(stamp(ms), child.no, event);
}

fn places(out: &[Proposal]) -> Vec<Child> {
    out.iter()
        .filter_map(|p| match p {
            Proposal::Place(child) => Some(*child),
            Proposal::Cancel(_) | Proposal::Ended(_) => None,
        })
        .collect()
}

fn cancels(out: &[Proposal]) -> Vec<ChildNo> {
    out.iter()
        .filter_map(|p| match p {
            Proposal::Cancel(no) => Some(*no),
            Proposal::Place(_) | Proposal::Ended(_) => None,
        })
        .collect()
}

fn only(out: &[Proposal]) -> Child {
    let all = places(out);
    assert_eq!(all.len(), 1, "{out:?}");
    all[0]
}

#[test]
fn joins_the_best_price_first() {
    let mut worker = start(&twap(10_000, 1, 100));
    let child = only(&step(&mut worker, 0, BID, ASK));
    assert_eq!((child.px, child.tif, child.qty), (Px(BID), Tif::PostOnly, Qty(10_000)));
    let progress = worker.progress(stamp(1));
    assert_eq!((progress.state, progress.live, progress.remaining), (State::Passive, Qty(10_000), Qty(0)));
}

#[test]
fn escalates_from_limit_to_market_by_cancel_and_place() {
    let mut worker = start(&twap(10_000, 1, 100));
    let wide = (BID, BID + 100);
    let first = only(&step(&mut worker, 0, wide.0, wide.1));
    assert_eq!(step(&mut worker, 39_000, wide.0, wide.1), [], "passive stays where it is");
    // pegged from 40 %: the bid moves by one step, a tenth of the spread: not enough; by three: enough
    assert_eq!(step(&mut worker, 41_000, wide.0 + 10, wide.1), []);
    let out = step(&mut worker, 42_000, wide.0 + 30, wide.1);
    assert_eq!(out, [Proposal::Cancel(first.no)], "never a modify, and no second order while the first may fill");
    assert_eq!(step(&mut worker, 42_100, wide.0 + 30, wide.1), []);
    worker.event(stamp(42_200), first.no, ChildEvent::Done(OrderOutcome::Canceled));
    let second = only(&step(&mut worker, 42_200, wide.0 + 30, wide.1));
    assert_eq!((second.px.0, second.tif), (wide.0 + 30, Tif::PostOnly));
    // mid from 75 %
    assert_eq!(step(&mut worker, 76_000, wide.0 + 30, wide.1), [Proposal::Cancel(second.no)]);
    worker.event(stamp(76_100), second.no, ChildEvent::Done(OrderOutcome::Canceled));
    let third = only(&step(&mut worker, 76_100, wide.0 + 30, wide.1));
    assert_eq!((third.px.0, third.tif), (BID + 60, Tif::PostOnly), "the mid of 30 and 100 is 65, on our side of the grid 60");
    assert_eq!(
        step(&mut worker, 80_000, wide.0 + 60, wide.1),
        [],
        "our own order moved the mid: following it would be following ourselves"
    );
    // cross from 90 %: all but the smallest order at once, the smallest in an order that may rest
    assert_eq!(step(&mut worker, 91_000, wide.0, wide.1), [Proposal::Cancel(third.no)]);
    worker.event(stamp(91_100), third.no, ChildEvent::Done(OrderOutcome::Canceled));
    let fourth = only(&step(&mut worker, 91_100, wide.0, wide.1));
    assert_eq!(fourth.tif, Tif::ImmediateOrCancel);
    assert!(fourth.px.0 >= wide.1 && fourth.px.0 <= wide.1 + 210, "the touch and two basis points: {:?}", fourth.px);
    fill(&mut worker, 91_200, &fourth, fourth.qty.0, LiquidityRole::Taker);
    worker.event(stamp(91_200), fourth.no, ChildEvent::Done(OrderOutcome::Filled));
    let fifth = only(&step(&mut worker, 91_600, wide.0, wide.1));
    assert_eq!(fifth.tif, Tif::GoodTilCancel);
    fill(&mut worker, 91_700, &fifth, fifth.qty.0, LiquidityRole::Taker);
    assert_eq!(step(&mut worker, 91_800, wide.0, wide.1), [Proposal::Ended(ParentOutcome::Filled)]);
    assert_eq!(step(&mut worker, 92_000, wide.0, wide.1), [], "ended once");
    assert_eq!(worker.wake(), None);
}

#[test]
fn adverse_drift_crosses_early_but_never_through_the_guard_price() {
    let mut worker = start(&twap(10_000, 1, 1_000));
    let first = only(&step(&mut worker, 0, BID, ASK));
    // 8 bp of 100,000 are 80: up by 90 (900 ticks)
    assert_eq!(step(&mut worker, 1_000, BID + 900, ASK + 900), [Proposal::Cancel(first.no)]);
    worker.event(stamp(1_100), first.no, ChildEvent::Done(OrderOutcome::Canceled));
    let cross = only(&step(&mut worker, 1_100, BID + 900, ASK + 900));
    assert_eq!(cross.tif, Tif::ImmediateOrCancel);
    worker.event(stamp(1_200), cross.no, ChildEvent::Done(OrderOutcome::Canceled));
    // 25 bp are 2,500 ticks: beyond that nothing is taken, and it says why
    assert_eq!(step(&mut worker, 2_000, BID + 3_000, ASK + 3_000), []);
    let progress = worker.progress(stamp(2_000));
    assert_eq!(progress.state, State::Paused);
    assert!(progress.reason.contains("guard price"), "{}", progress.reason);
}

#[test]
fn favourable_drift_resets_the_timer_once() {
    let mut worker = start(&twap(10_000, 1, 100));
    only(&step(&mut worker, 0, BID, ASK));
    assert_eq!(step(&mut worker, 45_000, BID - 400, ASK - 400), [], "cheaper by 4 bp: stays passive");
    assert_eq!(worker.progress(stamp(45_000)).state, State::Passive);
    step(&mut worker, 80_000, BID - 400, ASK - 400);
    assert_eq!(worker.progress(stamp(80_000)).state, State::Pegged, "but only once");
}

#[test]
fn pegged_follows_at_most_every_half_second() {
    let mut worker = start(&ParentSpec { placement: Placement::Pegged, ..twap(10_000, 1, 100) });
    let first = only(&step(&mut worker, 0, BID, ASK));
    assert_eq!(step(&mut worker, 100, BID + 20, ASK + 20), []);
    assert_eq!(worker.wake(), Some((stamp(500), "re-peg")));
    assert_eq!(step(&mut worker, 510, BID + 20, ASK + 20), [Proposal::Cancel(first.no)]);
}

#[test]
fn unknown_children_keep_their_quantity_reserved() {
    let mut worker = start(&twap(10_000, 2, 20));
    let first = only(&step(&mut worker, 0, BID, ASK));
    worker.event(stamp(10), first.no, ChildEvent::Unknown);
    for ms in (100..40_000).step_by(100) {
        for child in places(&step(&mut worker, ms, BID, ASK)) {
            assert!(child.qty.0 <= 10_000 - first.qty.0, "what may have landed is not sent again (I05, I06)");
        }
    }
    let progress = worker.progress(stamp(40_000));
    assert_eq!(progress.unknown, first.qty);
    assert!(progress.reason.contains("answer was lost"), "{}", progress.reason);
}

#[test]
fn a_fill_after_done_is_booked() {
    let mut worker = start(&twap(10_000, 1, 100));
    let first = only(&step(&mut worker, 0, BID, ASK));
    worker.event(stamp(10), first.no, ChildEvent::Done(OrderOutcome::Filled));
    assert_eq!(worker.progress(stamp(10)).remaining, Qty(0), "filled, fills still owed");
    fill(&mut worker, 20, &first, 10_000, LiquidityRole::Maker);
    assert_eq!(step(&mut worker, 30, BID, ASK), [Proposal::Ended(ParentOutcome::Filled)]);

    let mut worker = start(&twap(10_000, 1, 100));
    let first = only(&step(&mut worker, 0, BID, ASK));
    worker.event(stamp(10), first.no, ChildEvent::Done(OrderOutcome::Canceled));
    fill(&mut worker, 20, &first, 4_000, LiquidityRole::Maker);
    assert_eq!(only(&step(&mut worker, 30, BID, ASK)).qty, Qty(6_000));
}

#[test]
fn a_bad_book_pauses_with_a_reason_and_a_long_one_cancels() {
    let check = |market: Option<Book>, reason: &str| {
        let mut worker = start(&twap(10_000, 1, 100));
        let mut out = Vec::new();
        worker.step(stamp(3_000), market.as_ref(), &mut out);
        assert_eq!(out, [], "{reason}");
        let progress = worker.progress(stamp(3_000));
        assert_eq!(progress.state, State::Paused);
        assert!(progress.reason.contains(reason), "{}", progress.reason);
        assert_eq!(places(&step(&mut worker, 3_100, BID, ASK)).len(), 1, "goes on by itself");
    };
    check(None, "no book");
    check(Some(book(999, BID, ASK)), "2001 ms old"); // F01
    check(Some(book(3_000, ASK, BID)), "crossed");
    check(Some(book(3_000, BID, BID)), "crossed");
    check(Some(book(3_000, BID, BID + 10_100)), "thin");
    check(Some(Book { asks: Vec::new(), ..book(3_000, BID, ASK) }), "thin");
    check(Some(Book { asks: vec![BookLevel { px: Px(ASK), qty: Qty(1) }], ..book(3_000, BID, ASK) }), "thin");

    let mut worker = start(&twap(10_000, 1, 100));
    let child = only(&step(&mut worker, 0, BID, ASK));
    let frozen = book(0, BID, ASK);
    let mut out = Vec::new();
    for ms in (100..10_000).step_by(100) {
        worker.step(stamp(ms), Some(&frozen), &mut out);
        assert!(ms >= 7_000 || out.is_empty(), "two seconds to be stale and five to be blind: {ms}");
    }
    assert_eq!(out, [Proposal::Cancel(child.no)], "cancelled once");
}

#[test]
fn refusals_back_off_and_smaller_is_tried_when_there_is_room() {
    let mut worker = start(&twap(10_000, 1, 1_000));
    let mut tries = Vec::new();
    for ms in (0..20_000).step_by(50) {
        let mut out = Vec::new();
        worker.step(stamp(ms), Some(&book(ms, BID, ASK)), &mut out);
        for child in places(&out) {
            tries.push((ms, child.qty.0));
            worker.refused(stamp(ms), &child, "leverage", (tries.len() == 1).then_some(Qty(4_000)));
        }
    }
    assert_eq!(tries[0].1, 10_000);
    assert_eq!(tries[1].1, 4_000, "the largest size that it would allow");
    let gaps: Vec<u64> = tries.windows(2).map(|w| w[1].0 - w[0].0).collect();
    assert_eq!(gaps[0], 250);
    assert!(gaps[1..].windows(2).all(|w| w[1] >= 2 * w[0] - 50), "doubling: {gaps:?}");
    assert!(tries.len() < 10, "{tries:?}");
    assert!(worker.progress(stamp(20_000)).reason.contains("leverage"));
    assert_eq!(worker.progress(stamp(20_000)).refusals as usize, tries.len());
}

#[test]
fn post_only_rejects_step_back_and_then_rest_at_the_mid() {
    let mut worker = start(&ParentSpec { placement: Placement::Pegged, ..twap(10_000, 1, 1_000) });
    let mut seen = Vec::new();
    for ms in (0..60_000).step_by(50) {
        let mut out = Vec::new();
        worker.step(stamp(ms), Some(&book(ms, BID, BID + 40)), &mut out);
        for child in places(&out) {
            seen.push((child.px.0 - BID, child.tif));
            worker.placed(stamp(ms), &child);
            worker.event(stamp(ms), child.no, ChildEvent::Rejected(RejectKind::WouldTake));
        }
    }
    let (alo, gtc) = (Tif::PostOnly, Tif::GoodTilCancel);
    assert_eq!(seen[..7], [(0, alo), (0, alo), (0, alo), (-10, alo), (-10, alo), (-10, alo), (20, gtc)]);
    assert!(seen.len() < 25, "and never faster than its back-off: {}", seen.len());
}

#[test]
fn a_post_only_window_stops_takers() {
    let mut worker = start(&twap(10_000, 1, 10));
    let mut kinds = BTreeMap::new();
    let mut rejected_at = None;
    for ms in (0..9_900).step_by(100) {
        let mut out = Vec::new();
        worker.step(stamp(ms), Some(&book(ms, BID, ASK)), &mut out);
        for proposal in &out {
            match proposal {
                Proposal::Place(child) => {
                    worker.placed(stamp(ms), child);
                    let taker = child.tif != Tif::PostOnly;
                    assert!(rejected_at.is_none() || !taker, "no taker in the window");
                    let event = if taker { ChildEvent::Rejected(RejectKind::PostOnlyWindow) } else { ChildEvent::Acked };
                    worker.event(stamp(ms), child.no, event);
                    rejected_at = rejected_at.or(taker.then_some(ms));
                    *kinds.entry(taker).or_insert(0) += 1;
                }
                Proposal::Cancel(no) => worker.event(stamp(ms), *no, ChildEvent::Done(OrderOutcome::Canceled)),
                Proposal::Ended(_) => {}
            }
        }
    }
    assert_eq!(kinds.get(&true), Some(&1));
    assert!(kinds.get(&false).is_some_and(|n| *n >= 2), "rests meanwhile: {kinds:?}");
}

#[test]
fn a_market_for_post_only_orders_is_not_taken_from_until_it_opens() {
    let mut worker = start(&ParentSpec { end: EndPolicy::Force, ..twap(10_000, 1, 10) });
    worker.set_instrument(&Instrument { status: MarketStatus::PostOnly, ..btc() });
    let mut last = None;
    for ms in (0..20_000).step_by(100) {
        for proposal in step(&mut worker, ms, BID, ASK) {
            match proposal {
                Proposal::Place(child) => {
                    assert_eq!(child.tif, Tif::PostOnly);
                    last = Some(child.no);
                }
                Proposal::Cancel(no) => worker.event(stamp(ms), no, ChildEvent::Done(OrderOutcome::Canceled)),
                Proposal::Ended(_) => panic!("its time is not over"),
            }
        }
    }
    worker.set_instrument(&btc());
    assert_eq!(step(&mut worker, 20_100, BID, ASK), [Proposal::Cancel(last.unwrap())]);
    worker.event(stamp(20_100), last.unwrap(), ChildEvent::Done(OrderOutcome::Canceled));
    assert_eq!(only(&step(&mut worker, 20_200, BID, ASK)).tif, Tif::ImmediateOrCancel);
}

#[test]
fn an_iceberg_shows_no_more_than_its_display() {
    let mut worker = start(&ParentSpec { display: Some(Qty(1_000)), ..twap(10_000, 1, 100) });
    let (mut total, mut sizes, mut last) = (0, Vec::new(), 0);
    for ms in (0..39_000).step_by(50) {
        for child in places(&step(&mut worker, ms, BID, ASK)) {
            assert!(child.qty.0 <= 1_000);
            if !sizes.is_empty() {
                assert!((200..=2_100).contains(&(ms - last)), "refreshed after 0.2 to 2 s: {}", ms - last);
            }
            sizes.push(child.qty.0);
            fill(&mut worker, ms, &child, child.qty.0, LiquidityRole::Maker);
            total += child.qty.0;
            last = ms;
        }
    }
    assert_eq!(total, 10_000);
    assert!(sizes.iter().any(|s| s % 100 != 0), "sizes vary: {sizes:?}");
}

#[test]
fn participation_follows_the_volume_of_others_alone() {
    let schedule = Schedule::Pov { rate: Ratio::scaled(1, 1), complete: false };
    let mut worker = start(&ParentSpec { schedule, ..twap(100_000, 1, 1_000) });
    let trade = |ms: u64, qty: i64, own: bool| MarketTrade {
        instrument: btc().id,
        side: Side::Sell,
        px: Px(BID),
        qty: Qty(qty),
        trade: "1".into(),
        own,
        venue_ms: 0,
        at: stamp(ms),
    };
    assert_eq!(step(&mut worker, 100, BID, ASK), [], "nothing traded, nothing due");
    worker.observe_trade(&trade(200, 1_000_000, true));
    assert_eq!(step(&mut worker, 1_000, BID, ASK), [], "own volume is not market volume");
    worker.observe_trade(&trade(1_100, 9_000, false));
    let child = only(&step(&mut worker, 2_000, BID, ASK));
    assert_eq!(child.qty, Qty(1_000), "a tenth of the total is a ninth of the others' volume");
    assert_eq!(worker.progress(stamp(2_000)).target_now, Qty(1_000));
    worker.observe_trade(&trade(2_100, 9_000_000, false));
    let child = only(&step(&mut worker, 3_500, BID, ASK));
    assert_eq!(child.qty, Qty(3_000), "after a burst at most three slices of a hundredth");
}

#[test]
fn force_finishes_inside_the_band_and_reports_beyond_it() {
    let spec = ParentSpec { placement: Placement::Passive, end: EndPolicy::Force, ..twap(10_000, 4, 60) };
    let (outcome, children) = run(&spec, 200_000, |_| (BID, ASK));
    assert_eq!(outcome, Some(ParentOutcome::Filled));
    assert!(children.iter().filter(|c| c.tif != Tif::PostOnly).count() >= 2, "in steps, not at once");
    assert!(children.iter().all(|c| c.qty.0 <= 3 * 2_500 + 150), "never more than three slices");

    let worst = BID + 5 + 10_000; // 100 bp above the mid
    let (outcome, children) = run(&spec, 200_000, |ms| if ms < 5_000 { (BID, ASK) } else { (BID + 20_000, ASK + 20_000) });
    assert!(children.iter().all(|c| c.px.0 <= worst), "never beyond the worst price");
    let Some(ParentOutcome::Expired { residual, why }) = outcome else { panic!("{outcome:?}") };
    assert!(residual.0 > 0 && why.contains("worst price"), "{why}");

    let (outcome, _) =
        run(&spec, 200_000, |ms| if (5_000..70_000).contains(&ms) { (BID + 20_000, ASK + 20_000) } else { (BID, ASK) });
    assert_eq!(outcome, Some(ParentOutcome::Filled), "the market came back after the deadline");
}

#[test]
fn a_steep_schedule_finishes_what_its_start_left_undone() {
    let schedule =
        Schedule::Shortfall { slices: 40, lambda: Ratio::ONE, sigma_daily: Ratio::scaled(3, 2), eta: Ratio::scaled(1, 3) };
    let spec = ParentSpec { schedule, placement: Placement::Passive, end: EndPolicy::Force, ..twap(84_000, 1, 80) };
    let (outcome, children) = run(&spec, 300_000, |_| (BID, ASK));
    assert_eq!(outcome, Some(ParentOutcome::Filled));
    let takers = children.iter().filter(|c| c.tif != Tif::PostOnly);
    assert!(takers.clone().count() > 5 && takers.clone().all(|c| c.qty.0 < 84_000 / 2), "in steps, not at once");
}

/// Runs a parent against a market in which only takers fill.
fn run(spec: &ParentSpec, until_ms: u64, market: impl Fn(u64) -> (i64, i64)) -> (Option<ParentOutcome>, Vec<Child>) {
    let mut worker = start(spec);
    let mut children = Vec::new();
    let mut resting: BTreeMap<ChildNo, Child> = BTreeMap::new();
    for ms in (0..until_ms).step_by(100) {
        let (bid, ask) = market(ms);
        let crossed: Vec<Child> = resting.values().filter(|c| c.px.0 >= ask).copied().collect();
        for child in crossed {
            resting.remove(&child.no);
            fill(&mut worker, ms, &child, child.qty.0, LiquidityRole::Maker);
        }
        for proposal in step(&mut worker, ms, bid, ask) {
            match proposal {
                Proposal::Place(child) if child.tif != Tif::PostOnly && child.px.0 >= ask => {
                    children.push(child);
                    fill(&mut worker, ms, &child, child.qty.0, LiquidityRole::Taker);
                }
                Proposal::Place(child) => {
                    children.push(child);
                    if child.tif == Tif::ImmediateOrCancel {
                        worker.event(stamp(ms), child.no, ChildEvent::Done(OrderOutcome::Canceled));
                    } else {
                        resting.insert(child.no, child);
                    }
                }
                Proposal::Cancel(no) => {
                    resting.remove(&no);
                    worker.event(stamp(ms), no, ChildEvent::CancelAsked);
                    worker.event(stamp(ms), no, ChildEvent::Done(OrderOutcome::Canceled));
                }
                Proposal::Ended(outcome) => return (Some(outcome), children),
            }
        }
    }
    (None, children)
}

#[test]
fn the_same_seed_gives_the_same_children() {
    let spec = ParentSpec { display: Some(Qty(700)), end: EndPolicy::Force, ..twap(10_000, 7, 60) };
    let market = |ms: u64| (BID + 10 * i64::try_from(ms / 700 % 5).unwrap(), ASK + 10 * i64::try_from(ms / 700 % 5).unwrap());
    let (first, again) = (run(&spec, 100_000, market), run(&spec, 100_000, market));
    assert_eq!(first, again);
    let other = run(&ParentSpec { id: ParentId(2), ..spec }, 100_000, market);
    assert_ne!(first.1.iter().map(|c| c.qty).collect::<Vec<_>>(), other.1.iter().map(|c| c.qty).collect::<Vec<_>>());
}

#[test]
fn cancel_policy_leaves_the_remainder_and_extend_goes_on_once() {
    let spec = ParentSpec { placement: Placement::Passive, ..twap(10_000, 4, 60) };
    let (outcome, children) = run(&spec, 100_000, |_| (BID, ASK));
    let Some(ParentOutcome::Expired { residual, why }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(residual, Qty(10_000));
    assert!(why.contains("not taken"), "{why}");
    assert!(children.iter().all(|c| c.tif == Tif::PostOnly), "passive never takes");
    assert_eq!(children.iter().map(|c| c.qty.0).sum::<i64>(), 10_000, "four slices, each once");

    let mut worker = start(&ParentSpec { end: EndPolicy::Extend, ..spec });
    let mut ended = None;
    for ms in (0..200_000).step_by(100) {
        for proposal in step(&mut worker, ms, BID, ASK) {
            match proposal {
                Proposal::Cancel(no) => worker.event(stamp(ms), no, ChildEvent::Done(OrderOutcome::Canceled)),
                Proposal::Ended(_) => ended = ended.or(Some(ms)),
                Proposal::Place(_) => {}
            }
        }
    }
    assert_eq!(ended.map(|ms| ms / 1_000), Some(120));
}

#[test]
fn pause_cancels_resume_goes_on_and_hold_only_waits() {
    let mut worker = start(&twap(10_000, 1, 100));
    let first = only(&step(&mut worker, 0, BID, ASK));
    worker.hold(stamp(500), Some("reconciliation"));
    assert_eq!(step(&mut worker, 600, BID + 500, ASK + 500), [], "the desk holds: nothing is placed, nothing lost");
    assert_eq!(worker.progress(stamp(600)).reason, "reconciliation");
    worker.hold(stamp(700), None);
    worker.change(stamp(1_000), &ParentChange::Pause).unwrap();
    assert_eq!(step(&mut worker, 1_000, BID, ASK), [Proposal::Cancel(first.no)]);
    worker.event(stamp(1_100), first.no, ChildEvent::Done(OrderOutcome::Canceled));
    assert_eq!(step(&mut worker, 30_000, BID, ASK), []);
    assert_eq!(worker.progress(stamp(30_000)).state, State::Paused);
    worker.change(stamp(31_000), &ParentChange::Resume).unwrap();
    assert_eq!(only(&step(&mut worker, 31_000, BID, ASK)).qty, Qty(10_000));
    worker.change(stamp(32_000), &ParentChange::Cancel).unwrap();
    let out = step(&mut worker, 32_000, BID, ASK);
    assert_eq!(cancels(&out).len(), 1);
    worker.event(stamp(32_100), cancels(&out)[0], ChildEvent::Done(OrderOutcome::Canceled));
    assert_eq!(step(&mut worker, 32_200, BID, ASK), [Proposal::Ended(ParentOutcome::Canceled { residual: Qty(10_000) })]);
}

#[test]
fn amendments_are_checked_against_what_is_out() {
    let mut worker = start(&twap(10_000, 10, 100));
    let first = only(&step(&mut worker, 0, BID, ASK));
    let amend = |qty, horizon: Option<u64>| ParentChange::Amend { qty, horizon: horizon.map(Span::secs) };
    let faults = worker.change(stamp(10), &amend(Some(Qty(first.qty.0 - 1)), None)).unwrap_err();
    assert_eq!(faults[0].field, "qty");
    let faults = worker.change(stamp(10), &amend(Some(Qty(first.qty.0 + 1)), None)).unwrap_err();
    assert!(faults[0].expected.contains("smallest order"), "{}", faults[0]);
    let faults = worker.change(stamp(50_000), &amend(None, Some(20))).unwrap_err();
    assert_eq!(faults[0].field, "horizon");
    worker.change(stamp(50_000), &amend(Some(Qty(20_000)), Some(200))).unwrap();
    assert_eq!(worker.progress(stamp(50_000)).quantity, Qty(20_000));
    assert_eq!(worker.progress(stamp(50_000)).horizon, Span::secs(200));
    let mut placed = first.qty.0;
    for ms in (50_000..52_000).step_by(100) {
        placed += places(&step(&mut worker, ms, BID, ASK)).iter().map(|c| c.qty.0).sum::<i64>();
    }
    assert!(placed <= first.qty.0 + 6_000, "an amendment is no licence to dump: {placed}");
    worker.change(stamp(53_000), &amend(Some(Qty(placed)), None)).unwrap();
    assert_eq!(worker.progress(stamp(53_000)).remaining, Qty(0));
}

#[test]
fn every_fault_of_a_spec_is_reported_at_once() {
    let spec = ParentSpec {
        qty: Qty(5),
        display: Some(Qty(10)),
        horizon: Span::millis(1),
        limit_px: Some(Px(1)),
        slippage_max: Ratio::ONE,
        schedule: Schedule::Shortfall { slices: 0, lambda: Ratio::scaled(-1, 6), sigma_daily: Ratio::ZERO, eta: Ratio::ZERO },
        note: "x".repeat(65),
        ..twap(1, 1, 1)
    };
    let faults = Worker::start(&spec, &btc(), stamp(0), &arrival(), Seed(1)).unwrap_err();
    let fields: Vec<&str> = faults.iter().map(|f| f.field.as_str()).collect();
    let expected = [
        "qty",
        "horizon",
        "display",
        "slippage_max",
        "note",
        "schedule.slices",
        "schedule.lambda",
        "schedule.sigma_daily",
        "schedule.eta",
        "limit_px",
    ];
    assert_eq!(fields, expected);
    for (schedule, field) in [
        (Schedule::Pov { rate: Ratio::scaled(6, 1), complete: true }, "schedule.rate"),
        (Schedule::Vwap { slices: 3, curve: vec![0, 0] }, "schedule.curve"),
    ] {
        let spec = ParentSpec { schedule, ..twap(10_000, 1, 10) };
        let faults = Worker::start(&spec, &btc(), stamp(0), &arrival(), Seed(1)).unwrap_err();
        assert_eq!(faults.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), [field]);
    }
}

#[test]
fn a_reduce_only_remainder_may_be_below_the_minimum() {
    let (outcome, children) =
        run(&ParentSpec { reduce_only: true, end: EndPolicy::Force, ..twap(8, 5, 20) }, 100_000, |_| (BID, ASK));
    assert_eq!(outcome, Some(ParentOutcome::Filled));
    assert!(children.iter().all(|c| c.qty == Qty(8) && c.reduce_only), "{children:?}");
}

// ---- FZ22, I06, I37 ----

/// A venue and a guard that do what they like, from a seed.
struct Street {
    chance: Prng,
    ms: u64,
    bid: i64,
    spread: i64,
    /// Rests or is on its way: child, filled, and whether the worker was told that its answer was lost.
    orders: BTreeMap<ChildNo, (Child, i64, bool)>,
    /// What the journal would hold, for a replay.
    log: Vec<(Stamp, Logged)>,
    filled: i64,
    placed: Vec<(u64, Child)>,
    hostile: bool,
}

#[derive(Clone, Debug)]
enum Logged {
    Placed(Child),
    Refused(Child),
    Event(ChildNo, ChildEvent),
    Change(ParentChange),
}

impl Street {
    fn tell(&mut self, worker: &mut Worker, logged: Logged) {
        let at = stamp(self.ms);
        apply(worker, at, &logged);
        self.log.push((at, logged));
    }

    fn fill(&mut self, worker: &mut Worker, no: ChildNo, qty: i64, px: i64, role: LiquidityRole) {
        let Some((child, filled, _)) = self.orders.get_mut(&no) else { return };
        let qty = qty.min(child.qty.0 - *filled);
        if qty == 0 {
            return;
        }
        *filled += qty;
        self.filled += qty;
        let gone = *filled == child.qty.0;
        self.tell(
            worker,
            Logged::Event(no, ChildEvent::Filled { qty: Qty(qty), px: Px(px), role, fee: Usd::ZERO, at_mid_x2: None }),
        );
        if gone {
            self.orders.remove(&no);
            self.tell(worker, Logged::Event(no, ChildEvent::Done(OrderOutcome::Filled)));
        }
    }

    fn arrive(&mut self, worker: &mut Worker, child: Child, spec: &ParentSpec) {
        let (bid, ask) = (self.bid, self.bid + self.spread);
        let (far, sign) = if spec.side == Side::Buy { (ask, 1) } else { (bid, -1) };
        let takes = (child.px.0 - far) * sign >= 0;
        let fate = if self.hostile { self.chance.below(20) } else { 19 };
        if fate == 0 {
            self.tell(worker, Logged::Refused(child));
            return;
        }
        self.placed.push((self.ms, child));
        self.tell(worker, Logged::Placed(child));
        let kinds = [RejectKind::Margin, RejectKind::Throttled, RejectKind::Expired, RejectKind::Other];
        if fate == 1 {
            let kind = kinds[self.chance.below(4) as usize];
            self.tell(worker, Logged::Event(child.no, ChildEvent::Rejected(kind)));
            return;
        }
        if takes && child.tif == Tif::PostOnly {
            self.tell(worker, Logged::Event(child.no, ChildEvent::Rejected(RejectKind::WouldTake)));
            return;
        }
        self.orders.insert(child.no, (child, 0, fate == 2));
        self.tell(worker, Logged::Event(child.no, if fate == 2 { ChildEvent::Unknown } else { ChildEvent::Acked }));
        if fate == 2 {
            return;
        }
        if takes {
            let part = if self.hostile { self.chance.between(0, child.qty.0) } else { child.qty.0 };
            self.fill(worker, child.no, part, far, LiquidityRole::Taker);
        }
        if child.tif == Tif::ImmediateOrCancel && self.orders.remove(&child.no).is_some() {
            self.tell(worker, Logged::Event(child.no, ChildEvent::Done(OrderOutcome::Canceled)));
        }
    }

    /// Time passes, prices move, resting orders fill or are found.
    fn drift(&mut self, worker: &mut Worker, spec: &ParentSpec) {
        self.ms += if self.hostile && self.chance.chance(1, 200) { self.chance.between(1_000, 20_000) as u64 } else { 100 };
        self.bid += 10 * self.chance.between(-3, 3);
        self.spread = 10 * self.chance.between(1, 4);
        for no in self.orders.keys().copied().collect::<Vec<_>>() {
            let (child, _, unknown) = self.orders[&no];
            if unknown && self.chance.chance(1, 20) {
                if self.chance.chance(1, 2) && child.tif != Tif::ImmediateOrCancel {
                    self.orders.insert(no, (child, 0, false));
                    self.tell(worker, Logged::Event(no, ChildEvent::Acked));
                } else {
                    self.orders.remove(&no);
                    self.tell(worker, Logged::Event(no, ChildEvent::Done(OrderOutcome::NeverLanded)));
                }
                continue;
            }
            let through = if spec.side == Side::Buy { self.bid + self.spread <= child.px.0 } else { self.bid >= child.px.0 };
            if !unknown && (through || self.chance.chance(1, 30)) {
                let part = if through { child.qty.0 } else { self.chance.between(1, child.qty.0) };
                self.fill(worker, no, part, child.px.0, LiquidityRole::Maker);
            }
        }
    }

    fn cancel(&mut self, worker: &mut Worker, no: ChildNo) {
        self.tell(worker, Logged::Event(no, ChildEvent::CancelAsked));
        if self.hostile && self.chance.chance(1, 4) {
            // a fill won the race
            if let Some((child, filled, _)) = self.orders.get(&no).copied() {
                let part = self.chance.between(0, child.qty.0 - filled);
                self.fill(worker, no, part, child.px.0, LiquidityRole::Maker);
            }
        }
        if self.orders.remove(&no).is_some() {
            self.tell(worker, Logged::Event(no, ChildEvent::Done(OrderOutcome::Canceled)));
        }
    }

    fn market(&mut self) -> Option<Book> {
        let mut book = book(self.ms, self.bid, self.bid + self.spread);
        if self.hostile && self.chance.chance(1, 50) {
            match self.chance.below(4) {
                0 => return None,
                1 => book.at = stamp(self.ms.saturating_sub(3_000)),
                2 => book.asks[0].px = Px(self.bid),
                _ => book.bids.clear(),
            }
        }
        Some(book)
    }
}

fn apply(worker: &mut Worker, at: Stamp, logged: &Logged) {
    match logged {
        Logged::Placed(child) => worker.placed(at, child),
        Logged::Refused(child) => worker.refused(at, child, "margin", Some(Qty(child.qty.0 / 2))),
        Logged::Event(no, event) => worker.event(at, *no, event.clone()),
        Logged::Change(change) => {
            // refused changes are not journaled
            assert_eq!(worker.change(at, change), Ok(()));
        }
    }
}

fn schedules() -> impl Strategy<Value = Schedule> {
    prop_oneof![
        (1_u32..40).prop_map(|slices| Schedule::Twap { slices }),
        (1_u32..40, proptest::collection::vec(0_u32..100, 1..48)).prop_map(|(slices, mut curve)| {
            curve.push(1);
            Schedule::Vwap { slices, curve }
        }),
        (1_i64..50, any::<bool>()).prop_map(|(rate, complete)| Schedule::Pov { rate: Ratio::scaled(rate, 2), complete }),
        (1_u32..40, 0_i64..1_000).prop_map(|(slices, lambda)| Schedule::Shortfall {
            slices,
            lambda: Ratio::scaled(lambda, 3),
            sigma_daily: Ratio::scaled(3, 2),
            eta: Ratio::scaled(1, 3),
        }),
    ]
}

fn specs() -> impl Strategy<Value = ParentSpec> {
    let placement = prop_oneof![Just(Placement::Passive), Just(Placement::Pegged), Just(Placement::LimitToMarket)];
    let end = prop_oneof![Just(EndPolicy::Cancel), Just(EndPolicy::Extend), Just(EndPolicy::Force)];
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    (schedules(), placement, end, side, 150_i64..60_000, 5_u64..120, any::<bool>(), proptest::option::of(500_i64..5_000))
        .prop_map(|(schedule, placement, end, side, qty, secs, reduce_only, display)| ParentSpec {
            schedule,
            placement,
            end,
            side,
            reduce_only,
            display: display.map(Qty),
            ..twap(qty, 1, secs)
        })
}

/// One parent in one simulated world.
fn world(spec: &ParentSpec, seed: u64, hostile: bool, sparse: bool) -> Result<(), TestCaseError> {
    let mut chance = Seed(seed).fork("street");
    let mut worker = start(spec);
    let mut street = Street {
        chance: Seed(seed).fork("venue"),
        ms: 0,
        bid: BID,
        spread: 10,
        orders: BTreeMap::new(),
        log: Vec::new(),
        filled: 0,
        placed: Vec::new(),
        hostile,
    };
    let mut total = spec.qty.0;
    let mut outcome = None;
    let (mut market, mut seen) = (None, u64::MAX);
    let mut paused = false;
    let calm_from = spec.horizon.as_millis() + 10_000;
    let mut steps = 0;
    while outcome.is_none() && street.ms < calm_from + 3 * spec.horizon.as_millis() + 400_000 && steps < 20_000 {
        steps += 1;
        street.hostile = hostile && street.ms < calm_from;
        if hostile && chance.chance(1, 300) {
            let change = match chance.below(3) {
                0 if !paused => ParentChange::Pause,
                0 => ParentChange::Resume,
                _ => ParentChange::Amend { qty: Some(Qty(chance.between(100, 2 * spec.qty.0))), horizon: None },
            };
            if worker.change(stamp(street.ms), &change).is_ok() {
                match &change {
                    ParentChange::Amend { qty: Some(qty), .. } => total = qty.0,
                    ParentChange::Pause => paused = true,
                    ParentChange::Resume | ParentChange::Cancel | ParentChange::Amend { .. } => paused = false,
                }
                street.log.push((stamp(street.ms), Logged::Change(change)));
            }
        }
        if paused && !street.hostile {
            paused = false;
            street.tell(&mut worker, Logged::Change(ParentChange::Resume));
        }
        worker.observe_trade(&MarketTrade {
            instrument: spec.instrument,
            side: Side::Buy,
            px: Px(BID),
            qty: Qty(chance.between(1, 500)),
            trade: String::new(),
            own: false,
            venue_ms: 0,
            at: stamp(street.ms),
        });
        // a sparse market has a book a second, and between two of them the worker is called when it asked to be
        let fresh = !sparse || street.ms / 1_000 != seen / 1_000;
        if fresh {
            market = street.market();
            seen = street.ms;
        }
        let mut out = Vec::new();
        if fresh || worker.wake().is_some_and(|(at, _)| at <= stamp(street.ms)) {
            worker.step(stamp(street.ms), market.as_ref(), &mut out);
            let again = worker.wake().is_some_and(|(at, _)| at <= stamp(street.ms));
            prop_assert!(!again, "asks to be woken at once, for ever: {:?}", worker.wake());
        }
        prop_assert!(places(&out).len() <= 1 && out.len() <= 1 + TICKETS, "bounded: {:?}", out);
        for proposal in out {
            match proposal {
                Proposal::Place(child) => {
                    let open: i64 = street.orders.values().map(|(c, f, _)| c.qty.0 - f).sum();
                    prop_assert!(street.filled + open + child.qty.0 <= total, "I06");
                    let least = btc().notional_min.decimal();
                    let value = btc().notional(child.px, child.qty).decimal();
                    let whole = spec.reduce_only && street.filled + child.qty.0 == total;
                    prop_assert!(value >= least || whole, "below the venue's minimum: {:?}", child);
                    prop_assert!(btc().allows_px(child.px), "off the price grid: {:?}", child);
                    prop_assert!((child.px.0 - worst_px(spec, &arrival())) * spec.side.sign() <= 0, "beyond the worst price");
                    street.arrive(&mut worker, child, spec);
                }
                Proposal::Cancel(no) => street.cancel(&mut worker, no),
                Proposal::Ended(end) => outcome = Some(end),
            }
        }
        let progress = worker.progress(stamp(street.ms));
        prop_assert_eq!(progress.filled.0, street.filled);
        prop_assert!(progress.filled + progress.live + progress.unknown <= Qty(total), "I06");
        prop_assert!(street.orders.len() <= TICKETS);
        if progress.state == State::Paused {
            prop_assert!(!progress.reason.is_empty(), "a pause has a reason");
        }
        street.drift(&mut worker, spec);
    }
    let progress = worker.progress(stamp(street.ms));
    prop_assert!(outcome.is_some(), "every parent ends: {:?}", progress);
    match outcome {
        Some(ParentOutcome::Filled) => prop_assert_eq!(street.filled, total),
        Some(ParentOutcome::Expired { residual, why }) => {
            prop_assert!(residual.0 == total - street.filled && !why.is_empty());
            // a pause cancels the last order too, and a fill that wins that race may leave less than any order can carry
            let paused = street.log.iter().any(|l| matches!(l.1, Logged::Change(ParentChange::Pause)));
            let dust = paused && residual.0 < worker.body.smallest;
            prop_assert!(
                dust || spec.end != EndPolicy::Force,
                "forced: {} left, {}: {:?}",
                residual.0,
                why,
                worker.progress(stamp(street.ms))
            );
        }
        other => prop_assert!(false, "{:?}", other),
    }
    // a crash at the end, or anywhere: the journal gives the same quantities
    let cut = chance.below(street.log.len() as u64 + 1) as usize;
    let mut again = start(spec);
    let mut continuous = (0, BTreeMap::<ChildNo, i64>::new());
    for (at, logged) in &street.log[..cut] {
        apply(&mut again, *at, logged);
        match logged {
            Logged::Placed(child) => {
                continuous.1.insert(child.no, child.qty.0);
            }
            Logged::Event(no, ChildEvent::Filled { qty, .. }) => {
                continuous.0 += qty.0;
                *continuous.1.get_mut(no).unwrap() -= qty.0;
            }
            Logged::Event(no, ChildEvent::Done(_) | ChildEvent::Rejected(_)) => {
                continuous.1.remove(no);
            }
            Logged::Event(..) | Logged::Refused(_) | Logged::Change(_) => {}
        }
    }
    let progress = again.progress(stamp(street.ms));
    prop_assert_eq!(progress.filled.0, continuous.0);
    prop_assert_eq!((progress.live + progress.unknown).0, continuous.1.values().sum::<i64>());
    let mut out = Vec::new();
    again.step(stamp(street.ms), Some(&book(street.ms, BID, ASK)), &mut out);
    for child in places(&out) {
        prop_assert!(
            street.log[..cut].iter().all(|(_, l)| !matches!(l, Logged::Placed(c) if c.no == child.no)),
            "numbers are not used again"
        );
    }

    Ok(())
}

/// Worlds that once left a remainder: a last order that did not wait for what another gave back, and slices that an amendment had
/// made tiny.
#[test]
fn worlds_that_once_failed() {
    let pov = Schedule::Pov { rate: Ratio::scaled(20, 2), complete: false };
    let steep = Schedule::Shortfall {
        slices: 3,
        lambda: Ratio::scaled(246, 3),
        sigma_daily: Ratio::scaled(3, 2),
        eta: Ratio::scaled(1, 3),
    };
    let forced = |spec: ParentSpec| ParentSpec { end: EndPolicy::Force, ..spec };
    let worlds = [
        (
            ParentSpec { schedule: pov, placement: Placement::Passive, ..twap(20_500, 1, 43) },
            2_791_901_542_414_150_695,
            false,
            true,
        ),
        (ParentSpec { display: Some(Qty(686)), ..twap(51_102, 1, 60) }, 7_764_254_958_154_388_058, true, false),
        (
            ParentSpec { schedule: steep, placement: Placement::Passive, display: Some(Qty(4_647)), ..twap(33_794, 3, 18) },
            16_820_226_803_018_130_038,
            true,
            true,
        ),
    ];
    for (spec, seed, hostile, sparse) in worlds {
        world(&forced(spec), seed, hostile, sparse).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}

#[test]
fn the_last_order_waits_for_what_the_others_give_back() {
    let mut worker = start(&ParentSpec { placement: Placement::Passive, end: EndPolicy::Force, ..twap(1_000, 2, 100) });
    let first = only(&step(&mut worker, 0, BID, ASK));
    fill(&mut worker, 1_000, &first, first.qty.0 - 4, LiquidityRole::Maker);
    let second = only(&step(&mut worker, 80_000, BID, ASK));
    fill(&mut worker, 81_000, &second, second.qty.0, LiquidityRole::Maker);
    let tail = 1_000 - first.qty.0 - second.qty.0;
    assert!(tail >= worker.body.smallest, "kept for the end: {tail}");
    assert_eq!(step(&mut worker, 91_000, BID, ASK), [Proposal::Cancel(first.no)], "and nothing crosses yet");
    worker.event(stamp(91_100), first.no, ChildEvent::Done(OrderOutcome::Canceled));
    assert_eq!(only(&step(&mut worker, 92_200, BID, ASK)).qty.0, tail + 4);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// FZ22, I06, I37: whatever market, guard, venue, clock and operator do.
    #[test]
    fn never_more_than_the_parent_and_always_an_end(
        spec in specs(), seed in any::<u64>(), hostile in any::<bool>(), sparse in any::<bool>(),
    ) {
        world(&spec, seed, hostile, sparse)?;
    }

    /// I37: what is filled or working never runs ahead of the schedule by more than one child, nor in bursts after a gap.
    #[test]
    fn never_ahead_of_the_schedule_by_more_than_one_child(
        slices in 1_u32..40, qty in 200_i64..60_000, secs in 5_u64..300, gap in 0_u64..300_000, seed in any::<u64>(),
    ) {
        let spec = ParentSpec { placement: Placement::Passive, ..twap(qty, slices, secs) };
        let mut worker = Worker::start(&spec, &btc(), stamp(0), &arrival(), Seed(seed)).unwrap();
        let smallest = worker.body.smallest;
        let slice = qty / i64::from(worker.body.leg.plan.as_ref().unwrap().len()) + 1;
        let (mut done, mut ms, mut largest) = (0, 0, 0);
        let end = secs * 1_000;
        while ms < end {
            let out = step(&mut worker, ms, BID, ASK);
            for child in places(&out) {
                largest = largest.max(child.qty.0);
                let envelope = qty * i64::try_from(ms).unwrap() / i64::try_from(end).unwrap();
                done += child.qty.0;
                prop_assert!(done <= envelope + slice * 11 / 10 + smallest, "{} done, {} due at {}", done, envelope, ms);
                fill(&mut worker, ms, &child, child.qty.0, LiquidityRole::Maker);
            }
            ms += if ms == 2_000 { gap.max(50) } else { 50 };
        }
        prop_assert!(largest <= 3 * slice * 12 / 10 + smallest, "catch-up is bounded: {} of slices of {}", largest, slice);
    }
}
