//! `[treasury.drill]`: how the ways out of the venue are tried.

use std::collections::BTreeMap;
use std::path::PathBuf;

use desk::{DrillPlan, DrillTerms};
use domain::{DrillPath, Ratio, Span, Stamp, Usd, Venue};
use margin_guard::{DestinationKind, Treasury, TreasuryLimits, least_deposit, withdrawal_fee};
use serde_json::{Value, json};

use super::checked::{BOOL, Faults, duration, word};
use super::raw::RawDrillPart;
use super::treasury::{AMOUNT, Around, TreasuryPart, usd};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const VENUE: Venue = Venue::Hyperliquid;

/// `[treasury.drill]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrillPart {
    /// At most so long between two drills of a path.
    pub every: Span,
    /// So long past that it is overdue.
    pub grace: Span,
    /// The operator's own signer, if withdrawals are to be tried without him.
    pub signer_file: Option<PathBuf>,
    /// Out to the wallet and back.
    pub chain: DrillTerms,
    /// Between balances of the venue.
    pub inside: DrillTerms,
}

impl DrillPart {
    /// Checks `raw`; its faults go to `faults`. Nothing without the word.
    pub(super) fn check(
        faults: &mut Faults,
        raw: Option<&RawDrillPart>,
        limits: Option<&TreasuryLimits>,
        cctp_fee: Option<Usd>,
        around: &Around<'_>,
    ) -> Option<DrillPart> {
        let raw = raw?;
        let at = |key: &str| format!("treasury.drill.{key}");
        let enabled = faults.read(&at("enabled"), raw.enabled.as_ref(), false, "true or false", word(BOOL));
        let span = |faults: &mut Faults, key: &str, value, default, said: &str, low, high| {
            Span::millis(faults.read(&at(key), value, default, said, duration(low, high)))
        };
        let every = span(faults, "every", raw.every.as_ref(), 30 * DAY_MS, "a duration of 1h to 366d", HOUR_MS, 366 * DAY_MS);
        let grace = span(faults, "grace", raw.grace.as_ref(), 3 * DAY_MS, "a duration of 1s to 366d", 1_000, 366 * DAY_MS);
        let signer_file = raw.signer_file.as_ref().map(|name| around.base.join(&name.0));
        if let Some(file) = signer_file.as_ref().filter(|file| !file.is_file()) {
            faults.add(at("signer_file"), file.display(), "an existing file with the account's own key");
        }
        // out: what the venue keeps, and the least that it credits on the way back
        let least = withdrawal_fee(VENUE) + least_deposit(VENUE) + cctp_fee.unwrap_or_default();
        let mut terms = |key: &str, amount, least: Usd, expected, usual_ms| {
            let amount = faults.read(&at(&format!("{key}_usd")), amount, least, AMOUNT, usd);
            if amount < least {
                faults.add(at(&format!("{key}_usd")), amount, format!("at least {least}: less of it would be lost on the way"));
            }
            // as much goes out as comes back, and both count
            let room = limits.map(|limits| Treasury::new(limits.clone()).budgets(Stamp::default()));
            let room = room.map(|room| match key {
                "chain" => room.transfer_max.min(room.hour.max.times(Ratio::scaled(5, 1))),
                _ => room.inside_transfer_max.min(room.inside_day.max.times(Ratio::scaled(5, 1))),
            });
            if let Some(max) = room.filter(|max| amount > *max) {
                let expected = format!("at most {max}: the budgets of [treasury] must bear the way out and back");
                faults.add(at(&format!("{key}_usd")), amount, expected);
            }
            let said = "a duration of 1s to 24h";
            let expected = faults.read(&at(&format!("{key}_expected")), expected, usual_ms, said, duration(1_000, DAY_MS));
            DrillTerms { amount, expected: Span::millis(expected) }
        };
        let part = DrillPart {
            every,
            grace,
            signer_file,
            // the venue speaks of three to five minutes out, and of less than one back
            chain: terms("chain", raw.chain_usd.as_ref(), least, raw.chain_expected.as_ref(), 600_000),
            inside: terms("inside", raw.inside_usd.as_ref(), Usd::whole(1), raw.inside_expected.as_ref(), 30_000),
        };
        faults.unknown("treasury.drill", &raw.unknown);
        enabled.then_some(part)
    }

    /// The paths that the rest of `[treasury]` uses. `may_sign`: the account's own actions can be signed.
    #[must_use]
    pub fn plan(&self, treasury: &TreasuryPart, may_sign: bool) -> DrillPlan {
        let mut paths: BTreeMap<DrillPath, DrillTerms> =
            treasury.sub_accounts.iter().map(|(_, sub)| (DrillPath::SubAccount(*sub), self.inside)).collect();
        if self.reaches_wallet(treasury) {
            paths.insert(DrillPath::Chain, self.chain);
        }
        if treasury.spot && may_sign {
            paths.insert(DrillPath::Spot, self.inside);
        }
        DrillPlan { every: self.every, grace: self.grace, unattended: self.signer_file.is_some(), paths }
    }

    /// Whether the way out to the wallet can be tried: it must be listed.
    fn reaches_wallet(&self, treasury: &TreasuryPart) -> bool {
        let wallet = treasury.wallet.as_ref().and(treasury.limits.wallet());
        let mut listed = treasury.limits.destinations().values().filter(|one| one.kind == DestinationKind::Withdrawal);
        wallet.is_some_and(|wallet| listed.any(|one| one.address == wallet.address))
    }

    /// What of it decides what the daemon does, for the configuration's hash.
    pub(super) fn said(&self) -> Value {
        let terms = |terms: &DrillTerms| json!([terms.amount, terms.expected]);
        json!([self.every, self.grace, self.signer_file.is_some(), terms(&self.chain), terms(&self.inside)])
    }

    /// The section in plain words, one a line.
    pub(super) fn describe(&self, treasury: &TreasuryPart) -> Vec<String> {
        let paths: Vec<String> = self.plan(treasury, true).paths.keys().map(ToString::to_string).collect();
        let mut lines = vec![format!(
            "  drills try each way out and back at most {} apart ({}), with {} to the chain and {} inside; overdue after {} more",
            days(self.every),
            if paths.is_empty() { "there is none".to_owned() } else { paths.join(", ") },
            self.chain.amount,
            self.inside.amount,
            days(self.grace)
        )];
        if treasury.wallet.is_some() && !self.reaches_wallet(treasury) {
            lines.push("  the way out to the wallet is not tried: no destination of kind withdrawal has its address".to_owned());
        } else if treasury.wallet.is_some() {
            lines.push(match &self.signer_file {
                Some(file) => format!("  withdrawals of drills are signed with {}, which is read for each", file.display()),
                None => "  withdrawals of drills wait for you: plimsoll drill --path chain --signer FILE".to_owned(),
            });
        }
        lines
    }
}

/// A length of time as people say it.
fn days(span: Span) -> String {
    humantime::format_duration(std::time::Duration::from_millis(span.as_millis())).to_string()
}
