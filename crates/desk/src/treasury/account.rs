//! The look at the account: gathers what a decision rests on, has the judge look at the step, and keeps the decision.

use domain::{
    AccountView, Cascade, Entry, MarginLevel, Ratio, Span, Stamp, StopLevel, Transfer, TransferState, TreasuryAction,
    TreasuryDecision, Usd, Venue,
};
use margin_guard::{AccountLine, Cover, TransferRefusal};
use risk::topup::{Account, Maintenance, Position, Scenario, topup};
use rust_decimal::Decimal;

use super::plan::{Decision, Inputs, Isolated, UnderWay, decide, into, meant_for, moved};
use super::sources::REFUSED_FOR;
use super::{Treasurer, TreasuryPlan};
use crate::{Desk, Effect, Severity, Topic};

/// How long an answer about a nearer source is waited for: a read takes less than a second.
const READ_PATIENCE: Span = Span::secs(5);
/// The account's report counts what has arrived when it is newer than that by this much.
const SETTLE: Span = Span::secs(2);
/// A cascade is over when cover has not been low for so long: the shortest window of the budgets.
const CASCADE_QUIET: Span = Span::secs(3_600);
/// Between two sweeps. Nobody waits for them.
const SWEEP_EVERY: Span = Span::secs(3_600);
/// Decisions that only change in kind are recorded at most this often; what is graver is recorded at once.
const DECIDE_EVERY: Span = Span::secs(5);
/// A decision that stands is recorded with another reason at most this often, and once in each tenure.
const REWORD_EVERY: Span = Span::secs(60);
/// A venue's hourly funding where it is not known (the default of `[guard.sizing]`).
const FUNDING_UNKNOWN: (i64, u32) = (1, 3);
/// Names under which refusals of steps without a source are kept.
pub(super) const ISOLATED: &str = "isolated margin";
pub(super) const SWEEP: &str = "sweep";

/// Whether an action belongs to a top-up that is not at its targets yet.
pub(super) const fn at_work(action: TreasuryAction) -> bool {
    match action {
        TreasuryAction::Rest | TreasuryAction::Sweep => false,
        TreasuryAction::Wait | TreasuryAction::TopUp | TreasuryAction::Stuck | TreasuryAction::Reduce => true,
    }
}

/// An account at one moment.
#[derive(Clone, Debug)]
pub(super) struct AccountNow<'a> {
    pub line: &'a AccountLine,
    pub withdrawable: Option<Usd>,
    /// When the venue's report was received.
    pub reported: Option<Stamp>,
    pub isolated: Vec<Isolated>,
    pub equity_all: Usd,
    pub unwinding: Option<Usd>,
}

impl Treasurer {
    fn under_way(&self, now: Stamp) -> Vec<UnderWay> {
        let one = |t: &Transfer| {
            let intent = &t.intent;
            let comes = into(&intent.route, self.plan.account) && t.credited.is_none();
            UnderWay {
                id: intent.id,
                name: intent.route.name(),
                state: t.state.name(),
                inside: intent.route.inside(),
                withdrawal: matches!(intent.route, domain::Route::Withdrawal { .. }),
                arrives: if comes { intent.amount - intent.fee_max } else { Usd::ZERO },
                age: now.since(t.at),
                delay: self.delay(&intent.route),
                overdue: t.overdue.clone(),
            }
        };
        self.judge.transfers().filter(|t| t.open()).map(one).collect()
    }

    fn refused(&self, now: Stamp, name: &str) -> Option<&str> {
        self.refused.get(name).filter(|(at, _)| now.since(*at) < REFUSED_FOR).map(|(_, why)| why.as_str())
    }

