//! The background market: a tape for BTC, synthetic flow for the rest, carried onto the venue's grid.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{Instrument, Px, Qty, Seed, Side};
use exchange::{Asset, BackgroundEvent, Exchange, LevelChange, SyntheticFlow};

use crate::spec::Market;
use crate::tape::{Beat, Change, Player, Print, Regrid, Tape, TapeBook};
use crate::universe::{Listed, Universe};

/// Most synthetic events of one market that one step delivers: a venue that slept catches up over several steps.
const EVENTS_MAX: usize = 2_000;

/// Everything that moves the background.
pub(crate) struct Feed {
    tape: Option<TapeFeed>,
    flows: Vec<SyntheticFlow>,
    beats: Vec<Beat>,
}

struct TapeFeed {
    player: Player,
    board: Board,
    pace: u32,
    started_ms: u64,
}

impl Feed {
    pub(crate) fn new(market: &Market, universe: &Universe, listed: &[Listed], seed: Seed, now_ms: u64) -> Feed {
        let mut feed = Feed { tape: None, flows: Vec::new(), beats: Vec::new() };
        if matches!(market, Market::Still) {
            return feed;
        }
        for (info, listed) in universe.all().iter().zip(listed) {
            match market {
                _ if info.is_delisted => {}
                Market::Tape { tape, pace } if info.name() == "BTC" => {
                    let board = Board::new(info.asset, info.instrument.clone(), tape);
                    let player = Player::new(Arc::clone(tape));
                    feed.tape = Some(TapeFeed { player, board, pace: *pace, started_ms: now_ms });
                }
                Market::Tape { .. } | Market::Synthetic | Market::Still => {
                    let own = Seed(seed.fork(&format!("paper.flow.{}", info.name())).next_u64());
                    let flow = SyntheticFlow::new(&info.instrument, listed.spec.oracle, now_ms, listed.flow.clone(), own);
                    feed.flows.push(flow);
                }
            }
        }
        feed
    }

    /// How often the tape has begun anew.
    pub(crate) fn pass(&self) -> Option<u64> {
        self.tape.as_ref().map(|t| t.player.pass())
    }

    /// Brings the background up to `now_ms`.
    pub(crate) fn advance(&mut self, now_ms: u64, exchange: &mut Exchange) {
        if let Some(tape) = &mut self.tape {
            let real = u128::from(now_ms.saturating_sub(tape.started_ms));
            let until = real * u128::from(tape.pace) / 1_000;
            tape.player.advance(u64::try_from(until).unwrap_or(u64::MAX), &mut self.beats);
            for beat in self.beats.drain(..) {
                tape.board.play(&beat, |event| exchange.background(now_ms, event));
            }
        }
        for flow in &mut self.flows {
            for _ in 0..EVENTS_MAX {
                if flow.next_at_ms() > now_ms {
                    break;
                }
                exchange.background(now_ms, flow.next_event().event);
            }
        }
    }
}

/// A tape's book on the venue's grid. Several levels of the tape may fall on one level of a coarser grid, so quantities are summed.
struct Board {
    asset: Asset,
    instrument: Instrument,
    regrid: Regrid,
    source: TapeBook,
    summed: [BTreeMap<Px, i64>; 2],
}

fn index(side: Side) -> usize {
    match side {
        Side::Buy => 0,
        Side::Sell => 1,
    }
}

impl Board {
    fn new(asset: Asset, instrument: Instrument, tape: &Tape) -> Board {
        let regrid = Regrid::new(tape, &instrument);
        Board { asset, instrument, regrid, source: TapeBook::default(), summed: [BTreeMap::new(), BTreeMap::new()] }
    }

    fn play(&mut self, beat: &Beat, mut emit: impl FnMut(BackgroundEvent)) {
        let asset = self.asset;
        match beat {
            Beat::Restart(book) => {
                self.source = TapeBook::default();
                self.summed = [BTreeMap::new(), BTreeMap::new()];
                self.apply(&TapeBook::default().changes_to(book));
                let all = |side: Side, this: &Board| this.summed[index(side)].keys().map(|px| this.level(side, *px)).collect();
                let (bids, asks) = (all(Side::Buy, self), all(Side::Sell, self));
                emit(BackgroundEvent::Snapshot { asset, bids, asks });
            }
            Beat::Book(changes) => {
                let [bids, asks] = self.apply(changes);
                emit(BackgroundEvent::Levels { asset, bids, asks });
            }
            Beat::Trades(prints) => {
                for print in prints {
                    if let Some(event) = self.trade(print) {
                        emit(event);
                    }
                }
            }
        }
    }

    fn trade(&self, print: &Print) -> Option<BackgroundEvent> {
        let px = self.regrid.px(&self.instrument, print.px, print.side.flip());
        let qty = self.regrid.qty(print.qty);
        (px.0 > 0 && !qty.is_zero()).then_some(BackgroundEvent::Trade { asset: self.asset, px, qty, aggressor: print.side })
    }

