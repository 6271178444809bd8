//! Flatten: closing positions because somebody said so (C30).
//!
//! A stop at level flatten first empties the venue like any stop above it. When the venue has been seen empty, or has not let itself
//! be seen for long enough, the desk admits reduce-only parents of its own, one per position, which go the road of every other:
//! worker, guard, journal, port. They are limit-to-market inside a cap on slippage. What the cap or the book leaves undone is tried a
//! few times more, then left, and said. What is over is over: the scope is swept once more and its gate is closed. A position that
//! grows again, by a stranger's hand, is closed again. What is remembered here is lost in a crash; the latch is not, and a new
//! tenure begins again.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    EndPolicy, InstrumentId, Lots, ParentId, ParentSpec, Placement, Qty, Ratio, Schedule, Severity, Side, Span, Stamp, StopLevel,
    StopScope, Topic, Venue,
};

use crate::holds::Class;
use crate::{Desk, Effect};

/// How the note of every parent that the desk admits to flatten begins; what follows is the scope. Operators' notes may not.
pub(crate) const NOTE: &str = "flatten: ";
/// Between two looks.
const LOOK_EVERY: Span = Span::secs(1);
/// How long closing waits for the venue to be seen empty. A venue that answers shows it in three seconds, twice two seconds apart
/// (C31); when it does not answer, an open position is the greater risk, and reduce-only orders cannot turn it.
const SWEEP_WAIT: Span = Span::secs(10);
/// One slice per so much of the horizon: a book refills within seconds.
const SLICE: Span = Span::secs(10);
/// The same trouble is told again after this long while somebody could still do something about it.
const TELL_AGAIN: Span = Span::secs(60);
/// What is in the way for less than this is not told: after a start the venue is being read.
const TELL_AFTER: Span = Span::secs(5);

/// How positions are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlattenTerms {
    /// Within which time one round closes what it can.
    pub horizon: Span,
    /// Worst distance from the mid at the beginning of a round, as a share.
    pub slippage_max: Ratio,
    /// After so many rounds what is left is left to a person.
    pub rounds: u32,
}

impl Default for FlattenTerms {
    /// 30 s, 200 bp, 5 rounds.
    fn default() -> FlattenTerms {
        // what a stressed book costs and still short of a liquidation; five times that is a market that nobody should sell into
        FlattenTerms { horizon: Span::secs(30), slippage_max: Ratio::bps(200), rounds: 5 }
    }
}

/// Whether the desk itself admitted the parent to flatten.
pub(crate) fn is_flatten(spec: &ParentSpec) -> bool {
    spec.reduce_only && spec.note.starts_with(NOTE)
}

fn note(scope: StopScope) -> String {
    format!("{NOTE}{scope}")
}

/// Everything that is being flattened.
#[derive(Debug, Default)]
pub(crate) struct Flattening {
    scopes: BTreeMap<StopScope, Course>,
    /// Where reduce-only orders pass.
    open: BTreeSet<StopScope>,
    next: Option<Stamp>,
    /// Something changed that the next look must not wait for.
    due: bool,
}

impl Flattening {
    /// When the next look is due.
    pub fn next(&self) -> Option<Stamp> {
        self.next
    }

    /// The next look is due at once.
    pub fn look(&mut self) {
        self.due = true;
    }
}

/// How far one scope is.
#[derive(Debug)]
struct Course {
    phase: Phase,
    markets: BTreeMap<InstrumentId, Attempt>,
    /// Since when something is in the way, and when that was told.
    hindered: Option<Stamp>,
    told: Option<Stamp>,
}

#[derive(Debug)]
enum Phase {
    /// Everything open is being cancelled.
    Emptying {
        since: Stamp,
        /// Where the venue was seen empty.
        empty: BTreeSet<Venue>,
    },
    /// Positions are being closed.
    Closing,
    /// Nothing more is tried.
    Over,
}

/// What was tried in one market.
#[derive(Debug, Default)]
struct Attempt {
    rounds: u32,
    /// What was left when the last round ended.
    left: Lots,
}

impl Course {
    fn new(now: Stamp) -> Course {
        let phase = Phase::Emptying { since: now, empty: BTreeSet::new() };
        Course { phase, markets: BTreeMap::new(), hindered: None, told: None }
    }
}

impl Desk {
    /// The scopes in which reduce-only orders may pass, because positions are being closed there.
    #[must_use]
    pub const fn flattening(&self) -> &BTreeSet<StopScope> {
        &self.flattening.open
    }

