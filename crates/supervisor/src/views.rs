//! What an operator may look at. Reading it changes nothing.

use std::collections::BTreeMap;

use desk::{Desk, Drills, Status, TransferLine, TreasuryPlan, TreasuryView};
use domain::{
    ConfigChange, Entry, EvmAddress, Instrument, InstrumentId, Lots, MarginLevel, Side, Stamp, Stamped, TransferEvent,
    TransferId, Usd, Venue,
};
use margin_guard::{RawTreasury, TreasuryFault, TreasuryLimits};
use serde::Serialize;
use venue_connector::hyperliquid::Connector;

use crate::carrier::WalletTask;
use crate::config::Checked;
use crate::deadman::DeadMan;
use crate::gate::GateView;
use crate::show::margin::{Levels, MarginView};
use crate::show::size::{SizeView, least};
use crate::show::treasury::TreasuryPage;
use crate::wall::Wall;

/// The daemon as a whole.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// The desk.
    pub desk: Status,
    /// Margin level of each account, and why its figures cannot be relied on, if so.
    pub levels: Vec<(Venue, MarginLevel, Option<String>)>,
    /// How large a position may be in each market where one may grow, on both sides.
    pub sizes: Vec<SizeLine>,
    /// Rules of the markets traded, in whose units the desk counts.
    pub instruments: BTreeMap<InstrumentId, Instrument>,
    /// Transfers under way: which, how much, by which way, where they are, and why they are overdue.
    pub transfers: Vec<Moving>,
    /// The connection to the venue.
    pub connector: venue_connector::hyperliquid::Gauges,
    /// What every placement passes.
    pub gate: GateView,
    /// The venue's own dead-man.
    pub dead_man: DeadMan,
    /// Whether a watchdog watches this daemon's heartbeat.
    pub watched: bool,
    /// How the telling of alerts goes.
    pub alerting: alerts::Health,
    /// The configuration in short.
    pub config: ConfigLine,
    /// Records in the journal.
    pub journal_records: u64,
}

/// The configuration in short.
#[derive(Clone, Debug, Serialize)]
pub struct ConfigLine {
    /// Hash of what is in force.
    pub hash: String,
    /// How the last look at the file ended.
    pub last: Option<Looked>,
    /// What the file loosens, held until `plimsoll apply`.
    pub held: Vec<String>,
    /// What the file changes that waits for a restart.
    pub fixed: Vec<String>,
}

/// A look at the configuration file.
#[derive(Clone, Debug, Serialize)]
pub struct Looked {
    /// When, UTC milliseconds.
    pub at_ms: u64,
    /// When, desk time in nanoseconds, which never runs backwards.
    pub at: u64,
    /// Its word.
    pub outcome: &'static str,
    /// Hash of the file; absent if it could not be read.
    pub file: Option<String>,
    /// Why it was refused, or in whose words it was applied.
    pub why: Vec<String>,
}

impl ConfigLine {
    fn new(desk: &Desk) -> ConfigLine {
        let view = desk.configuration();
        let words = |changes: &[ConfigChange]| changes.iter().map(ToString::to_string).collect();
        let last = view.last.map(|(at, last)| Looked {
            at_ms: at.wall_ms,
            at: at.mono,
            outcome: last.outcome.word(),
            file: last.file,
            why: last.why,
        });
        ConfigLine { hash: view.hash, last, held: words(&view.held), fixed: words(&view.fixed) }
    }
}

/// A transfer under way, in short.
#[derive(Clone, Debug, Serialize)]
pub struct Moving {
    /// Which.
    pub id: TransferId,
    /// How much.
    pub amount: Usd,
    /// By which way.
    pub route: &'static str,
    /// Where it is.
    pub state: &'static str,
    /// Why it is overdue.
    pub overdue: Option<String>,
}

/// How large a position may be, in short.
#[derive(Clone, Debug, Serialize)]
pub struct SizeLine {
    /// The market.
    pub instrument: InstrumentId,
    /// Direction of the position.
    pub side: Side,
    /// The largest notional, by the sizing rule and the market's fixed cap.
    pub notional: Usd,
    /// The cap that it is.
    pub binding: String,
    /// Why nothing may grow whatever the size; empty without a flag.
    pub no_increase: Vec<String>,
}

impl View {
    /// The daemon at `now`.
    #[must_use]
    pub fn new(
        desk: &Desk,
        connector: &Connector,
        gate: GateView,
        (dead_man, watched): (DeadMan, bool),
        journal_records: u64,
        now: Stamp,
    ) -> View {
        let (status, limits) = (desk.status(now), desk.guard().limits());
        let allowed = status.guard.markets.iter().filter(|(_, market)| market.allowed).map(|(id, _)| *id);
        let of = |id: InstrumentId, side: Side| {
            let sizing = desk.sizing(now, id, side)?;
            let (notional, binding) = least(&sizing, limits.market_notional_max(id));
            Some(SizeLine { instrument: id, side, notional, binding: binding.to_owned(), no_increase: sizing.no_increase })
        };
        let sizes = allowed.flat_map(|id| [of(id, Side::Buy), of(id, Side::Sell)]).flatten().collect();
        View {
            levels: desk.load_line(now).into_iter().map(|line| (line.venue, line.level, line.doubt)).collect(),
            sizes,
            transfers: desk.treasury(now).map(|treasury| treasury.open.iter().map(moving).collect()).unwrap_or_default(),
            desk: status,
            instruments: desk.books().instruments.clone(),
            connector: connector.gauges(),
            config: ConfigLine::new(desk),
            gate,
            dead_man,
            watched,
            alerting: alerts::Health::default(),
            journal_records,
        }
    }
}