    /// What to do next. Changes nothing but when an answer began to be awaited, and when cover was low last.
    pub(super) fn decide(&mut self, now: Stamp, cover: &Cover, account: &AccountNow<'_>) -> Decision {
        let low = account.line.level >= MarginLevel::TopUp || account.isolated.iter().any(|p| p.cover < cover.top_up);
        self.watched = account.line.level >= MarginLevel::Watch;
        if low {
            self.low = Some(now);
        }
        if self.low.is_none_or(|at| now.since(at) >= CASCADE_QUIET) {
            self.cascade = None;
        }
        let sources = self.sources(now);
        if (low || self.begun) && sources.iter().any(|s| s.pending) {
            self.awaited.get_or_insert(now);
        } else {
            self.awaited = None;
        }
        let unsettled = self.moved_at.filter(|moved| account.reported.is_none_or(|at| at.mono < (*moved + SETTLE).mono));
        let budgets = self.judge.budgets(now);
        let since = self.cascade.map(|c| c.since);
        let arrived =
            since.map(|since| self.judge.transfers().map(|t| moved(t, self.plan.account, since)).sum()).unwrap_or_default();
        let isolating = match self.refused(now, ISOLATED) {
            Some(why) => Err(format!("refused: {why}")),
            None => self.left_alone(now, ISOLATED).map_or(Ok(()), Err),
        };
        let swept = self.swept.is_none_or(|at| now.since(at) >= SWEEP_EVERY);
        decide(&Inputs {
            plan: &self.plan,
            cover,
            line: account.line,
            withdrawable: account.withdrawable,
            unsettled: unsettled.map(|_| "the account's report is older than the money that reached it".to_owned()),
            isolated: account.isolated.clone(),
            isolating,
            equity_all: account.equity_all,
            sources: &sources,
            under_way: self.under_way(now),
            room: budgets.room(),
            room_inside: budgets.room_inside(),
            begun: self.begun,
            cascade: self.cascade,
            arrived,
            unwinding: account.unwinding,
            reading: self.awaited.is_some_and(|at| now.since(at) < READ_PATIENCE),
            may_sweep: swept && self.refused(now, SWEEP).is_none() && self.left_alone(now, SWEEP).is_none(),
        })
    }

    /// Takes note of what the judge said about a decision's step.
    pub(super) fn note(&mut self, now: Stamp, decision: &Decision, account: &AccountNow<'_>, refusal: Option<&TransferRefusal>) {
        let Some(step) = &decision.step else { return };
        let sweeping = decision.action == TreasuryAction::Sweep;
        let Some(refusal) = refusal else {
            if sweeping {
                self.swept = Some(now);
            } else if step.source.is_some() && self.cascade.is_none() {
                self.cascade = Some(Cascade { since: now, equity: account.equity_all, meant_for: meant_for(account.line) });
            }
            return;
        };
        let name = match step.source {
            Some(at) => self.sources(now).get(at).map(|s| s.name.clone()).unwrap_or_default(),
            None if sweeping => SWEEP.to_owned(),
            None => ISOLATED.to_owned(),
        };
        self.refused.retain(|_, (at, _)| now.since(*at) < REFUSED_FOR);
        self.refused.insert(name, (now, refusal.to_string()));
    }

    /// The record of a decision, if it says something new.
    pub(super) fn adopt(&mut self, now: Stamp, decision: Decision) -> Option<Entry> {
        self.begun = at_work(decision.action);
        let known = &self.decision;
        let graver = decision.action > known.action || self.cascade != known.cascade;
        let due = self.decided.is_none_or(|at| now.since(at) >= DECIDE_EVERY);
        let new = decision.action != known.action || self.cascade != known.cascade;
        // why nothing helps is what the operator has to mend, and it can change while nothing else does
        let stands = matches!(decision.action, TreasuryAction::Stuck | TreasuryAction::Reduce);
        let reworded = stands && words(&decision.why) != words(&known.why);
        let unsaid = self.worded.is_none_or(|at| now.since(at) >= REWORD_EVERY);
        let entry = ((new && (graver || due)) || (reworded && unsaid)).then(|| {
            Entry::TreasuryDecided(TreasuryDecision {
                venue: self.plan.venue,
                action: decision.action,
                why: decision.why.clone(),
                cascade: self.cascade,
            })
        });
        self.latest = Some(decision);
        entry
    }
}

/// A reason without its figures, which are different at every look.
fn words(why: &str) -> String {
    why.chars().filter(|c| c.is_alphabetic()).collect()
}