    /// Scopes whose flatten has not come to its end.
    #[must_use]
    pub fn unflattened(&self) -> Vec<StopScope> {
        let courses = self.flattening.scopes.iter();
        courses.filter(|(_, course)| !matches!(course.phase, Phase::Over)).map(|(scope, _)| *scope).collect()
    }

    /// Whether positions of a whole market are being closed now.
    pub(crate) fn flattens_in(&self, instrument: InstrumentId) -> bool {
        self.books.stops.market_level(instrument) == StopLevel::Flatten
            && self.flattening.open.iter().any(|scope| scope.covers(instrument))
    }

    /// A stop of `scope` was asked for: what is being flattened there begins again, with the venue to be emptied first.
    pub(crate) fn flatten_anew(&mut self, now: Stamp, scope: StopScope, out: &mut Vec<Effect>) {
        let wide = matches!(scope, StopScope::All | StopScope::Venue(_));
        let touched: Vec<StopScope> = self.flattening.scopes.keys().copied().filter(|s| wide || *s == scope).collect();
        for at in touched {
            if at != scope {
                self.cancel_in(now, at, out);
            }
            self.begin_course(now, at);
        }
        self.flattening.look();
    }

    fn begin_course(&mut self, now: Stamp, scope: StopScope) {
        self.flattening.scopes.insert(scope, Course::new(now));
        self.flattening.open.remove(&scope);
        self.holds_due = true;
    }

    /// What came of a sweep.
    pub(crate) fn on_swept(&mut self, venue: Venue, markets: &[InstrumentId], is_empty: bool) {
        if !is_empty {
            return;
        }
        for (scope, course) in &mut self.flattening.scopes {
            let covered = match scope {
                StopScope::All | StopScope::Venue(_) => markets.is_empty(),
                StopScope::Market(id) => markets.is_empty() || markets.contains(id),
                StopScope::Parent(_) => false,
            };
            if let Phase::Emptying { empty, .. } = &mut course.phase
                && covered
            {
                empty.insert(venue);
            }
        }
        self.flattening.look();
    }

    /// Looks after what is to be flat, if it is time.
    pub(crate) fn tend_flatten(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let is_due = self.flattening.next.is_some_and(|next| next.mono <= now.mono);
        if !std::mem::take(&mut self.flattening.due) && !is_due {
            return;
        }
        let wanted = self.scopes_to_flatten();
        let gone: Vec<StopScope> = self.flattening.scopes.keys().copied().filter(|scope| !wanted.contains(scope)).collect();
        for scope in gone {
            self.flattening.scopes.remove(&scope);
            self.flattening.open.remove(&scope);
            self.holds_due = true;
            self.end_flatten(now, scope, |_| true, "no longer asked for", out);
        }
        for scope in &wanted {
            if !self.flattening.scopes.contains_key(scope) {
                self.begin_course(now, *scope);
                self.cancel_in(now, *scope, out);
                self.tell_unreachable(*scope, out);
            }
        }
        for scope in &wanted {
            self.tend_scope(now, *scope, out);
        }
        self.flattening.next = (!wanted.is_empty()).then(|| now + LOOK_EVERY);
    }

    /// Stops at level flatten that no wider stop makes needless or impossible.
    fn scopes_to_flatten(&self) -> Vec<StopScope> {
        let stops = &self.books.stops;
        let wider = |scope: StopScope| match scope {
            StopScope::All => StopLevel::Run,
            StopScope::Venue(_) => stops.level(),
            StopScope::Market(id) => stops.venue_level(id.venue()),
            StopScope::Parent(id) => self.market_of(id).map_or(StopLevel::Run, |market| stops.market_level(market)),
        };
        let own = stops.iter().filter(|stop| stop.level == StopLevel::Flatten).map(|stop| stop.scope);
        own.filter(|scope| wider(*scope) < StopLevel::Flatten).collect()
    }

    fn market_of(&self, id: ParentId) -> Option<InstrumentId> {
        let live = self.live.get(id).map(|live| live.spec.instrument);
        live.or_else(|| self.ended.get(&id).map(|ended| ended.spec.instrument))
    }