fn moving(line: &TransferLine) -> Moving {
    let overdue = line.transfer.overdue.clone();
    Moving { id: line.id, amount: line.amount, route: line.route.name(), state: line.state, overdue }
}

/// Money that moves by itself.
#[must_use]
pub fn treasury(desk: &Desk, wallet_task: Option<WalletTask>, now: Stamp) -> TreasuryPage {
    let treasury = desk.treasury(now);
    TreasuryPage { live: true, enabled: treasury.is_some(), treasury, wallet_task, drills: desk.drill_view(now) }
}

/// What the journal says of money that moves by itself, for when no daemon runs.
///
/// # Errors
/// If the records of transfers do not follow each other.
pub fn journaled_treasury(config: &Checked, journal: &[Stamped]) -> Result<TreasuryPage, TreasuryFault> {
    let now = journal.last().map_or_else(|| Wall::resume(Stamp::default()), |last| Wall::resume(last.at)).stamp();
    let text = journal.iter().rev().find_map(|s| if let Entry::Treasury { text, .. } = &s.entry { Some(text) } else { None });
    let limits = text.map(|text| {
        let bad = |why: String| TreasuryFault::Limits(why);
        let raw: RawTreasury = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
        TreasuryLimits::check(&raw).map_err(|faults| bad(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))
    });
    let treasury = match limits.transpose()? {
        None => None,
        Some(limits) => {
            let intended = journal.iter().rev().find_map(|s| {
                let Entry::Transfer { event: TransferEvent::Intended(intent), .. } = &s.entry else { return None };
                Some(intent.account)
            });
            let account = intended.or_else(|| limits.wallet().map(|wallet| wallet.address)).unwrap_or(EvmAddress([0; 20]));
            let plan = TreasuryPlan::new(limits, Venue::Hyperliquid, account, config.limits.cover());
            Some(TreasuryView::of_journal(plan, journal, now)?)
        }
    };
    let mut drills = Drills::default();
    journal.iter().for_each(|stamped| drills.fold(stamped.at, &stamped.entry));
    let enabled = config.treasury.as_ref().is_some_and(|part| part.enabled);
    Ok(TreasuryPage { live: false, enabled, treasury, wallet_task: None, drills: drills.view(None, now, |_| None) })
}

/// How large a position in one market may be.
#[derive(Clone, Debug)]
pub struct Sized {
    /// Rules of the market.
    pub rules: Instrument,
    /// One view per side asked for.
    pub sides: Vec<SizeView>,
}

/// How large a position in `instrument` may be, on `side` or on both.
///
/// # Errors
/// The markets there are, if it is none of them.
pub fn sized(desk: &Desk, now: Stamp, instrument: InstrumentId, side: Option<Side>) -> Result<Sized, Vec<InstrumentId>> {
    let known = &desk.books().instruments;
    let rules = known.get(&instrument).ok_or_else(|| known.keys().copied().collect::<Vec<_>>())?;
    let guard = desk.status(now).guard;
    let market = guard.markets.get(&instrument);
    let one = |side: Side| {
        let reference = market.and_then(|m| m.reference);
        let view = SizeView {
            at: now,
            instrument,
            side,
            reference,
            position: market.and_then(|m| m.position),
            worst: market.map_or(Lots::ZERO, |m| if side == Side::Buy { m.worst.0 } else { m.worst.1 }),
            size: None,
            market_notional_max_usd: desk.guard().limits().market_notional_max(instrument),
            sizing: desk.sizing(now, instrument, side)?,
        };
        Some(SizeView { size: reference.map(|px| view.lots(rules, px)), ..view })
    };
    let sides = side.map_or_else(|| vec![Side::Buy, Side::Sell], |side| vec![side]);
    Ok(Sized { rules: rules.clone(), sides: sides.into_iter().filter_map(one).collect() })
}

/// The load line of every account.
#[must_use]
pub fn margin(desk: &Desk, now: Stamp) -> MarginView {
    let limits = desk.guard().limits();
    let cover = limits.cover();
    let levels = Levels {
        watch: cover.watch,
        top_up: cover.top_up,
        reduce: cover.reduce,
        kill: cover.kill,
        load_line: limits.cover_min(),
    };
    MarginView {
        at: now,
        stop: desk.books().stops.level(),
        stop_cause: desk.books().stops.cause().to_owned(),
        stops: desk.stop_lines(),
        levels,
        accounts: desk.load_line(now),
        instruments: desk.books().instruments.clone(),
    }
}