impl Desk {
    /// Looks after the account's collateral. Called at each look, before positions are reduced.
    pub(crate) fn keep_account(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        self.tend_transfers(now, out);
        self.top_up(now, out);
        if let Some(read) = self.treasurer.as_mut().and_then(|t| t.ask(now)) {
            out.push(Effect::ReadCollateral(read));
        }
    }

    fn top_up(&mut self, now: Stamp, out: &mut Vec<Effect>) {
        let cover = self.guard.limits().cover().clone();
        let Some(plan) = self.treasurer.as_ref().map(|t| t.plan.clone()) else { return };
        let halted = self.books.stops.venue_level(plan.venue) >= StopLevel::Block || self.draining || !self.is_ready();
        let Some(line) = self.guard.load_line(now).into_iter().find(|line| line.venue == plan.venue) else { return };
        let Some(treasurer) = &mut self.treasurer else { return };
        let broken = treasurer.broken.clone().or_else(|| halted.then(|| "stopped, or the venue has not been read".to_owned()));
        if let Some(why) = broken {
            // what was decided stays decided; nothing is moved meanwhile
            let action = if treasurer.begun { TreasuryAction::Stuck } else { TreasuryAction::Rest };
            treasurer.latest = Some(Decision { action, why, step: None, skipped: Vec::new() });
            return;
        }
        let account = self.account_now(now, &plan, &line);
        // each refusal closes a source for a while, so that this ends
        for _ in 0..=DECISIONS_MAX {
            let Some(treasurer) = &mut self.treasurer else { return };
            let decision = treasurer.decide(now, &cover, &account);
            let Some(step) = decision.step.clone() else {
                return self.adopt(now, decision, out);
            };
            let started = self.start_transfer(now, step.route, step.amount, step.fee_max, &decision.why, out);
            let Some(treasurer) = &mut self.treasurer else { return };
            treasurer.note(now, &decision, &account, started.as_ref().err());
            if started.is_ok() {
                return self.adopt(now, decision, out);
            }
        }
    }

    fn adopt(&mut self, now: Stamp, decision: Decision, out: &mut Vec<Effect>) {
        let Some(treasurer) = &mut self.treasurer else { return };
        let before = treasurer.latest.as_ref().map(|d| d.action);
        let (action, why) = (decision.action, decision.why.clone());
        let entry = treasurer.adopt(now, decision);
        let tell = match action {
            TreasuryAction::Rest | TreasuryAction::Sweep | TreasuryAction::Wait => None,
            TreasuryAction::TopUp => Some(Severity::Warn),
            TreasuryAction::Stuck | TreasuryAction::Reduce => Some(Severity::Act),
        };
        let tell = tell.filter(|_| treasurer.may_tell(now, &format!("decision {action:?}")));
        if let Some(severity) = tell {
            self.alert(severity, Topic::Treasury, format!("{}: {why}", action.name()), out);
        }
        if let Some(entry) = entry {
            self.record(now, entry, out);
        }
        // what positions may do depends on it
        self.holds_due |= before != Some(action);
    }

