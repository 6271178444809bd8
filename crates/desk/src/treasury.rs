//! The treasury: keeps an account covered without a human, by moving collateral to it, exactly once and inside its budgets.
//!
//! Like every planner here it is a reconciler: at each look it compares what an account needs with what it has and what is under
//! way, takes one step, records it, and looks again. [`plan`] decides and is a function of its inputs; [`protocol`] carries a step
//! through the judge (`margin_guard::Treasury`), which may refuse everything that the planner thinks of.

mod account;
mod collect;
mod doors;
mod failures;
mod plan;
mod protocol;
mod sources;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::{
    Cascade, DepositSeen, EvmAddress, Fact, IdleBalance, IdlePlace, Ratio, Span, SpecFault, Stamp, TransferEvent, TransferId,
    TreasuryAction, Usd, UsdcRoads, Venue, Wei,
};
use margin_guard::{Cover, Treasury, TreasuryLimits};

use crate::drill::DrillPlan;

pub use view::{DestinationLine, SourceLine, TransferLine, TreasuryView, WalletLine};

/// How the treasury keeps an account, besides the limits that judge it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreasuryPlan {
    /// What it is judged by.
    pub limits: TreasuryLimits,
    /// The venue.
    pub venue: Venue,
    /// The account at the venue. A deposit credits its sender, so with a wallet it is the wallet's address.
    pub account: EvmAddress,
    /// Cover that a top-up restores as the account stands. A top-up is begun below `[guard.cover] top_up`, and begun again only
    /// after cover has been at the target.
    pub target: Ratio,
    /// Cover that it restores under every configured scenario (quant §4.4).
    pub target_shocked: Ratio,
    /// Take from the account's spot balance, down to this floor; absent: never.
    pub spot_floor: Option<Usd>,
    /// Take from the listed sub-accounts (from the master, if the account is itself one of them), down to this floor each; absent:
    /// never.
    pub sub_account_floor: Option<Usd>,
    /// Add margin to isolated positions whose own cover is low, from what the account has above its target.
    pub isolated: bool,
    /// Deposit from the wallet; absent: never.
    pub wallet: Option<WalletRung>,
    /// What a transfer inside the venue takes and costs.
    pub inside: RouteTerms,
    /// The same for a deposit through the bridge.
    pub bridge: RouteTerms,
    /// The same for a deposit by CCTP.
    pub cctp: RouteTerms,
    /// Send back what is above a ceiling; absent: never.
    pub sweep: Option<Sweep>,
    /// Whether the two targets are the operator's own. Those that are not follow `guard.cover`.
    pub own_targets: [bool; 2],
    /// Try the ways out and back; absent: never.
    pub drills: Option<DrillPlan>,
}

/// The wallet as a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletRung {
    /// Stays in the wallet.
    pub reserve: Usd,
    /// Gas that stays in the wallet, so that a burn or a replacement can always be paid.
    pub gas_reserve: Wei,
    /// How to deposit when the venue asks for CCTP; absent: then there is no deposit.
    pub cctp: Option<CctpRung>,
}

/// Terms of deposits by CCTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CctpRung {
    /// CCTP domain of the destination.
    pub destination_domain: u32,
    /// The contract on the destination that mints and forwards.
    pub forwarder: EvmAddress,
    /// Balance that is credited: 0 perpetuals.
    pub dex: u32,
    /// Finality that the burn must have reached.
    pub min_finality_threshold: u32,
    /// Most that may be kept on the way.
    pub fee_max: Usd,
    /// For how long an authorisation holds.
    pub valid_for: Span,
}

/// What a route takes and costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteTerms {
    /// From decision to credit, in the usual case.
    pub delay: Span,
    /// What a transfer costs besides the amount: gas, at a price that errs on the high side.
    pub cost: Usd,
}

/// Sending back what is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Cover as it stands above which the account has too much; it is swept down to this.
    pub ceiling: Ratio,
    /// Less than this is not worth moving.
    pub least: Usd,
}

