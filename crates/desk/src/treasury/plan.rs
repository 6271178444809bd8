//! What to do next for an account: a function of what it needs, what there is, what is under way and what may be spent.
//!
//! One step at a time. A top-up is begun when the account or one of its isolated positions is below the top-up level, and goes on,
//! source by source, until the targets hold: `target` as the account stands, `target_shocked` under every configured scenario (quant
//! §4.4). Where help would be too late, too dear or beyond a budget, positions are reduced instead. What is missing or too old is never taken for
//! good (I34): such a source is skipped, and such an account is not acted on.

use domain::{
    Cascade, InstrumentId, MarginLevel, Ratio, Route, Span, Stamp, Transfer, TransferEvent, TransferId, TransferOutcome,
    TransferState, TreasuryAction, Usd,
};
use margin_guard::{AccountLine, Cover};
use risk::topup::Standing;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use super::sources::Source;
use super::{RouteTerms, TreasuryPlan};

/// Decimals of a target that is worked out from others.
const TARGET_DECIMALS: u32 = 4;
/// A top-up may leave the account above its target by this share of it, and not by more.
pub(super) const OVERSHOOT_BPS: i64 = 500;
/// USDC is moved in whole cents: what is finer is the market's noise.
const CENTS: u32 = 2;
/// How many times its usual delay a transfer may be late before the account is no longer kept waiting for it.
const LATE: u64 = 3;

/// What to do next, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Decision {
    /// What.
    pub action: TreasuryAction,
    /// Why, with the numbers.
    pub why: String,
    /// What is to be moved now.
    pub step: Option<Step>,
    /// Per source of the inputs: why it is not taken from, if it is not.
    pub skipped: Vec<Option<String>>,
}

/// A transfer to ask the judge for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Step {
    pub route: Route,
    pub amount: Usd,
    pub fee_max: Usd,
    /// Which of the sources; absent: margin goes from the account to an isolated position, or back down the ladder.
    pub source: Option<usize>,
}

/// An isolated position as the plan sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Isolated {
    pub instrument: InstrumentId,
    /// Its own margin over its maintenance.
    pub cover: Ratio,
    /// What its targets need beyond its own margin.
    pub short: Usd,
}

/// A transfer under way, as far as this account goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnderWay {
    pub id: TransferId,
    pub name: &'static str,
    pub state: &'static str,
    pub inside: bool,
    /// Out of the venue: it keeps nothing back that comes in.
    pub withdrawal: bool,
    /// What the account is still going to get by it: nothing if it is credited, or goes elsewhere.
    pub arrives: Usd,
    /// How long ago it was decided.
    pub age: Span,
    /// How long such a transfer takes.
    pub delay: Span,
    pub overdue: Option<String>,
}

impl UnderWay {
    /// Why the account cannot wait for it, if it cannot.
    fn too_late(&self, runway: Option<Span>) -> Option<String> {
        if let Some(why) = &self.overdue {
            return Some(format!("{} is overdue: {why}", self.id));
        }
        if self.age > Span(self.delay.0.saturating_mul(LATE)) {
            return Some(format!("{} is under way for {}, where {} is usual", self.id, self.age, self.delay));
        }
        let left = Span(self.delay.0.saturating_sub(self.age.0)).max(self.delay.scale(1, 4));
        let short = !self.inside && runway.is_some_and(|runway| runway < left);
        short.then(|| format!("{} may take another {left}, and the runway is {}", self.id, runway.unwrap_or(Span::ZERO)))
    }
}

/// Everything that a decision rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inputs<'a> {
    pub plan: &'a TreasuryPlan,
    pub cover: &'a Cover,
    pub line: &'a AccountLine,
    /// What the venue lets out of the account.
    pub withdrawable: Option<Usd>,
    /// The account's report is older than money that has reached it since.
    pub unsettled: Option<String>,
    /// Isolated positions; none if margin is not to be added to them.
    pub isolated: Vec<Isolated>,
    /// Why no margin can be added to isolated positions now.
    pub isolating: Result<(), String>,
    /// Equity and isolated margin together.
    pub equity_all: Usd,
    pub sources: &'a [Source],
    pub under_way: Vec<UnderWay>,
    /// What budgets leave for one transfer between chain and venue, and inside the venue.
    pub room: Usd,
    pub room_inside: Usd,
    /// A top-up was begun, and its targets were not reached since.
    pub begun: bool,
    pub cascade: Option<Cascade>,
    /// What has reached the account since the cascade began, less what was taken from it.
    pub arrived: Usd,
    /// What reducing to the target would cost; absent where it is not known or does not restore it.
    pub unwinding: Option<Usd>,
    /// Balances were asked for and the answers are awaited.
    pub reading: bool,
    /// Whether it is time to look for what can be swept.
    pub may_sweep: bool,
}

