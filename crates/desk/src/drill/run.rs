//! Carries a drill: looks at what was folded, takes one step, records it, and looks again.

use std::collections::BTreeMap;

use domain::{
    DrillCause, DrillEvent, DrillId, DrillOutcome, DrillPath, DrillReceipt, Entry, Hop, MarginLevel, Route, Seed, Span,
    SpecFault, Stamp, StopLevel, Transfer, TransferEvent, TransferId, Usd,
};

use margin_guard::withdrawal_fee;

use super::{DrillPlan, DrillView, OpenDrill, OpenHop, Seen};
use crate::{Desk, Effect, Severity, Topic};

/// The same alarm is raised again after a day.
const ALARM_AGAIN: Span = Span::secs(86_400);
/// Alarms that are remembered: a few kinds for each of the paths in use.
const ALARMS_MAX: usize = 128;
/// What arrived out there and cannot be sent back for so long stays there, and the drill has failed: by then a person has been told
/// several times, and the wallet's next sweep or top-up takes care of it.
const BACK_PATIENCE: Span = Span::secs(86_400);

/// What the judge refused to begin is asked for again after this long: budgets and new destinations take hours. Each time is a record.
const BEGIN_AGAIN: Span = Span::secs(3_600);
/// The way back is asked for more often, since money waits out there.
const BACK_AGAIN: Span = Span::secs(60);

/// What the desk remembers of drills between two looks. Nothing of it must outlive the process.
#[derive(Debug, Default)]
pub(crate) struct Drilling {
    /// Why a path that is due was not tried at the last look.
    waits: BTreeMap<DrillPath, String>,
    /// For what the way back of the drill under way waits.
    back: Option<(DrillId, String)>,
    /// What the judge refused, until when it is not asked again, and its words.
    refused: BTreeMap<(DrillPath, Hop), (Stamp, String)>,
    told: BTreeMap<String, Stamp>,
}

impl Drilling {
    fn refused(&self, now: Stamp, path: DrillPath, hop: Hop) -> Option<String> {
        self.refused.get(&(path, hop)).filter(|(until, _)| until.mono > now.mono).map(|(_, why)| why.clone())
    }

    fn may_tell(&mut self, now: Stamp, what: String) -> bool {
        let again = |at: &Stamp| now.since(*at) >= ALARM_AGAIN;
        if self.told.get(&what).is_some_and(|at| !again(at)) {
            return false;
        }
        self.told.retain(|_, at| !again(at));
        if self.told.len() < ALARMS_MAX {
            self.told.insert(what, now);
        }
        true
    }
}

fn fault(field: &str, value: impl ToString, expected: impl Into<String>) -> Vec<SpecFault> {
    vec![SpecFault { field: field.to_owned(), value: value.to_string(), expected: expected.into() }]
}

/// What the operator does about a drill that needs him.
fn by_hand(path: DrillPath) -> String {
    format!("run plimsoll drill --path {path} --signer FILE, with the key of the account")
}

impl Desk {
    fn drill_plan(&self) -> Option<(&DrillPlan, Seed)> {
        let plan = self.treasurer.as_ref()?.drills()?;
        Some((plan, self.books.seed.unwrap_or(Seed(0))))
    }

    /// What there is to see of drills.
    #[must_use]
    pub fn drill_view(&self, now: Stamp) -> DrillView {
        let waits = |path: DrillPath| self.drilling.waits.get(&path).cloned();
        let mut view = self.books.drills.view(self.drill_plan(), now, waits);
        view.back = self.drilling.back.as_ref().map(|(_, why)| why.clone());
        view
    }

    /// Looks after drills. Called at each look, after the account was looked after: whoever needs money comes first.
    pub(crate) fn tend_drills(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        if self.treasurer.is_some() {
            self.see_arrival(now, out);
            self.step_drill(now, out);
            self.begin_due(now, out);
            self.alarm_drills(now, out);
        }
        // without a treasury, what an earlier one measured is of the one venue there is
        let kept = self.treasurer.as_ref().map(|treasurer| treasurer.venue());
        let Some(venue) = kept.or_else(|| self.venues.first().map(|state| state.venue)) else { return };
        let seen = self.books.drills.exit_seen(self.drill_plan(), now);
        if *self.guard.exit_seen(venue) != seen {
            self.guard.observe_exit(venue, seen);
        }
    }