    fn tend_scope(&mut self, now: Stamp, scope: StopScope, out: &mut Vec<Effect>) {
        let targets = self.targets(now, scope);
        let Some(course) = self.flattening.scopes.get(&scope) else { return };
        match &course.phase {
            Phase::Emptying { since, empty } => {
                let (waited, empty) = (now.since(*since), self.is_emptied(scope, empty));
                if !empty && waited < SWEEP_WAIT {
                    return;
                }
                if !empty && targets.iter().any(|(_, lots)| lots.0 != 0) {
                    let text = format!(
                        "{scope}: the venue was not seen empty within {SWEEP_WAIT}; positions are closed beside the cancels"
                    );
                    self.alert(Severity::Act, Topic::Flatten, text, out);
                }
                self.set_phase(scope, Phase::Closing);
                self.flattening.open.insert(scope);
                self.holds_due = true;
                self.close(now, scope, &targets, out);
            }
            Phase::Closing => self.close(now, scope, &targets, out),
            Phase::Over => {
                let left = |id| course.markets.get(&id).map_or(Lots(0), |attempt| attempt.left);
                // what was given up is left alone unless it grows or turns
                let more = |(id, lots): &(InstrumentId, Lots)| {
                    lots.0 != 0 && (lots.abs() > left(*id).abs() || lots.0.signum() != left(*id).0.signum())
                };
                if targets.iter().any(more) {
                    self.alert(
                        Severity::Act,
                        Topic::Flatten,
                        format!("{scope}: there is a position again; it is closed too"),
                        out,
                    );
                    self.begin_course(now, scope);
                    self.cancel_in(now, scope, out);
                }
            }
        }
    }

    fn set_phase(&mut self, scope: StopScope, phase: Phase) {
        if let Some(course) = self.flattening.scopes.get_mut(&scope) {
            course.phase = phase;
        }
    }

    fn is_emptied(&self, scope: StopScope, empty: &BTreeSet<Venue>) -> bool {
        match scope {
            StopScope::All => self.venues.iter().all(|state| empty.contains(&state.venue)),
            StopScope::Venue(venue) => empty.contains(&venue),
            StopScope::Market(id) => empty.contains(&id.venue()),
            StopScope::Parent(id) => !self.books.live().any(|order| order.key().parent() == id),
        }
    }

    /// What is to be closed in each market of `scope`, signed as the position is.
    fn targets(&self, now: Stamp, scope: StopScope) -> Vec<(InstrumentId, Lots)> {
        if let StopScope::Parent(id) = scope {
            let known = self.live.get(id).map(|live| (&*live.spec, live.progress(now).filled));
            let known = known.or_else(|| self.ended.get(&id).map(|ended| (&ended.spec, ended.progress.filled)));
            let Some((spec, filled)) = known else { return Vec::new() };
            let taken_back: Qty = self.flattened(now, scope);
            let lots = Lots(spec.side.sign() * filled.minus(taken_back).0);
            return vec![(spec.instrument, within(lots, self.shown(spec.instrument)))];
        }
        let markets = self.markets.keys().copied().filter(|id| scope.covers(*id));
        markets.map(|id| (id, self.shown(id))).collect()
    }

    /// What parents of this scope's flatten have closed.
    fn flattened(&self, now: Stamp, scope: StopScope) -> Qty {
        let note = note(scope);
        let live = self.live.iter().filter(|live| live.spec.note == note).map(|live| live.progress(now).filled);
        let ended = self.ended.values().filter(|ended| ended.spec.note == note).map(|ended| ended.progress.filled);
        live.chain(ended).fold(Qty::ZERO, |sum, filled| sum + filled)
    }

    /// The position, as far as both books and venue show it where they differ.
    fn shown(&self, instrument: InstrumentId) -> Lots {
        let ours = self.books.position(instrument);
        if !self.books.frozen.contains_key(&instrument) {
            return ours;
        }
        let view = self.venues.iter().find(|v| v.venue == instrument.venue()).and_then(|v| v.view.as_ref());
        let theirs = view.and_then(|view| view.positions.iter().find(|p| p.instrument == instrument)).map_or(Lots(0), |p| p.lots);
        within(ours, theirs)
    }