fn raised(ratio: Ratio, cover: &Cover) -> Ratio {
    let value = ratio.decimal() * (Decimal::ONE + cover.hysteresis.decimal());
    Ratio::new(value.round_dp_with_strategy(TARGET_DECIMALS, RoundingStrategy::ToPositiveInfinity)).unwrap_or(ratio)
}

/// The least target at which the top-up level is left.
pub(super) fn target_floor(cover: &Cover) -> Ratio {
    raised(cover.top_up, cover)
}

/// The least ceiling of a sweep: an account at it is neither watched nor about to be topped up.
pub(super) fn sweep_floor(target: Ratio, cover: &Cover) -> Ratio {
    raised(target.max(cover.watch), cover)
}

/// Cents that `usd` holds at least.
fn floor(usd: Usd) -> Usd {
    -(-usd).ceil(CENTS)
}

pub(super) fn runway(line: &AccountLine) -> Option<Span> {
    let seconds = line.runway_hours?.decimal().max(Decimal::ZERO).checked_mul(Decimal::from(3_600))?;
    Some(Span::secs(u64::try_from(seconds.floor()).unwrap_or(u64::MAX / 1_000_000_000)))
}

/// The account as it stands and under each scenario, with the cover to keep there.
pub(super) fn standings<'a>(plan: &TreasuryPlan, line: &'a AccountLine, equity: Usd) -> Vec<Standing<'a>> {
    let now = Standing { name: "as it stands", equity, maintenance: line.maintenance, target: plan.target };
    let shocked = line.scenarios.iter().map(|s| Standing {
        name: &s.name,
        equity: s.equity,
        maintenance: s.maintenance,
        target: plan.target_shocked,
    });
    std::iter::once(now).chain(shocked).collect()
}

/// The fall that a top-up decided now is meant for: what the worst configured scenario costs.
pub(super) fn meant_for(line: &AccountLine) -> Usd {
    let equity = line.equity.unwrap_or_default();
    line.scenarios.iter().map(|s| equity - s.equity).max().unwrap_or_default().max(Usd::ZERO)
}

/// What a source does for the need.
enum Use {
    /// It can give this much.
    Take { amount: Usd, fee: Usd },
    /// It cannot, and why.
    Skip { why: String, because: Because },
}

/// What a source is skipped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Because {
    /// The need is too small for it.
    Small,
    /// It has nothing to give now, or that is not known. It may come back at any moment, as an endpoint does.
    Absent,
    /// Its help would come too late, cost too much, or go beyond a budget.
    Worse,
}

/// The need of a top-up.
struct Need<'a> {
    /// To arrive from outside the account.
    outside: Usd,
    /// The most that may arrive.
    most: Usd,
    /// Which scenario asks for it.
    worst: Standing<'a>,
    words: String,
}

pub(super) fn decide(i: &Inputs<'_>) -> Decision {
    let low = i.line.level >= MarginLevel::TopUp || i.isolated.iter().any(|p| p.cover < i.cover.top_up);
    let triggered = low || i.begun;
    let decision = |action, why: String| Decision { action, why, step: None, skipped: vec![None; i.sources.len()] };
    let (Some(equity), None) = (i.line.equity, &i.line.doubt) else {
        let doubt = i.line.doubt.clone().unwrap_or_else(|| "its equity is not known".into());
        let why = format!("the account is in doubt ({doubt}): nothing is moved on figures that cannot be relied on");
        return decision(if triggered { TreasuryAction::Stuck } else { TreasuryAction::Rest }, why);
    };
    let standings = standings(i.plan, i.line, equity);
    let Some(worst) = risk::topup::worst(&standings).copied() else {
        return decision(TreasuryAction::Rest, "nothing is held".into());
    };
    let shown = i.line.cover.map_or_else(|| "nothing to cover".to_owned(), |c| format!("cover {}", short(c)));
    if !triggered {
        return sweep(i, equity, &standings, shown);
    }
    if let Some(why) = &i.unsettled {
        return decision(TreasuryAction::Wait, why.clone());
    }
    let gap = worst.gap();
    let isolated: Usd = i.isolated.iter().map(|p| p.short).sum();
    if gap <= Usd::ZERO && isolated <= Usd::ZERO {
        return decision(TreasuryAction::Rest, format!("{shown}, the targets hold"));
    }
    if let Some((step, why)) = isolated_step(i, gap) {
        return Decision { step: Some(step), ..decision(TreasuryAction::TopUp, why) };
    }
    if let Some(why) = fallen_too_far(i) {
        return decision(instead(low), format!("{shown}: {why}"));
    }
    let wanted = gap + isolated;
    if wanted <= Usd::ZERO {
        return stuck_inside(i, low, isolated, &decision);
    }
    let incoming: Usd = i.under_way.iter().map(|u| u.arrives).sum();
    let outside = wanted - incoming;
    if outside <= Usd::ZERO {
        return wait(i, low, &shown, &decision);
    }
    let allowance = worst.maintenance.times(worst.target).times(Ratio::bps(OVERSHOOT_BPS));
    let words = format!("{shown}: {} needs {} more", worst.name, wanted.ceil(CENTS));
    let need = Need { outside, most: outside + allowance, worst, words };
    from_sources(i, low, &need)
}

