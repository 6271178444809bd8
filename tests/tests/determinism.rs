//! The same seed, the same recording and the same limits give the same journal, byte for byte (I38).

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use domain::margin::MarginTable;
use domain::{
    EndPolicy, Entry, Fact, FundingRate, Instrument, InstrumentId, ParentId, ParentSpec, Placement, Qty, Ratio, Schedule, Seed,
    Side, Span, Stamped, Usd, Venue, WriteAhead,
};
use exchange::{Asset, BackgroundEvent, ExchangeSpec, LevelChange, MarketSpec, TimedEvent};
use journal::{Head, Identity, Journal, Options};
use lab::{Faults, World, WorldSpec};
use margin_guard::{Limits, RawLimits};
use paper::tape::{Beat, Change, Player, Regrid, Tape};

const START_MS: u64 = 1_790_000_000_000;
/// The recording is played in steps of this length.
const STEP_MS: u64 = 100;
const BTC: Asset = Asset(0);

fn tape() -> Arc<Tape> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/tapes/btcusdt-20240808.tape.gz");
    Arc::new(Tape::read(File::open(file).unwrap()).unwrap())
}

/// The recording as what moves a venue's background, in a loop.
fn background(tape: &Arc<Tape>, instrument: &Instrument) -> impl Iterator<Item = TimedEvent> + 'static {
    let (mut player, regrid, instrument) = (Player::new(Arc::clone(tape)), Regrid::new(tape, instrument), instrument.clone());
    let mut step = 0;
    std::iter::from_fn(move || {
        let (at_ms, mut beats) = (START_MS + step * STEP_MS, Vec::new());
        player.advance(step * STEP_MS, &mut beats);
        step += 1;
        Some(
            beats
                .into_iter()
                .flat_map(|beat| events(&regrid, &instrument, beat))
                .map(move |event| TimedEvent { at_ms, event })
                .collect::<Vec<_>>(),
        )
    })
    .flatten()
}

fn events(regrid: &Regrid, instrument: &Instrument, beat: Beat) -> Vec<BackgroundEvent> {
    let side = |changes: &[Change], side: Side| {
        let changes = changes.iter().filter(|c| c.side == side);
        changes.map(|c| LevelChange { px: regrid.px(instrument, c.px, side), qty: regrid.qty(c.qty) }).collect()
    };
    match beat {
        Beat::Restart(book) => {
            let all = |of: Side| {
                book.levels(of).map(|(px, qty)| LevelChange { px: regrid.px(instrument, px, of), qty: regrid.qty(qty) }).collect()
            };
            vec![BackgroundEvent::Snapshot { asset: BTC, bids: all(Side::Buy), asks: all(Side::Sell) }]
        }
        Beat::Book(changes) => {
            vec![BackgroundEvent::Levels { asset: BTC, bids: side(&changes, Side::Buy), asks: side(&changes, Side::Sell) }]
        }
        Beat::Trades(prints) => prints
            .into_iter()
            .map(|p| BackgroundEvent::Trade {
                asset: BTC,
                px: regrid.px(instrument, p.px, p.side.flip()),
                qty: regrid.qty(p.qty),
                aggressor: p.side,
            })
            .collect(),
    }
}

fn parent(side: Side, lots: i64, schedule: Schedule, placement: Placement) -> ParentSpec {
    ParentSpec {
        id: ParentId(0),
        instrument: InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap(),
        side,
        qty: Qty(lots),
        schedule,
        placement,
        display: None,
        horizon: Span::secs(40),
        limit_px: None,
        slippage_max: Ratio::bps(100),
        end: EndPolicy::Force,
        reduce_only: false,
        note: "determinism".to_owned(),
    }
}