    /// Withdrawn money shows as more in the wallet than there was. While another transfer of the wallet is at work, its balance says
    /// nothing.
    fn see_arrival(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let Some(treasurer) = &self.treasurer else { return };
        let open = self.books.drills.open().filter(|open| open.path == DrillPath::Chain);
        let hop = open.and_then(|open| open.hop.as_ref()).filter(|hop| hop.hop == Hop::Out && hop.seen == Seen::Waiting);
        let Some((hop, before)) = hop.and_then(|hop| Some((hop, hop.wallet_before?))) else { return };
        let Some(transfer) = treasurer.judge().transfer(hop.transfer).filter(|t| t.open()) else { return };
        let Ok(wallet) = treasurer.judge().wallet(now) else { return };
        let of_wallet = || treasurer.judge().transfers().filter(|t| t.intent.route.leg().is_some());
        if wallet.at.mono <= hop.began.mono || of_wallet().any(Transfer::working) {
            return;
        }
        let sent: Usd = of_wallet().filter(|t| t.intent.id > hop.transfer && moved(t)).map(|t| t.intent.amount).sum();
        let arrived = wallet.balance + sent - before;
        if arrived < transfer.intent.amount - transfer.intent.fee_max {
            return;
        }
        let event = TransferEvent::Credited { amount: arrived.min(transfer.intent.amount), venue_ms: wallet.at.wall_ms };
        if transfer.clone().apply(now, &event).is_ok() {
            let id = hop.transfer;
            self.record(now, Entry::Transfer { id, event }, out);
        }
    }

    fn step_drill(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let Some(open) = self.books.drills.open().cloned() else { return };
        let failed = |why: String| DrillOutcome::Failed { why };
        let Some(hop) = &open.hop else {
            // its first hop is recorded in the same group, so this journal was cut by hand
            return self.end_drill(now, &open, failed("it was cut short before anything moved".into()), out);
        };
        match (&hop.seen, hop.hop) {
            (Seen::Waiting, _) => self.note_late(now, &open, hop, out),
            (Seen::Arrived { at, amount }, Hop::Out) => self.turn_back(now, &open, *at, *amount, out),
            (Seen::Arrived { .. }, Hop::Back) => self.end_drill(now, &open, DrillOutcome::Passed, out),
            (Seen::Failed { why, .. }, _) => self.end_drill(now, &open, failed(format!("{}: {why}", hop.route)), out),
        }
    }

    fn end_drill(&mut self, now: Stamp, open: &OpenDrill, outcome: DrillOutcome, out: &mut Vec<Effect>) {
        let receipt = open.receipt(now, outcome);
        if let DrillOutcome::Failed { why } = &receipt.outcome {
            let text = format!("drill {} of {} failed: {why}", open.id, open.path);
            self.alert(Severity::Act, Topic::Drill, text, out);
        }
        self.drilling.back = None;
        self.record(now, Entry::Drill { id: open.id, event: DrillEvent::Ended(receipt) }, out);
    }

    fn note_late(&mut self, now: Stamp, open: &OpenDrill, hop: &OpenHop, out: &mut Vec<Effect>) {
        let terms = self.drill_plan().and_then(|(plan, _)| plan.paths.get(&open.path).copied());
        let Some(expected) = terms.map(|terms| terms.expected) else { return };
        let elapsed = hop.elapsed(now);
        if elapsed <= expected.scale(2, 1) || !self.drilling.may_tell(now, format!("late {}", hop.transfer)) {
            return;
        }
        let text = format!(
            "drill {}: the {} {} of {} is under way for {elapsed}, expected in {expected}; the buffer counts the longer time",
            open.id, hop.route, hop.transfer, hop.amount
        );
        self.alert(Severity::Act, Topic::Drill, text, out);
    }