/// The fall since the first top-up is more than that was meant for.
fn fallen_too_far(i: &Inputs<'_>) -> Option<String> {
    let cascade = i.cascade?;
    let fall = cascade.equity + i.arrived - i.equity_all;
    (fall > cascade.meant_for).then(|| {
        format!(
            "the account has lost {} since its first top-up, which was meant for a fall of {}: no more is sent into it",
            fall.round(CENTS),
            cascade.meant_for.round(CENTS)
        )
    })
}

/// The account has what its isolated positions need, and cannot give it to them now.
fn stuck_inside(i: &Inputs<'_>, low: bool, isolated: Usd, decision: &dyn Fn(TreasuryAction, String) -> Decision) -> Decision {
    let needs = format!("isolated positions need {} that the account has", isolated.ceil(CENTS));
    if let Some(open) = i.under_way.iter().find(|u| u.inside && u.overdue.is_none()) {
        return decision(TreasuryAction::Wait, format!("{needs}; {} ({}) is under way", open.id, open.name));
    }
    let why = match (&i.isolating, i.under_way.iter().find(|u| u.inside)) {
        (_, Some(open)) => format!("{} ({}) is overdue", open.id, open.name),
        (Err(why), None) => why.clone(),
        (Ok(()), None) => {
            let out = i.withdrawable.map_or_else(|| "an unknown amount".to_owned(), |usd| usd.to_string());
            format!("the venue lets {out} out of it, and the budgets leave {}", i.room_inside)
        }
    };
    decision(instead(low), format!("{needs}; {why}"))
}

fn instead(low: bool) -> TreasuryAction {
    if low { TreasuryAction::Reduce } else { TreasuryAction::Stuck }
}

/// Money is under way that suffices: is it in time?
fn wait(i: &Inputs<'_>, low: bool, shown: &str, decision: &dyn Fn(TreasuryAction, String) -> Decision) -> Decision {
    if let Some(why) = i.under_way.iter().filter(|u| u.arrives > Usd::ZERO).find_map(|u| u.too_late(runway(i.line))) {
        return decision(instead(low), format!("{shown}: {why}"));
    }
    let list: Vec<String> =
        i.under_way.iter().filter(|u| u.arrives > Usd::ZERO).map(|u| format!("{} ({}, {})", u.id, u.name, u.state)).collect();
    decision(TreasuryAction::Wait, format!("{shown}: {} is under way", list.join(" and ")))
}

/// Margin from the account to the isolated position that needs it most.
fn isolated_step(i: &Inputs<'_>, gap: Usd) -> Option<(Step, String)> {
    if i.under_way.iter().any(|u| u.inside) || i.isolating.is_err() {
        return None;
    }
    let needy = i.isolated.iter().filter(|p| p.short > Usd::ZERO).min_by_key(|p| p.cover)?;
    let slack = (-gap).max(Usd::ZERO).min(i.withdrawable.unwrap_or(Usd::ZERO)).min(i.room_inside);
    let amount = floor(needy.short.ceil(CENTS).min(slack));
    if amount <= Usd::ZERO {
        return None;
    }
    let why = format!(
        "{}: its own margin covers {}, {} more brings it to its target, and the account can spare {}",
        needy.instrument,
        short(needy.cover),
        needy.short.ceil(CENTS),
        floor(slack)
    );
    let route = Route::IsolatedMargin { instrument: needy.instrument };
    Some((Step { route, amount, fee_max: Usd::ZERO, source: None }, why))
}