impl TreasuryPlan {
    /// A plan that only keeps the ledger: no source is taken from, nothing is swept. `cover` gives the targets.
    #[must_use]
    pub fn new(limits: TreasuryLimits, venue: Venue, account: EvmAddress, cover: &Cover) -> TreasuryPlan {
        TreasuryPlan {
            limits,
            venue,
            account,
            target: cover.target.max(plan::target_floor(cover)),
            target_shocked: cover.shocked_min,
            spot_floor: None,
            sub_account_floor: None,
            isolated: false,
            wallet: None,
            // a venue answers within seconds
            inside: RouteTerms { delay: Span::secs(5), cost: Usd::ZERO },
            // a minute after inclusion, as the venue states (quant §1.10), and one for inclusion
            bridge: RouteTerms { delay: Span::secs(120), cost: Usd::whole(1).times(Ratio::scaled(GAS_COST_CENTS, 2)) },
            cctp: RouteTerms { delay: Span::secs(180), cost: Usd::whole(1).times(Ratio::scaled(GAS_COST_CENTS, 2)) },
            sweep: None,
            own_targets: [false; 2],
            drills: None,
        }
    }

    /// The plan under other margin levels.
    #[must_use]
    pub fn under(&self, cover: &Cover) -> TreasuryPlan {
        let usual = TreasuryPlan::new(self.limits.clone(), self.venue, self.account, cover);
        let [target, shocked] = self.own_targets;
        TreasuryPlan {
            target: if target { self.target } else { usual.target },
            target_shocked: if shocked { self.target_shocked } else { usual.target_shocked },
            ..self.clone()
        }
    }

    /// What does not fit together, each fault under the path of its key below `treasury`.
    #[must_use]
    pub fn faults(&self, cover: &Cover) -> Vec<SpecFault> {
        let mut faults = Vec::new();
        let mut add = |field: &str, value: String, expected: String| {
            faults.push(SpecFault { field: format!("treasury.{field}"), value, expected });
        };
        let least = plan::target_floor(cover);
        if self.target < least {
            let expected = format!("at least {least}: guard.cover.top_up and its hysteresis, or the level would not be left");
            add("target", self.target.to_string(), expected);
        }
        if self.target_shocked < cover.kill || self.target_shocked > self.target {
            let expected = format!("from guard.cover.kill ({}) to treasury.target ({})", cover.kill, self.target);
            add("target_shocked", self.target_shocked.to_string(), expected);
        }
        if let Some(sweep) = &self.sweep {
            let least = plan::sweep_floor(self.target, cover);
            if sweep.ceiling < least {
                let expected = format!("at least {least}: above the target and the watch level by their hysteresis");
                add("sweep.ceiling", sweep.ceiling.to_string(), expected);
            }
        }
        match (&self.wallet, self.limits.wallet()) {
            (Some(_), None) => add("wallet", "(nothing)".into(), "the wallet that top_up deposits from".into()),
            (Some(_), Some(wallet)) if wallet.address != self.account => {
                let expected = format!("the account's own address ({}): the venue credits the sender", self.account);
                add("wallet.address", wallet.address.to_string(), expected);
            }
            (Some(_) | None, _) => {}
        }
        faults
    }
}

impl Treasurer {
    /// What keeps the plan from working under other margin levels.
    pub(crate) fn faults_under(&self, cover: &Cover) -> Vec<SpecFault> {
        self.plan.under(cover).faults(cover)
    }

    /// From here on these margin levels apply.
    pub(crate) fn follow(&mut self, cover: &Cover) {
        self.plan = self.plan.under(cover);
    }
}

/// A token transfer on Arbitrum on a dear day: 100,000 units of gas at 0.1 gwei and 5,000 USD per ether.
const GAS_COST_CENTS: i64 = 5;
/// Refusals that are kept for the operator's eye.
const REFUSALS_KEPT: usize = 20;

/// A refusal that the operator should see.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RefusedTransfer {
    /// When.
    pub at: Stamp,
    /// What was asked, in words.
    pub what: String,
    /// Why not, with the numbers.
    pub why: String,
}