    /// What arrived goes back.
    fn turn_back(&mut self, now: Stamp, open: &OpenDrill, arrived_at: Stamp, arrived: Usd, out: &mut Vec<Effect>) {
        let back = match self.hold_transfer(now, None) {
            Some(why) => Err(why),
            None => match self.drilling.refused(now, open.path, Hop::Back) {
                Some(why) => Err(why),
                None => self.way_back(now, open.path, arrived).map_err(|why| format!("no way back: {why}")),
            },
        };
        let started = back.and_then(|(route, amount, fee_max)| {
            let cause = format!("drill {}: back", open.id);
            self.start_back(now, open, (route, amount, fee_max), &cause, out)
        });
        let Err(why) = started else {
            self.drilling.back = None;
            return;
        };
        self.drilling.back = Some((open.id, why.clone()));
        if now.since(arrived_at) > BACK_PATIENCE {
            self.end_drill(now, open, DrillOutcome::Failed { why: format!("the way back could not begin: {why}") }, out);
        }
    }

    /// Starts the transfer of the way back and records whose it is.
    fn start_back(
        &mut self,
        now: Stamp,
        open: &OpenDrill,
        (route, amount, fee_max): (Route, Usd, Usd),
        cause: &str,
        out: &mut Vec<Effect>,
    ) -> Result<TransferId, String> {
        let transfer = match self.start_transfer(now, route, amount, fee_max, cause, out) {
            Ok(transfer) => transfer,
            Err(refusal) => {
                let why = refusal.to_string();
                self.drilling.refused.insert((open.path, Hop::Back), (now + BACK_AGAIN, why.clone()));
                return Err(why);
            }
        };
        let route = route.name().to_owned();
        let event = DrillEvent::Hop { hop: Hop::Back, transfer, route, amount, wallet_before: None };
        self.record(now, Entry::Drill { id: open.id, event }, out);
        Ok(transfer)
    }

    /// Why no drill may move anything now, whatever its path. `begins`: a drill, rather than the way back of one.
    fn hold_transfer(&self, now: Stamp, begins: Option<DrillPath>) -> Option<String> {
        let Some(treasurer) = &self.treasurer else { return Some("no treasury is configured".into()) };
        if self.draining {
            return Some("the daemon is stopping".into());
        }
        // what went out may come back as long as the judge lets anything move
        let halted = if begins.is_some() { StopLevel::ReduceOnly } else { StopLevel::Block };
        if let Some(stop) = self.books.stops.venue(treasurer.venue()).filter(|stop| stop.level >= halted) {
            return Some(format!("trading is stopped ({}): {}", stop.level, stop.cause));
        }
        if !self.is_ready() {
            return Some("the books are not reconciled with the venue".into());
        }
        let level = self.guard.level(treasurer.venue());
        if level != MarginLevel::Ok && begins.is_some() {
            return Some(format!("the margin level is {level}"));
        }
        if treasurer.is_topping_up() {
            return Some("a top-up is at work".into());
        }
        if let Some(t) = treasurer.judge().transfers().find(|t| t.open()) {
            return Some(format!("{} ({}) is {}", t.intent.id, t.intent.route.name(), t.state.name()));
        }
        if begins == Some(DrillPath::Chain)
            || begins.is_none() && self.books.drills.open().is_some_and(|o| o.path == DrillPath::Chain)
        {
            // the nonce is asked for too: what was withdrawn must be able to come back
            return treasurer.judge().next_nonce(now).err().map(|refusal| refusal.to_string());
        }
        None
    }