/// One world from its start to the end of its parents; everything that its daemon made durable.
fn live(tape: &Arc<Tape>, seed: u64) -> Vec<Stamped> {
    let market = MarketSpec::hyperliquid("BTC", 0, 5, MarginTable::flat(40), tape.first_mid().unwrap()).unwrap();
    let limits = Limits::check(RawLimits { allow: vec!["hyperliquid:BTC".into()], ..RawLimits::wide() }).unwrap();
    let events = background(tape, &market.instrument);
    let spec = WorldSpec {
        seed: Seed(seed),
        exchange: ExchangeSpec::hyperliquid(START_MS, vec![market]),
        markets: vec![BTC],
        balance: Usd::whole(100_000),
        limits,
        latency: (Span::millis(5), Span::millis(80)),
        clock_offset_ms: 0,
        faults: Faults { answer_lost: 60, told_twice: 100, told_late: 100, crashes: 30, ..Faults::default() },
        money: None,
    };
    let mut world = World::new(spec, events).unwrap();
    let hour = START_MS / 3_600_000;
    let rate = |n: u64| FundingRate { until_ms: (hour - n) * 3_600_000, hours: 1, hourly: Ratio::scaled(125, 7) };
    let rates = (0..720).rev().map(rate).collect();
    let instrument = "hyperliquid:BTC".parse().unwrap();
    world.learn(vec![Fact::FundingRates { instrument, source: "hyperliquid".into(), rates }]);
    world.run(Span::secs(3), |_| false).unwrap();
    let parents = [
        parent(Side::Buy, 60_000, Schedule::Twap { slices: 10 }, Placement::LimitToMarket),
        parent(Side::Sell, 20_000, Schedule::Pov { rate: Ratio::bps(1_000), complete: true }, Placement::Pegged),
    ];
    for (parent, seconds) in parents.into_iter().zip([4_u64, 8]) {
        let mut admitted = false;
        for second in seconds..seconds + 20 {
            world.run(Span::secs(second), |_| false).unwrap();
            admitted = world.submit(parent.clone()).is_ok();
            if admitted {
                break;
            }
        }
        assert!(admitted, "seed {seed}: the daemon was never ready");
    }
    world.run(Span::secs(60), |_| false).unwrap();
    world.calm();
    let over = |w: &World| w.desk().is_some_and(|d| d.is_ready() && d.is_idle() && d.is_quiet());
    world.run(Span::secs(300), over).unwrap();
    assert!(over(&world), "seed {seed}: not over");
    assert_eq!(world.verdict().faults, Vec::<String>::new(), "seed {seed}");
    world.log().to_vec()
}

/// What a journal is, as bytes.
#[derive(PartialEq)]
struct Written {
    head: Head,
    lines: Vec<String>,
    rows: Vec<Vec<rusqlite::types::Value>>,
    meta: Vec<Vec<rusqlite::types::Value>>,
}

/// Writes `log` through the real journal, tenure by tenure as the daemons did, and reads it back.
async fn write(dir: &Path, log: &[Stamped]) -> Written {
    let identity = Identity { venue: Venue::Hyperliquid, network: "lab".to_owned(), account: "0xac".to_owned() };
    let options = Options { ballast_bytes: 0, ..Options::new(7) };
    let mut head = None;
    let tenures = log.chunk_by(|_, next| !matches!(next.entry, Entry::Epoch { .. }));
    for tenure in tenures {
        let opened = Journal::open(dir, &identity, &options).unwrap();
        assert!(matches!(tenure[0].entry, Entry::Epoch { epoch, .. } if epoch == opened.epoch), "{:?}", tenure[0]);
        for group in tenure.chunk_by(|one, next| one.at == next.at) {
            opened.journal.append(group.to_vec()).await.unwrap();
        }
        head = Some(opened.journal.head());
        opened.journal.close().await.unwrap();
    }
    let lines = journal::export(dir).unwrap().map(|record| record.to_string()).collect();
    let db = rusqlite::Connection::open(dir.join("journal.db")).unwrap();
    let rows = rows_of(&db, "SELECT seq, epoch, key, trade, payload, hash FROM record ORDER BY seq", 6);
    let meta = rows_of(&db, "SELECT one, text FROM meta", 2);
    Written { head: head.unwrap(), lines, rows, meta }
}

fn rows_of(db: &rusqlite::Connection, sql: &str, columns: usize) -> Vec<Vec<rusqlite::types::Value>> {
    let mut statement = db.prepare(sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| (0..columns).map(|n| row.get(n)).collect::<Result<Vec<_>, _>>();
    let rows = statement.query_map([], row).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[tokio::test]
async fn i38_the_same_seed_and_recording_write_the_same_journal_twice() {
    let tape = tape();
    let (one, two, other) = (live(&tape, 38), live(&tape, 38), live(&tape, 39));
    let dirs: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = write(dirs[0].path(), &one).await;
    let second = write(dirs[1].path(), &two).await;
    let third = write(dirs[2].path(), &other).await;
    assert!(first.lines.len() > 100 && first.lines.len() == one.len(), "{} records", first.lines.len());
    let tenures = one.iter().filter(|s| matches!(s.entry, Entry::Epoch { .. })).count();
    let fills = one.iter().filter(|s| matches!(s.entry, Entry::Fill(_))).count();
    assert!(tenures > 1 && fills > 10, "a world without a crash ({tenures} tenures) or trade ({fills} fills) shows little");
    for (a, b) in first.lines.iter().zip(&second.lines) {
        assert_eq!(a, b, "I38: the first line that differs");
    }
    assert!(first == second, "I38: the lines agree, the head or the rows do not");
    assert!(first.head != third.head && first.lines != third.lines, "another seed gives another journal");
    assert!(first.meta == third.meta, "… of the same identity and mark");
}
