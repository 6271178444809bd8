//! What drills may see of the treasury, and the road back that both would take.

use domain::{CctpTerms, ChainLeg, EvmAddress, Route, Span, Stamp, Usd, UsdcRoad, Venue};
use margin_guard::{DestinationKind, Treasury, least_deposit};

use super::Treasurer;
use crate::drill::DrillPlan;

/// The venue's word on roads is read about once a minute; some of the reads may fail.
const ROADS_AGE_MAX: Span = Span::secs(300);

impl Treasurer {
    /// The judge and its ledger.
    pub(crate) const fn judge(&self) -> &Treasury {
        &self.judge
    }

    /// The venue whose account is kept.
    pub(crate) const fn venue(&self) -> Venue {
        self.plan.venue
    }

    /// The account that is kept.
    pub(crate) const fn account(&self) -> EvmAddress {
        self.plan.account
    }

    /// How exits are tried, if they are.
    pub(crate) const fn drills(&self) -> Option<&DrillPlan> {
        self.plan.drills.as_ref()
    }

    /// Whether a top-up was begun whose target is not reached yet.
    pub(crate) const fn is_topping_up(&self) -> bool {
        self.begun
    }

    /// The least that the venue credits of a deposit.
    pub(crate) fn deposit_least(&self) -> Usd {
        least_deposit(self.plan.venue)
    }

    /// Whether the venue's word on roads is missing or too old.
    pub(super) fn roads_are_old(&self, now: Stamp) -> bool {
        self.roads.is_none_or(|roads| now.since(roads.at) > ROADS_AGE_MAX)
    }

    /// The deposit that the venue takes now, and the most that may be kept of it.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(crate) fn deposit_route(&self, now: Stamp) -> Result<(Route, Usd), String> {
        let limits = self.judge.limits();
        let (rung, wallet) = self.plan.wallet.as_ref().zip(limits.wallet()).ok_or("no wallet is configured")?;
        let roads = self.roads.filter(|_| !self.roads_are_old(now));
        let road = roads.ok_or("by which road the venue takes deposits is not known")?.deposit;
        let kind = match road {
            UsdcRoad::Bridge => DestinationKind::Bridge,
            UsdcRoad::Cctp => DestinationKind::Cctp,
            UsdcRoad::Unknown => return Err("the venue takes deposits by a road that is not known".into()),
        };
        let contract = limits.destinations().values().find(|one| one.kind == kind).map(|one| one.address);
        let contract = contract.ok_or_else(|| format!("no destination of kind {kind:?} is listed"))?;
        let leg = ChainLeg {
            chain_id: wallet.chain_id,
            wallet: wallet.address,
            token: wallet.token,
            contract,
            gas_cost_max: limits.gas_transfer_max(),
        };
        if kind == DestinationKind::Bridge {
            return Ok((Route::Bridge(leg), Usd::ZERO));
        }
        let cctp = rung.cctp.ok_or("the venue asks for CCTP, whose terms are not configured")?;
        Ok((Route::Cctp { leg, terms: cctp.terms(now) }, cctp.fee_max))
    }
}

impl super::CctpRung {
    /// The terms of a deposit that is decided `now`.
    pub(crate) fn terms(&self, now: Stamp) -> CctpTerms {
        let now_s = now.wall_ms / 1_000;
        CctpTerms {
            destination_domain: self.destination_domain,
            forwarder: self.forwarder,
            dex: self.dex,
            min_finality_threshold: self.min_finality_threshold,
            // clocks differ: an authorisation that is not valid yet would revert
            valid_after_s: 0,
            valid_before_s: now_s.saturating_add(self.valid_for.as_millis() / 1_000),
        }
    }
}