    /// Why `path` cannot be tried now.
    fn hold_drill(&self, now: Stamp, path: DrillPath, signer: bool) -> Option<String> {
        if let Some(open) = self.books.drills.open() {
            return Some(format!("drill {} of {} is under way", open.id, open.path));
        }
        if let Some(why) = self.hold_transfer(now, Some(path)) {
            return Some(why);
        }
        let (plan, _) = self.drill_plan()?;
        let terms = plan.paths.get(&path)?;
        if !signer && plan.needs_signer(path) {
            return Some(format!("it needs the operator's own signer: {}", by_hand(path)));
        }
        let venue = self.treasurer.as_ref().map(|treasurer| treasurer.venue());
        let view = self.venues.iter().find(|state| Some(state.venue) == venue).and_then(|state| state.view.as_ref());
        let free = view.map(|view| view.withdrawable);
        match free {
            None => return Some("the account has not been read".into()),
            Some(free) if free < terms.amount => return Some(format!("{free} is free of the {} that it moves", terms.amount)),
            Some(_) => {}
        }
        // money that could not come back is not sent out
        self.way_back(now, path, terms.amount - self.way_out(path).map_or(Usd::ZERO, |(_, fee)| fee)).err()
    }

    fn way_out(&self, path: DrillPath) -> Result<(Route, Usd), String> {
        let Some(treasurer) = &self.treasurer else { return Err("no treasury is configured".into()) };
        Ok(match path {
            DrillPath::Chain => {
                let wallet = treasurer.judge().limits().wallet().ok_or("no wallet is configured")?;
                (Route::Withdrawal { destination: wallet.address }, withdrawal_fee(treasurer.venue()))
            }
            DrillPath::Spot => (Route::PerpToSpot, Usd::ZERO),
            DrillPath::SubAccount(sub) => {
                // from the account to the other one, whichever of the two is the master
                (Route::SubAccount { sub, deposit: sub != treasurer.account() }, Usd::ZERO)
            }
        })
    }

    /// Route, amount and greatest fee of the way back of what arrived.
    fn way_back(&self, now: Stamp, path: DrillPath, arrived: Usd) -> Result<(Route, Usd, Usd), String> {
        let Some(treasurer) = &self.treasurer else { return Err("no treasury is configured".into()) };
        Ok(match path {
            DrillPath::Chain => {
                let (route, fee_max) = treasurer.deposit_route(now)?;
                // less than the least that is credited would be lost: the wallet's own money makes up for it, if there is any
                (route, arrived.max(treasurer.deposit_least() + fee_max), fee_max)
            }
            DrillPath::Spot => (Route::SpotToPerp, arrived, Usd::ZERO),
            DrillPath::SubAccount(sub) => (Route::SubAccount { sub, deposit: sub == treasurer.account() }, arrived, Usd::ZERO),
        })
    }

    /// Tries `path`.
    fn begin_drill(&mut self, now: Stamp, path: DrillPath, cause: DrillCause, out: &mut Vec<Effect>) -> Result<DrillId, String> {
        let (route, fee_max) = self.way_out(path)?;
        let terms = self.drill_plan().and_then(|(plan, _)| plan.paths.get(&path).copied()).ok_or("the path is not configured")?;
        let Some(treasurer) = &self.treasurer else { return Err("no treasury is configured".into()) };
        let venue = treasurer.venue();
        let wallet_before = match path {
            DrillPath::Chain => Some(treasurer.judge().wallet(now).map_err(|refusal| refusal.to_string())?.balance),
            DrillPath::Spot | DrillPath::SubAccount(_) => None,
        };
        let id = self.books.drills.next_id();
        let why = format!("drill {id}: out");
        let transfer = match self.start_transfer(now, route, terms.amount, fee_max, &why, out) {
            Ok(transfer) => transfer,
            Err(refusal) => {
                let why = refusal.to_string();
                self.drilling.refused.insert((path, Hop::Out), (now + BEGIN_AGAIN, why.clone()));
                return Err(why);
            }
        };
        self.record(now, Entry::Drill { id, event: DrillEvent::Begun { venue, path, cause } }, out);
        let (route, amount) = (route.name().to_owned(), terms.amount);
        let event = DrillEvent::Hop { hop: Hop::Out, transfer, route, amount, wallet_before };
        self.record(now, Entry::Drill { id, event }, out);
        Ok(id)
    }