/// The treasury's part of the desk.
#[derive(Debug)]
pub(crate) struct Treasurer {
    plan: TreasuryPlan,
    judge: Treasury,
    /// Idle collateral as last read.
    idle: BTreeMap<IdlePlace, IdleBalance>,
    roads: Option<UsdcRoads>,
    /// When the venue was asked for it last.
    asked: Option<Stamp>,
    /// When it was asked for the account's deposits last.
    ledger_asked: Option<Stamp>,
    /// Whether the account is at the watch level or below.
    watched: bool,
    /// Transfers of earlier tenures that this one goes on with.
    resumed: BTreeSet<TransferId>,
    /// When an unanswered transfer at the venue is sent again, and how often it was.
    again: BTreeMap<TransferId, (Stamp, u32)>,
    /// The decision in force, as the journal has it.
    decision: domain::TreasuryDecision,
    decided: Option<Stamp>,
    /// When this tenure recorded a decision last.
    worded: Option<Stamp>,
    /// The decision at the last look, whose figures may be newer than the recorded one's.
    latest: Option<plan::Decision>,
    /// Whether a top-up was begun and its target is not reached yet.
    begun: bool,
    /// The run of top-ups at work, and when cover was low last.
    cascade: Option<Cascade>,
    low: Option<Stamp>,
    /// When money was last sent down the ladder.
    swept: Option<Stamp>,
    /// Since when an answer about a source is awaited.
    awaited: Option<Stamp>,
    /// When a transfer last changed what the account or a source holds.
    moved_at: Option<Stamp>,
    /// Sources that the judge refused, when and why.
    refused: BTreeMap<String, (Stamp, String)>,
    refusals: VecDeque<RefusedTransfer>,
    /// What was told and when, so that it is told again only rarely.
    told: BTreeMap<String, Stamp>,
    /// Credits booked, newest last; a row of the venue's ledger is booked once.
    booked: VecDeque<DepositSeen>,
    /// Rows that nothing was waiting for although they look like one of our transfers (F91).
    surplus: VecDeque<DepositSeen>,
    /// Why the ledger cannot be relied on: a record did not follow those before it. Nothing is moved then.
    broken: Option<String>,
    /// The newest event recorded of each open transfer: a repeat is not recorded.
    newest: BTreeMap<TransferId, TransferEvent>,
    /// When signed bytes of each transfer were cleared last, in this tenure.
    signed: BTreeMap<TransferId, Stamp>,
    /// How long the latest deposits took from decision to credit, drills among them, by the route's name.
    measured: BTreeMap<&'static str, VecDeque<Span>>,
    /// Failures of sources, folded from the journal.
    failures: BTreeMap<String, failures::Failures>,
}

impl Treasurer {
    pub(crate) fn new(plan: TreasuryPlan) -> Treasurer {
        let decision =
            domain::TreasuryDecision { venue: plan.venue, action: TreasuryAction::Rest, why: String::new(), cascade: None };
        Treasurer {
            judge: Treasury::new(plan.limits.clone()),
            plan,
            idle: BTreeMap::new(),
            roads: None,
            asked: None,
            ledger_asked: None,
            watched: false,
            resumed: BTreeSet::new(),
            again: BTreeMap::new(),
            decision,
            decided: None,
            worded: None,
            latest: None,
            begun: false,
            cascade: None,
            low: None,
            swept: None,
            awaited: None,
            moved_at: None,
            refused: BTreeMap::new(),
            refusals: VecDeque::new(),
            told: BTreeMap::new(),
            booked: VecDeque::new(),
            surplus: VecDeque::new(),
            broken: None,
            newest: BTreeMap::new(),
            signed: BTreeMap::new(),
            measured: BTreeMap::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Takes in what is told of balances.
    pub(crate) fn observe(&mut self, fact: &Fact) {
        if let Fact::Wallet(view) = fact {
            self.judge.observe((**view).clone());
        } else if let Fact::WalletDoubt(why) = fact {
            self.judge.doubt(why.clone());
        } else if let Fact::Idle(balance) = fact {
            self.on_idle(balance);
        } else if let Fact::Roads(roads) = fact {
            self.on_roads(roads);
        }
    }
}