    fn account_now<'a>(&self, now: Stamp, plan: &TreasuryPlan, line: &'a AccountLine) -> AccountNow<'a> {
        let view = self.venues.iter().find(|v| v.venue == plan.venue).and_then(|v| v.view.as_ref());
        let isolated = if plan.isolated { self.isolated(plan, line, view) } else { Vec::new() };
        let own: Usd = view.iter().flat_map(|v| &v.positions).filter_map(|p| p.isolated_margin).sum();
        let needed = line.level >= MarginLevel::TopUp || self.treasurer.as_ref().is_some_and(|t| t.begun);
        AccountNow {
            line,
            withdrawable: view.map(|v| v.withdrawable),
            reported: view.map(|v| v.at),
            isolated,
            equity_all: line.equity.unwrap_or_default() + own,
            unwinding: if needed { self.unwinding(now, line, plan.target) } else { None },
        }
    }

    /// Isolated positions, with what their own margin lacks (quant §4.4): the target as they stand, the target under shock in every
    /// configured scenario. One whose value is not known is left out; the account is in doubt then.
    fn isolated(&self, plan: &TreasuryPlan, line: &AccountLine, view: Option<&AccountView>) -> Vec<Isolated> {
        let one = |held: &domain::PositionView| {
            let margin = held.isolated_margin?;
            let shown = line.positions.iter().find(|p| p.instrument == held.instrument)?;
            let rules = self.books.instruments.get(&held.instrument)?;
            let (mark, maintenance, value) = (shown.mark?, shown.maintenance?, shown.value?);
            let price = rules.px_decimal(mark);
            let size = Decimal::from(shown.lots.0).checked_mul(rules.lot)?;
            let unknown = Ratio::scaled(FUNDING_UNKNOWN.0 * shown.lots.0.signum(), FUNDING_UNKNOWN.1);
            let funding = self.markets.get(&held.instrument).and_then(|m| m.funding).unwrap_or(unknown);
            // the position's own leverage is in what it needs now, and the market's tiers in what it may need
            let models = [Maintenance::Rate(maintenance.over(value)?), Maintenance::Tiers(rules.margin.table())];
            let account = |target| Account {
                equity: margin,
                fees: Usd::ZERO,
                reserved: Usd::ZERO,
                target,
                transfer_fee: Usd::ZERO,
                transfer_min: Usd::ZERO,
            };
            let scenarios = self.guard.limits().scenarios();
            let shocks: Vec<[Ratio; 1]> = scenarios.iter().map(|s| [s.shock(held.instrument)]).collect();
            let shocked: Vec<Scenario<'_>> = scenarios
                .iter()
                .zip(&shocks)
                .map(|(s, shocks)| Scenario { name: &s.name, shocks, funding_hours: Decimal::from(s.funding_hours) })
                .collect();
            let short = models.iter().map(|maintenance| {
                let position =
                    [Position { size, price, oracle: price, funding_hourly: funding.decimal(), maintenance: *maintenance }];
                let standing = topup(&account(plan.target), &position, &[]);
                standing.amount.max(topup(&account(plan.target_shocked), &position, &shocked).amount)
            });
            let short = short.max().unwrap_or_default();
            Some(Isolated { instrument: held.instrument, cover: margin.over(maintenance)?, short })
        };
        view.iter().flat_map(|v| &v.positions).filter(|p| p.lots.0 != 0).filter_map(one).collect()
    }

    /// Whether the treasury has positions of the account reduced, since no top-up helps.
    pub(crate) fn reduces_instead(&self, venue: Venue) -> bool {
        let treasurer = self.treasurer.as_ref().filter(|t| t.plan.venue == venue);
        treasurer.and_then(|t| t.latest.as_ref()).is_some_and(|d| d.action == TreasuryAction::Reduce)
    }

    /// The cover that reducing restores: the treasury's target where it reduces instead of topping up, so that the level is left.
    pub(crate) fn reduce_target(&self, venue: Venue) -> Ratio {
        let target = self.guard.limits().cover().target;
        let treasurer = self.treasurer.as_ref().filter(|_| self.reduces_instead(venue));
        treasurer.map_or(target, |t| target.max(t.plan.target))
    }

    /// Whether collateral from inside the venue reaches the account sooner than an order would: then positions are not reduced yet.
    /// Never for longer than such a transfer takes, and never on money from outside.
    pub(crate) fn help_is_near(&self, now: Stamp, line: &AccountLine) -> bool {
        let Some(treasurer) = self.treasurer.as_ref().filter(|t| t.plan.venue == line.venue) else { return false };
        let Some(equity) = line.equity else { return false };
        let levels = self.guard.limits().cover();
        let near = |t: &&Transfer| {
            let sent = matches!(t.state, TransferState::Intended | TransferState::Sent) && t.overdue.is_none();
            let inside = t.intent.route.inside() && into(&t.intent.route, treasurer.plan.account);
            sent && inside && now.since(t.at) < treasurer.plan.inside.delay
        };
        let arrives: Usd = treasurer.judge.transfers().filter(near).map(|t| t.intent.amount).sum();
        arrives > Usd::ZERO && equity + arrives >= line.maintenance.times(levels.target)
    }
}

/// A step per source, one to isolated margin, one sweep.
const DECISIONS_MAX: usize = 32;
