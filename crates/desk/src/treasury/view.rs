//! What an operator sees of the treasury. Reading it changes nothing.

use domain::{
    Cascade, DepositSeen, EvmAddress, IdlePlace, Route, Span, Stamp, Stamped, Transfer, TransferId, TreasuryAction, Usd,
    UsdcRoads, Venue, Wei,
};
use margin_guard::{Budgets, DestinationKind, TreasuryFault};
use serde::Serialize;

use super::{RefusedTransfer, Treasurer, TreasuryPlan};
use crate::Desk;

/// Ended transfers that are shown.
const ENDED_SHOWN: usize = 20;

/// The wallet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WalletLine {
    /// Its chain.
    pub chain_id: u64,
    /// Its address.
    pub address: EvmAddress,
    /// What it has of the token; absent while it is not known.
    pub balance: Option<Usd>,
    /// What it has for gas.
    pub gas: Option<Wei>,
    /// Its next nonce.
    pub nonce: Option<u64>,
    /// Price of one unit of gas.
    pub base_fee: Option<Wei>,
    /// How long ago that was read, seconds.
    pub age_s: Option<u64>,
    /// Why nothing can be sent from it now; absent if it can.
    pub doubt: Option<String>,
}

/// A place that collateral can be taken from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceLine {
    /// Its name: `spot`, `sub-account`, `master`, `isolated margin`, `wallet`.
    pub name: String,
    /// What lies there, as last read.
    pub balance: Option<Usd>,
    /// Stays there.
    pub floor: Usd,
    /// How long ago it was read, seconds.
    pub age_s: Option<u64>,
    /// Why it is not taken from; absent if it can be.
    pub skipped: Option<String>,
}

/// Where money may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DestinationLine {
    /// The operator's name of it.
    pub name: String,
    /// For which way.
    pub kind: DestinationKind,
    /// Its address.
    pub address: EvmAddress,
}

/// A transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TransferLine {
    /// Which.
    pub id: TransferId,
    /// By which way.
    pub route: Route,
    /// How much left, or is to leave.
    pub amount: Usd,
    /// Where it is: `intended`, `signed`, `sent`, `included`, `confirmed`, `landed`, `ended`.
    pub state: &'static str,
    /// All that is known of it.
    pub transfer: Transfer,
}

/// The treasury.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TreasuryView {
    /// When.
    pub at: Stamp,
    /// Whose account.
    pub venue: Venue,
    /// Its address.
    pub account: EvmAddress,
    /// Equity at the venue, as the guard reckons it.
    pub equity: Option<Usd>,
    /// What may be withdrawn from it, in the venue's words.
    pub withdrawable: Option<Usd>,
    /// The wallet, if one is configured.
    pub wallet: Option<WalletLine>,
    /// Every source, in the order in which it is taken from.
    pub sources: Vec<SourceLine>,
    /// Money that has left its source and is not credited.
    pub in_flight: Usd,
    /// By which roads the venue takes and pays USDC.
    pub roads: Option<UsdcRoads>,
    /// Budgets, spent and left.
    pub budgets: Budgets,
    /// Where money may go.
    pub destinations: Vec<DestinationLine>,
    /// What is done.
    pub action: TreasuryAction,
    /// Why, with the newest numbers.
    pub why: String,
    /// The amount of the next step, if there is one.
    pub amount: Option<Usd>,
    /// Since when that is done.
    pub since: Option<Stamp>,
    /// The run of top-ups at work.
    pub cascade: Option<Cascade>,
    /// Transfers under way, oldest first.
    pub open: Vec<TransferLine>,
    /// The latest that are over, newest first.
    pub ended: Vec<TransferLine>,
    /// The latest refusals, oldest first.
    pub refusals: Vec<RefusedTransfer>,
    /// Deposits that look like a second credit (F91).
    pub surplus: Vec<DepositSeen>,
    /// Why no money is moved at all: the ledger is broken.
    pub broken: Option<String>,
}

pub(super) fn place_name(place: IdlePlace) -> String {
    match place {
        IdlePlace::Spot => "spot".into(),
        IdlePlace::SubAccount(address) => format!("sub-account {address}"),
        IdlePlace::Master => "master".into(),
    }
}

fn seconds(span: Span) -> u64 {
    span.as_millis() / 1_000
}