/// The first source that helps, or why none does.
fn from_sources(i: &Inputs<'_>, low: bool, need: &Need<'_>) -> Decision {
    let mut skipped: Vec<Option<String>> = vec![None; i.sources.len()];
    let mut hopeless = false;
    // one step at a time: what a nearer source brings is seen within seconds
    let near = i.under_way.iter().find(|u| u.inside && u.too_late(None).is_none());
    for (at, source) in i.sources.iter().enumerate() {
        if let Some(near) = near.filter(|_| !source.inside) {
            let why = format!("{}; {} ({}) is {}", need.words, near.id, near.name, near.state);
            return Decision { action: TreasuryAction::Wait, why, step: None, skipped };
        }
        match use_of(i, source, need) {
            Use::Take { amount, fee } => {
                let Ok(route) = source.route.clone() else { continue };
                let why = format!("{}; {amount} by {} from {}", need.words, route.name(), source.name);
                let step = Step { route, amount, fee_max: fee, source: Some(at) };
                return Decision { action: TreasuryAction::TopUp, why, step: Some(step), skipped };
            }
            Use::Skip { why, because } => {
                // there is no waiting for what would come too late if it came back now
                let too_late = runway(i.line).unwrap_or(Span::ZERO) < source.terms.delay;
                hopeless |= because == Because::Worse || because == Because::Absent && too_late;
                if let Some(slot) = skipped.get_mut(at) {
                    *slot = Some(why);
                }
            }
        }
        if i.reading && source.pending {
            // a nearer source is not passed over because its answer is on the way
            let why = format!("{}; what lies in {} is being read", need.words, source.name);
            return Decision { action: TreasuryAction::Wait, why, step: None, skipped };
        }
    }
    let incoming = i.under_way.iter().filter(|u| u.arrives > Usd::ZERO);
    let late = incoming.clone().find_map(|u| u.too_late(runway(i.line)));
    if incoming.clone().next().is_some() && late.is_none() {
        let list: Vec<String> = incoming.map(|u| format!("{} ({}, {})", u.id, u.name, u.state)).collect();
        let why = format!("{}; {} is under way", need.words, list.join(" and "));
        return Decision { action: TreasuryAction::Wait, why, step: None, skipped };
    }
    let reasons = i.sources.iter().zip(&skipped).filter_map(|(s, why)| Some(format!("{}: {}", s.name, why.as_ref()?)));
    hopeless |= late.is_some();
    let reasons: Vec<String> = late.into_iter().chain(reasons).collect();
    if i.sources.is_empty() {
        let why = format!("{}, and no source is configured", need.words);
        return Decision { action: TreasuryAction::Stuck, why, step: None, skipped };
    }
    // with time left nothing is sold because a wallet is empty or an endpoint is away: the guard's own reduce level still stands
    let action = if hopeless { instead(low) } else { TreasuryAction::Stuck };
    let why = format!("{}; nothing helps: {}", need.words, reasons.join("; "));
    Decision { action, why, step: None, skipped }
}

fn use_of(i: &Inputs<'_>, source: &Source, need: &Need<'_>) -> Use {
    let absent = |why: String| Use::Skip { why, because: Because::Absent };
    if let Some(open) = i.under_way.iter().find(|u| u.inside == source.inside && !u.withdrawal) {
        return absent(format!("{} ({}) is {}: one transfer at a time", open.id, open.name, open.state));
    }
    let free = match (&source.free, &source.route) {
        (Ok(free), Ok(_)) => *free,
        (Err(why), _) | (Ok(_), Err(why)) => {
            let because = if source.dear { Because::Worse } else { Because::Absent };
            return Use::Skip { why: why.clone(), because };
        }
    };
    let (least, fee) = (source.least, source.fee);
    let room = if source.inside { i.room_inside } else { i.room };
    let most = floor(free).min(floor(room));
    let amount = (need.outside.ceil(CENTS).max(least) + fee).min(most);
    let arrives = amount - fee;
    if arrives < least || arrives <= Usd::ZERO {
        if floor(room) < floor(free) {
            let why = format!("the budgets leave {room}, and at least {} must be sent", least + fee);
            return Use::Skip { why, because: Because::Worse };
        }
        return absent(format!("it has {} to give, and at least {} must be sent", free.max(Usd::ZERO), least + fee));
    }
    if arrives > need.most {
        let why = format!(
            "{} must be sent at least, which would leave {} more than {} % above its target",
            amount,
            need.worst.name,
            OVERSHOOT_BPS / 100
        );
        return Use::Skip { why, because: Because::Small };
    }
    if let Some(why) = not_worth(i, source, fee) {
        return Use::Skip { why, because: Because::Worse };
    }
    Use::Take { amount, fee }
}