    /// Frozen markets in `scope` where books or venue still show a position, in words.
    fn disputed(&self, scope: StopScope) -> Vec<String> {
        let theirs = |id: InstrumentId| {
            let view = self.venues.iter().find(|v| v.venue == id.venue()).and_then(|v| v.view.as_ref());
            view.and_then(|view| view.positions.iter().find(|p| p.instrument == id)).map_or(Lots(0), |p| p.lots)
        };
        let frozen = self.books.frozen.keys().copied().filter(|id| scope.covers(*id));
        let both = frozen.map(|id| (id, self.books.position(id), theirs(id)));
        let open = both.filter(|(_, ours, theirs)| ours.0 != 0 || theirs.0 != 0);
        open.map(|(id, ours, theirs)| {
            let quantity = |lots: Lots| {
                let rules = self.books.instruments.get(&id);
                let size =
                    rules.map_or_else(|| format!("{} lots", lots.abs().0), |r| r.qty_decimal(lots.abs()).normalize().to_string());
                if lots.0 < 0 { format!("-{size}") } else { size }
            };
            format!("{id} (ours {}, the venue's {})", quantity(ours), quantity(theirs))
        })
        .collect()
    }

    /// Takes the next step for each position that is to be closed, and ends the course when there is none.
    fn close(&mut self, now: Stamp, scope: StopScope, targets: &[(InstrumentId, Lots)], out: &mut Vec<Effect>) {
        let (mut working, mut troubles, mut left) = (false, Vec::new(), Vec::new());
        for (instrument, lots) in targets {
            match self.close_one(now, scope, *instrument, *lots, out) {
                Step::Flat => {}
                Step::Working => working = true,
                Step::Hindered(why) => {
                    working = true;
                    troubles.push(format!("{instrument}: {why}"));
                }
                Step::GivenUp => left.push((*instrument, *lots)),
            }
        }
        if let Some(course) = self.flattening.scopes.get_mut(&scope) {
            let since = *course.hindered.get_or_insert(now);
            if troubles.is_empty() {
                course.hindered = None;
            } else if now.since(since) >= TELL_AFTER && course.told.is_none_or(|at| now.since(at) >= TELL_AGAIN) {
                course.told = Some(now);
                let text = format!("{scope}: cannot be closed now, and is tried again every second: {}", troubles.join("; "));
                self.alert(Severity::Act, Topic::Flatten, text, out);
            }
        }
        if !working {
            self.finish_course(now, scope, &left, out);
        }
    }