    /// Tries the path that is due for longest, if anything may be tried.
    fn begin_due(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let due: Vec<(u64, DrillPath)> = match self.drill_plan() {
            None => Vec::new(),
            Some((plan, seed)) => {
                let from = |path: &DrillPath| Some((self.books.drills.due(plan, seed, *path)?.from.mono, *path));
                let mut due: Vec<_> = plan.paths.keys().filter_map(from).filter(|(from, _)| *from <= now.mono).collect();
                due.sort_unstable();
                due
            }
        };
        let mut waits = BTreeMap::new();
        for (_, path) in due {
            let held = self.hold_drill(now, path, false).or_else(|| self.drilling.refused(now, path, Hop::Out));
            let why = match held {
                Some(why) => Err(why),
                None => self.begin_drill(now, path, DrillCause::Schedule, out),
            };
            if let Err(why) = why {
                waits.insert(path, why);
            }
        }
        self.drilling.waits = waits;
    }

    fn alarm_drills(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let overdue = self.drill_plan().map(|(plan, seed)| self.books.drills.overdue(plan, seed, now)).unwrap_or_default();
        for (path, since) in overdue {
            if !self.drilling.may_tell(now, format!("overdue {path}")) {
                continue;
            }
            let needs = self.drill_plan().is_some_and(|(plan, _)| plan.needs_signer(path));
            let what = match self.drilling.waits.get(&path) {
                Some(why) => why.clone(),
                None if needs => by_hand(path),
                None => format!("see plimsoll drill --list, or run plimsoll drill --path {path}"),
            };
            let text = format!("the drill of {path} is overdue for {}: {what}", now.since(since));
            self.alert(Severity::Act, Topic::Drill, text, out);
        }
    }

    /// The operator wants `path` tried now; or brings the signer that a drill under way waits for.
    pub(crate) fn drill_command(
        &mut self,
        now: Stamp,
        path: DrillPath,
        signer: bool,
        out: &mut Vec<Effect>,
    ) -> Result<DrillId, Vec<SpecFault>> {
        let Some((plan, _)) = self.drill_plan() else {
            return Err(fault("path", path, "a path of [treasury.drill], and no drills are configured"));
        };
        if !plan.paths.contains_key(&path) {
            let known: Vec<String> = plan.paths.keys().map(ToString::to_string).collect();
            return Err(fault("path", path, format!("one of {}", known.join(", "))));
        }
        let waiting = self.books.drills.open().filter(|open| open.path == path && signer);
        let unsent = waiting.and_then(|open| open.hop.as_ref().filter(|hop| hop.seen == Seen::Waiting).map(|hop| (open.id, hop)));
        if let Some((id, transfer)) = unsent.map(|(id, hop)| (id, hop.transfer)) {
            self.resume(now, transfer, out);
            return Ok(id);
        }
        if let Some(why) = self.hold_drill(now, path, signer) {
            return Err(fault("path", path, format!("a moment at which it can be tried: {why}")));
        }
        self.begin_drill(now, path, DrillCause::Operator, out)
            .map_err(|why| fault("path", path, format!("a transfer that is allowed: {why}")))
    }

    /// The receipt of a drill that is over.
    #[must_use]
    pub fn drill_receipt(&self, id: DrillId) -> Option<&DrillReceipt> {
        self.books.drills.recent().find(|(known, _)| *known == id).map(|(_, receipt)| receipt)
    }
}

/// Whether it took its amount out of the wallet.
fn moved(transfer: &Transfer) -> bool {
    use domain::TransferState::{Confirmed, Ended, Included, Intended, Landed, Sent, Signed};
    match &transfer.state {
        Included(_) | Confirmed(_) | Landed | Ended(domain::TransferOutcome::Arrived) => true,
        Intended
        | Signed
        | Sent
        | Ended(
            domain::TransferOutcome::Refused { .. }
            | domain::TransferOutcome::Rejected { .. }
            | domain::TransferOutcome::Reverted
            | domain::TransferOutcome::Burnt
            | domain::TransferOutcome::Foreign
            | domain::TransferOutcome::WrittenOff { .. },
        ) => false,
    }
}