/// Why reducing is better than waiting for this source.
fn not_worth(i: &Inputs<'_>, source: &Source, fee: Usd) -> Option<String> {
    let RouteTerms { delay, cost } = source.terms;
    // inside a venue a transfer takes no longer than an order
    let runway = if source.inside { None } else { Some(runway(i.line).unwrap_or(Span::ZERO)) };
    if let Some(runway) = runway.filter(|runway| *runway < delay) {
        return Some(format!("it takes {delay}, and the runway is {runway}"));
    }
    let (cost, unwinding) = (cost + fee, i.unwinding?);
    (cost > unwinding).then(|| {
        let unwinding = unwinding.ceil(CENTS);
        format!("it costs up to {cost}, and reducing to the target costs {unwinding}")
    })
}

/// What an account that needs nothing has too much of.
fn sweep(i: &Inputs<'_>, equity: Usd, standings: &[Standing<'_>], shown: String) -> Decision {
    let rest = |why| Decision { action: TreasuryAction::Rest, why, step: None, skipped: vec![None; i.sources.len()] };
    let Some(sweep) = i.plan.sweep.filter(|_| i.may_sweep && i.cascade.is_none() && i.under_way.is_empty()) else {
        return rest(shown);
    };
    let above = i.line.cover.is_some_and(|c| c > raised(sweep.ceiling, i.cover));
    if !above || i.line.level != MarginLevel::Ok || i.unsettled.is_some() {
        return rest(shown);
    }
    let ceiling = equity - i.line.maintenance.times(sweep.ceiling);
    // what a scenario needs stays, with the hysteresis on top, or a top-up would bring it back
    let kept = |s: &Standing<'_>| s.equity - s.maintenance.times(raised(s.target, i.cover));
    let most = standings.iter().map(kept).min().unwrap_or_default().min(ceiling).min(i.withdrawable.unwrap_or_default());
    let amount = floor(most.min(i.room_inside));
    if amount < sweep.least {
        return rest(shown);
    }
    let why = format!("{shown}, above the ceiling of {}: {amount} goes back to spot", sweep.ceiling);
    let step = Step { route: Route::PerpToSpot, amount, fee_max: Usd::ZERO, source: None };
    Decision { action: TreasuryAction::Sweep, why, step: Some(step), skipped: vec![None; i.sources.len()] }
}

/// What reached the account by `transfer` since `since`, less what it took: part of what a fall is measured against.
pub(super) fn moved(transfer: &Transfer, own: domain::EvmAddress, since: Stamp) -> Usd {
    if transfer.at.mono < since.mono {
        return Usd::ZERO;
    }
    let arrived = matches!(transfer.state, TransferState::Ended(TransferOutcome::Arrived));
    let intent = &transfer.intent;
    if into(&intent.route, own) {
        let credited = transfer.credited.or(arrived.then_some(intent.amount - intent.fee_max));
        return credited.unwrap_or_default();
    }
    // what has not left for certain counts as still there: a fall is rather seen too large
    let left = matches!(transfer.state, TransferState::Landed | TransferState::Ended(TransferOutcome::Arrived));
    let stays = matches!(intent.route, Route::IsolatedMargin { .. });
    if left && !stays { -intent.amount } else { Usd::ZERO }
}

/// Whether money comes to the account by `route`.
pub(super) fn into(route: &Route, own: domain::EvmAddress) -> bool {
    match route {
        Route::SpotToPerp | Route::Bridge(_) | Route::Cctp { .. } => true,
        Route::SubAccount { sub, deposit } => *deposit == (*sub == own),
        Route::PerpToSpot | Route::IsolatedMargin { .. } | Route::Withdrawal { .. } => false,
    }
}

/// Whether an event can have changed what the account holds.
pub(super) fn settles(event: &TransferEvent) -> bool {
    matches!(
        event,
        TransferEvent::Accepted
            | TransferEvent::Credited { .. }
            | TransferEvent::Ended(TransferOutcome::Arrived | TransferOutcome::WrittenOff { .. })
    )
}

/// At two decimals, cut: for words.
fn short(ratio: Ratio) -> Decimal {
    ratio.decimal().trunc_with_scale(2)
}