fn line(transfer: &Transfer) -> TransferLine {
    let intent = &transfer.intent;
    TransferLine {
        id: intent.id,
        route: intent.route,
        amount: intent.amount,
        state: transfer.state.name(),
        transfer: transfer.clone(),
    }
}

impl Treasurer {
    fn source_lines(&self, now: Stamp) -> Vec<SourceLine> {
        let skipped = self.latest.as_ref().map(|d| d.skipped.clone()).unwrap_or_default();
        let lines = self.sources(now).into_iter().enumerate().map(|(at, source)| SourceLine {
            name: source.name,
            balance: source.balance,
            floor: source.floor,
            age_s: source.at.map(|at| seconds(now.since(at))),
            skipped: source.free.err().or(source.route.err()).or_else(|| skipped.get(at).cloned().flatten()),
        });
        lines.collect()
    }

    fn wallet_line(&self, now: Stamp) -> Option<WalletLine> {
        let limits = self.plan.limits.wallet()?;
        let view = self.judge.wallet(now);
        let doubt =
            view.as_ref().err().map(ToString::to_string).or_else(|| self.judge.next_nonce(now).err().map(|e| e.to_string()));
        let view = view.ok();
        Some(WalletLine {
            chain_id: limits.chain_id,
            address: limits.address,
            balance: view.map(|v| v.balance),
            gas: view.map(|v| v.gas),
            nonce: view.map(|v| v.nonce),
            base_fee: view.map(|v| v.base_fee),
            age_s: view.map(|v| seconds(now.since(v.at))),
            doubt,
        })
    }
}

impl Treasurer {
    fn view(&self, now: Stamp) -> TreasuryView {
        let (plan, judge) = (&self.plan, &self.judge);
        let open: Vec<TransferLine> = judge.transfers().filter(|t| t.open()).map(line).collect();
        let left = |t: &&TransferLine| t.transfer.credited.is_none() && t.state != "intended";
        let ended: Vec<&Transfer> = judge.transfers().filter(|t| !t.open()).collect();
        let latest = self.latest.as_ref();
        TreasuryView {
            at: now,
            venue: plan.venue,
            account: plan.account,
            equity: None,
            withdrawable: None,
            wallet: self.wallet_line(now),
            sources: self.source_lines(now),
            in_flight: open.iter().filter(left).map(|t| t.amount).sum(),
            roads: self.roads,
            budgets: judge.budgets(now),
            destinations: plan
                .limits
                .destinations()
                .iter()
                .map(|(name, d)| DestinationLine { name: name.clone(), kind: d.kind, address: d.address })
                .collect(),
            action: latest.map_or(self.decision.action, |d| d.action),
            why: latest.map_or_else(|| self.decision.why.clone(), |d| d.why.clone()),
            amount: latest.and_then(|d| d.step.as_ref()).map(|step| step.amount),
            since: self.decided,
            cascade: self.cascade,
            ended: ended.into_iter().rev().take(ENDED_SHOWN).map(line).collect(),
            open,
            refusals: self.refusals.iter().cloned().collect(),
            surplus: self.surplus.iter().copied().collect(),
            broken: self.broken.clone(),
        }
    }
}

impl TreasuryView {
    /// What `journal` alone says at `now`: the ledger, budgets, refusals, the last decision. `plan` names the limits to show; balances
    /// are in no journal and stay unknown.
    ///
    /// # Errors
    /// If the records of transfers do not follow each other.
    pub fn of_journal(plan: TreasuryPlan, journal: &[Stamped], now: Stamp) -> Result<TreasuryView, TreasuryFault> {
        let mut treasurer = Treasurer::new(plan);
        for stamped in journal {
            treasurer.fold(stamped.at, &stamped.entry)?;
        }
        Ok(treasurer.view(now))
    }
}

impl Desk {
    /// Everything an operator may want to see of the treasury; `None` if none is configured.
    #[must_use]
    pub fn treasury(&self, now: Stamp) -> Option<TreasuryView> {
        let treasurer = self.treasurer.as_ref()?;
        let venue = treasurer.plan.venue;
        let load = self.guard.load_line(now).into_iter().find(|line| line.venue == venue);
        let state = self.venues.iter().find(|v| v.venue == venue);
        Some(TreasuryView {
            equity: load.and_then(|line| line.equity),
            withdrawable: state.and_then(|s| s.view.as_ref()).map(|view| view.withdrawable),
            ..treasurer.view(now)
        })
    }
}