    /// Applies changes; the venue's levels that they touched.
    fn apply(&mut self, changes: &[Change]) -> [Vec<LevelChange>; 2] {
        let mut touched = [Vec::new(), Vec::new()];
        for change in changes {
            let before = self.source.qty(change.side, change.px);
            let px = self.regrid.px(&self.instrument, change.px, change.side);
            if px.0 <= 0 {
                continue;
            }
            let sum = self.summed[index(change.side)].entry(px).or_default();
            *sum += change.qty - before;
            if *sum == 0 {
                self.summed[index(change.side)].remove(&px);
            }
            touched[index(change.side)].push(px);
            self.source.apply(std::slice::from_ref(change));
        }
        let side = |side: Side, this: &Board| {
            let mut prices = touched[index(side)].clone();
            prices.sort_unstable();
            prices.dedup();
            prices.into_iter().map(|px| this.level(side, px)).collect()
        };
        [side(Side::Buy, self), side(Side::Sell, self)]
    }

    fn level(&self, side: Side, px: Px) -> LevelChange {
        let sum = self.summed[index(side)].get(&px).copied().unwrap_or(0);
        LevelChange { px, qty: if sum == 0 { Qty::ZERO } else { self.regrid.qty(sum).max(Qty(1)) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::{Event, Frame, Header};
    use crate::universe;
    use rust_decimal::Decimal;

    #[test]
    fn levels_that_fall_on_one_venue_level_are_summed() {
        // a tape in tenths of a dollar on a venue that takes whole dollars at this price
        let header = Header {
            source: "test".into(),
            start_ms: 0,
            duration_ms: 1_000,
            tick: Decimal::new(1, 1),
            lot: Decimal::new(1, 3),
            band_bps: 30,
            step_ms: 100,
        };
        let tape = Tape { header, frames: vec![Frame { at_ms: 0, event: Event::Book(Vec::new()) }] };
        let listed = universe::listed(None).expect("the table is valid");
        let universe = Universe::new(&listed);
        let btc = universe.named("BTC").expect("listed");
        let mut board = Board::new(btc.asset, btc.instrument.clone(), &tape);
        let bid = |px, qty| Change { side: Side::Buy, px, qty };
        let [bids, _] = board.apply(&[bid(618_001, 2), bid(618_009, 3), bid(617_999, 5)]);
        let level = |px, qty| LevelChange { px: Px(px), qty: Qty(qty) };
        assert_eq!(bids, [level(617_990, 500), level(618_000, 500)], "floored to whole dollars, lots of 10^-5");
        let [bids, _] = board.apply(&[bid(618_001, 0)]);
        assert_eq!(bids, [level(618_000, 300)]);
        let [bids, _] = board.apply(&[bid(618_009, 0)]);
        assert_eq!(bids, [level(618_000, 0)]);
        let trade = board.trade(&Print { side: Side::Buy, px: 618_003, qty: 1 });
        let expected = BackgroundEvent::Trade { asset: btc.asset, px: Px(618_010), qty: Qty(100), aggressor: Side::Buy };
        assert_eq!(trade, Some(expected), "a buyer's price is raised, as the asks are");
    }

    /// The recorded market through the exchange, over a seam: never crossed, and after the seam nothing of the pass before is left.
    #[test]
    fn the_recording_passes_its_seam_in_the_exchange() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/tapes/btcusdt-20240808.tape.gz");
        let tape = Arc::new(Tape::read(std::fs::File::open(file).expect("committed")).expect("sound"));
        let listed = universe::listed(tape.first_mid().map(|m| m.round_dp(0))).expect("the table is valid");
        let universe = Universe::new(&listed);
        let spec = exchange::ExchangeSpec::hyperliquid(0, listed.iter().map(|l| l.spec.clone()).collect());
        let mut venue = Exchange::new(spec, Seed(1)).expect("valid");
        let market = Market::Tape { tape: Arc::clone(&tape), pace: 1_000 };
        let mut feed = Feed::new(&market, &universe, &listed[..1], Seed(1), 0);
        let length = tape.header.duration_ms;
        let mut reference = (Player::new(Arc::clone(&tape)), TapeBook::default(), Vec::new());
        let start = length - length % 1_000;
        for now in (0..start).step_by(5_000).chain((start..length + 3_000).step_by(100)) {
            feed.advance(now, &mut venue);
            venue.drain_events();
            let book = venue.book(Asset(0), 10_000).expect("a market");
            let (bid, ask) = (book.bids.first().expect("bids"), book.asks.first().expect("asks"));
            assert!(bid.px < ask.px, "{now}: {bid:?} {ask:?}");
            let (player, expected, beats) = &mut reference;
            player.advance(now, beats);
            for beat in beats.drain(..) {
                match beat {
                    Beat::Restart(new) => *expected = new,
                    Beat::Book(changes) => expected.apply(&changes),
                    Beat::Trades(_) => {}
                }
            }
            // a trade takes from the displayed book until the recording shows another quantity there, so less may be shown,
            // never more and never a level that is not there
            for (side, levels) in [(Side::Buy, &book.bids), (Side::Sell, &book.asks)] {
                let phantom = levels.iter().find(|l| l.qty.0 > expected.qty(side, l.px.0 / 10));
                assert_eq!(phantom, None, "{side:?} at {now}");
                let missing = expected.levels(side).count() - levels.len();
                assert!(missing <= 3, "{missing} levels of {side:?} are missing at {now}");
            }
        }
        assert_eq!(feed.pass(), Some(1));
    }
}