    fn close_one(&mut self, now: Stamp, scope: StopScope, instrument: InstrumentId, lots: Lots, out: &mut Vec<Effect>) -> Step {
        let note = note(scope);
        let ours = self.live.iter().filter(|live| live.spec.instrument == instrument && live.spec.note == note);
        let live: Vec<(ParentId, Side, Qty)> =
            ours.map(|live| (live.id, live.spec.side, live.spec.qty.minus(live.progress(now).filled))).collect();
        if !live.is_empty() {
            // a fill by another hand may have left less to close, or turned the position
            let fits = |side: Side, left: Qty| lots.0.signum() == -side.sign() && left <= lots.abs();
            let whole = live.iter().fold(Qty::ZERO, |sum, (_, _, left)| sum + *left);
            if live.iter().any(|(_, side, left)| !fits(*side, *left)) || whole > lots.abs() {
                // another one follows when this one is over
                self.end_flatten(now, scope, |id| id == instrument, "the position is smaller", out);
            }
            return Step::Working;
        }
        let rounds = self.config.flatten.rounds;
        let Some(course) = self.flattening.scopes.get_mut(&scope) else { return Step::Flat };
        let attempt = course.markets.entry(instrument).or_default();
        attempt.left = lots;
        if lots.0 == 0 {
            return Step::Flat;
        }
        if attempt.rounds >= rounds {
            return Step::GivenUp;
        }
        let market = self.markets.get(&instrument);
        let hold =
            market.map(|market| self.holds(instrument, market)).and_then(|holds| holds.of(Class::Flatten).map(str::to_owned));
        if let Some(why) = hold {
            return Step::Hindered(why);
        }
        let side = if lots.0 > 0 { Side::Sell } else { Side::Buy };
        match self.admit(now, &self.round(instrument, side, lots.abs(), note), out) {
            Ok(_) => {
                let attempt = self.flattening.scopes.get_mut(&scope).and_then(|course| course.markets.get_mut(&instrument));
                if let Some(attempt) = attempt {
                    attempt.rounds += 1;
                }
                // it was admitted under the holds of before
                self.holds_due = true;
                self.holds_afresh = true;
                Step::Working
            }
            Err(faults) => Step::Hindered(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        }
    }

    fn round(&self, instrument: InstrumentId, side: Side, qty: Qty, note: String) -> ParentSpec {
        let terms = self.config.flatten;
        ParentSpec {
            id: ParentId(0),
            instrument,
            side,
            qty,
            schedule: Schedule::Twap { slices: u32::try_from(terms.horizon.0 / SLICE.0).unwrap_or(1).max(1) },
            placement: Placement::LimitToMarket,
            display: None,
            horizon: terms.horizon,
            limit_px: None,
            slippage_max: terms.slippage_max,
            end: EndPolicy::Force,
            reduce_only: true,
            note,
        }
    }

    fn end_flatten(&mut self, now: Stamp, scope: StopScope, of: impl Fn(InstrumentId) -> bool, why: &str, out: &mut Vec<Effect>) {
        let note = note(scope);
        let ours = self.live.iter().filter(|live| live.spec.note == note && of(live.spec.instrument));
        let ours = ours.filter(|live| !self.deleveraging.is_ending(live.id));
        let ids: Vec<ParentId> = ours.map(|live| live.id).collect();
        for id in ids {
            self.end_reduction(now, id, why, out);
        }
    }

    /// Nothing more is tried: the scope is swept once more, and says what is left.
    fn finish_course(&mut self, now: Stamp, scope: StopScope, left: &[(InstrumentId, Lots)], out: &mut Vec<Effect>) {
        self.set_phase(scope, Phase::Over);
        self.flattening.open.remove(&scope);
        self.holds_due = true;
        self.cancel_in(now, scope, out);
        let disputed = self.disputed(scope);
        if !disputed.is_empty() {
            let text = format!(
                "{scope}: closed as far as books and venue agree; a person must look at what they do not agree on: {}",
                disputed.join(", ")
            );
            self.alert(Severity::Act, Topic::Flatten, text, out);
        } else if left.is_empty() {
            self.alert(
                Severity::Warn,
                Topic::Flatten,
                format!("{scope}: no position is left in the markets that are traded"),
                out,
            );
        }
        if left.is_empty() {
            return;
        }
        let terms = self.config.flatten;
        let lines = left.iter().map(|(id, lots)| {
            let quantity = self.books.instruments.get(id).map(|rules| rules.qty_decimal(lots.abs()).normalize().to_string());
            let side = if lots.0 > 0 { "long" } else { "short" };
            format!("{id} {} {side}", quantity.unwrap_or_else(|| format!("{} lots", lots.abs().0)))
        });
        let text = format!(
            "{scope}: given up with {} left: {} rounds of {} each within {} of the mid did not close it",
            lines.collect::<Vec<_>>().join(", "),
            terms.rounds,
            terms.horizon,
            terms.slippage_max
        );
        self.alert(Severity::Act, Topic::Flatten, text, out);
    }

    /// Positions that the venue shows and nobody here can close.
    fn tell_unreachable(&mut self, scope: StopScope, out: &mut Vec<Effect>) {
        let positions = self.venues.iter().filter_map(|v| v.view.as_ref()).flat_map(|view| &view.positions);
        let beyond: Vec<String> = positions
            .filter(|p| p.lots.0 != 0 && scope.covers(p.instrument) && !self.markets.contains_key(&p.instrument))
            .map(|p| format!("{} ({} lots)", p.instrument, p.lots.0))
            .collect();
        let unknown = match scope {
            StopScope::Market(id) if !self.markets.contains_key(&id) => beyond.is_empty().then(|| id.to_string()),
            StopScope::Parent(id) if self.market_of(id).is_none() => Some(format!("{id}, which is not remembered any more")),
            StopScope::All | StopScope::Venue(_) | StopScope::Market(_) | StopScope::Parent(_) => None,
        };
        let named: Vec<String> = beyond.into_iter().chain(unknown).collect();
        if !named.is_empty() {
            let text = format!("{scope}: not among the markets that are traded, so not closed: {}", named.join(", "));
            self.alert(Severity::Act, Topic::Flatten, text, out);
        }
    }
}

/// How one position stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Flat,
    Working,
    /// Something is missing that may come.
    Hindered(String),
    GivenUp,
}

/// `wanted`, no further than `shown` goes the same way.
fn within(wanted: Lots, shown: Lots) -> Lots {
    if wanted.0.signum() != shown.0.signum() {
        return Lots(0);
    }
    if wanted.abs() <= shown.abs() { wanted } else { shown }
}
