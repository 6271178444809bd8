//! Treasury limits: what was written under `[treasury]`, and what it means.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use domain::{EvmAddress, Ratio, Span, SpecFault, Usd, Venue, Wei, plain_decimal};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::RawNumber;

/// Arbitrum One: real money.
pub(super) const MAINNETS: [u64; 1] = [42_161];
/// A new destination waits at least this long where money is real (I13).
const MAINNET_DELAY_HOURS: u64 = 24;
/// Above any budget that an unattended process should have.
const BUDGET_MAX_USD: i64 = 1_000_000_000;
/// More than a thousand gas costs of a token transfer on the dearest day a Layer-2 has seen.
const GAS_MAX_ETHER: i64 = 1;
/// A month: who waits longer has forgotten the entry.
const DELAY_HOURS_MAX: u64 = 720;
/// The allow-list is read by people.
const DESTINATIONS_MAX: usize = 16;

/// `[treasury]` as written. Without the section no money moves by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawTreasury {
    /// Most that one transfer between a chain and a venue moves. Default 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer_max_usd: Option<RawNumber>,
    /// Most that such transfers move within an hour, open ones included. Default 2,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hour_max_usd: Option<RawNumber>,
    /// The same for 24 hours. Default 5,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day_max_usd: Option<RawNumber>,
    /// The same for 7 days. Default 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub week_max_usd: Option<RawNumber>,
    /// Most that one transfer inside a venue moves. Default 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inside_transfer_max_usd: Option<RawNumber>,
    /// Most that transfers inside venues move within 24 hours. Default 50,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inside_day_max_usd: Option<RawNumber>,
    /// Most that gas of one transfer may cost, in ether. Default 0.0005.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gas_transfer_max_ether: Option<RawNumber>,
    /// Most that gas may cost within 24 hours, in ether. Default 0.002.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gas_day_max_ether: Option<RawNumber>,
    /// Hours for which a destination must have been listed before money goes there; at least 24 on a main network. Default 24.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_delay_hours: Option<RawNumber>,
    /// Minutes within which a venue must have credited what has left. Default 15.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credit_timeout_min: Option<RawNumber>,
    /// Greatest age of what is known of the wallet, in seconds. Default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet_age_max_s: Option<RawNumber>,
    /// The wallet. Without it, money moves inside venues only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wallet: Option<RawWallet>,
    /// Where money may go, by a name of the operator's choice.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub destination: BTreeMap<String, RawDestination>,
}

/// `[treasury.wallet]` as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawWallet {
    /// The chain, such as 42161. Needed.
    pub chain_id: Option<RawNumber>,
    /// The wallet's address; the key in its key file must be this one's. Needed.
    pub address: String,
    /// The token's address. Needed.
    pub token: String,
}

/// One `[treasury.destination.NAME]` as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawDestination {
    /// `bridge`, `cctp`, `sub_account` or `withdrawal`.
    pub kind: String,
    /// The address.
    pub address: String,
}

/// For which way a destination is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DestinationKind {
    /// The venue's bridge contract.
    Bridge,
    /// The CCTP extension contract.
    Cctp,
    /// A sub-account at the venue.
    SubAccount,
    /// An address that may be withdrawn to.
    Withdrawal,
}

impl DestinationKind {
    const ALL: [(&str, DestinationKind); 4] = [
        ("bridge", DestinationKind::Bridge),
        ("cctp", DestinationKind::Cctp),
        ("sub_account", DestinationKind::SubAccount),
        ("withdrawal", DestinationKind::Withdrawal),
    ];
}

/// A place where money may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Destination {
    /// For which way.
    pub kind: DestinationKind,
    /// Its address.
    pub address: EvmAddress,
}

/// Which wallet moves which token on which chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WalletLimits {
    /// The chain.
    pub chain_id: u64,
    /// The wallet.
    pub address: EvmAddress,
    /// The token.
    pub token: EvmAddress,
}

/// Checked treasury limits. Made by [`TreasuryLimits::check`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreasuryLimits {
    pub(super) transfer: Usd,
    pub(super) hour: Usd,
    pub(super) day: Usd,
    pub(super) week: Usd,
    pub(super) inside_transfer: Usd,
    pub(super) inside_day: Usd,
    pub(super) gas_transfer: Wei,
    pub(super) gas_day: Wei,
    pub(super) delay: Span,
    pub(super) credit_timeout: Span,
    pub(super) wallet_age: Span,
    pub(super) wallet: Option<WalletLimits>,
    pub(super) destination: BTreeMap<String, Destination>,
    id: u64,
    text: String,
}

const HOUR_S: u64 = 3_600;

impl TreasuryLimits {
    /// What `raw` means, with every default filled in.
    ///
    /// # Errors
    /// All faults at once, each with its path such as `treasury.day_max_usd`, its value and what would be right.
    pub fn check(raw: &RawTreasury) -> Result<TreasuryLimits, Vec<SpecFault>> {
        let mut faults = Faults(Vec::new());
        let f = &mut faults;
        let wallet = raw.wallet.as_ref().and_then(|wallet| f.wallet(wallet));
        let delay = f.whole("destination_delay_hours", raw.destination_delay_hours.as_ref(), 24, (0, DELAY_HOURS_MAX));
        if wallet.is_some_and(|w| MAINNETS.contains(&w.chain_id)) && delay < MAINNET_DELAY_HOURS {
            f.add("destination_delay_hours", delay.to_string(), "at least 24 on a main network");
        }
        let destination = f.destinations(&raw.destination);
        let limits = TreasuryLimits {
            transfer: f.usd("transfer_max_usd", raw.transfer_max_usd.as_ref(), 1_000),
            hour: f.usd("hour_max_usd", raw.hour_max_usd.as_ref(), 2_000),
            day: f.usd("day_max_usd", raw.day_max_usd.as_ref(), 5_000),
            week: f.usd("week_max_usd", raw.week_max_usd.as_ref(), 10_000),
            inside_transfer: f.usd("inside_transfer_max_usd", raw.inside_transfer_max_usd.as_ref(), 10_000),
            inside_day: f.usd("inside_day_max_usd", raw.inside_day_max_usd.as_ref(), 50_000),
            gas_transfer: f.ether("gas_transfer_max_ether", raw.gas_transfer_max_ether.as_ref(), Wei::gwei(500_000)),
            gas_day: f.ether("gas_day_max_ether", raw.gas_day_max_ether.as_ref(), Wei::gwei(2_000_000)),
            delay: Span::secs(delay * HOUR_S),
            credit_timeout: Span::secs(60 * f.whole("credit_timeout_min", raw.credit_timeout_min.as_ref(), 15, (1, 1_440))),
            wallet_age: Span::secs(f.whole("wallet_age_max_s", raw.wallet_age_max_s.as_ref(), 30, (1, 600))),
            wallet,
            destination,
            id: 0,
            text: String::new(),
        };
        let order = [
            ("hour_max_usd", "transfer_max_usd", limits.hour, limits.transfer),
            ("day_max_usd", "hour_max_usd", limits.day, limits.hour),
            ("week_max_usd", "day_max_usd", limits.week, limits.day),
            ("inside_day_max_usd", "inside_transfer_max_usd", limits.inside_day, limits.inside_transfer),
        ];
        for (field, least, value, smaller) in order {
            if value < smaller {
                f.add(field, value.to_string(), format!("at least {least} ({smaller})"));
            }
        }
        if limits.gas_day < limits.gas_transfer {
            let least = format!("at least gas_transfer_max_ether ({})", limits.gas_transfer);
            f.add("gas_day_max_ether", limits.gas_day.to_string(), least);
        }
        if faults.0.is_empty() { Ok(limits.sealed()) } else { Err(faults.0) }
    }

    fn sealed(mut self) -> TreasuryLimits {
        self.text = serde_json::to_string(&self.written()).unwrap_or_default();
        let hash = blake3::hash(self.text.as_bytes());
        self.id = hash.as_bytes().iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte));
        self
    }

    fn written(&self) -> RawTreasury {
        let usd = |usd: Usd| Some(RawNumber::new(usd.to_string()));
        let ether = |wei: Wei| Some(RawNumber::new(wei.to_string()));
        let whole = |n: u64| Some(RawNumber::new(n.to_string()));
        let seconds = |span: Span| span.as_millis() / 1_000;
        let name = |kind: DestinationKind| DestinationKind::ALL.iter().find(|(_, k)| *k == kind).map_or("", |(name, _)| name);
        let destination = self
            .destination
            .iter()
            .map(|(key, one)| (key.clone(), RawDestination { kind: name(one.kind).into(), address: one.address.to_string() }));
        RawTreasury {
            transfer_max_usd: usd(self.transfer),
            hour_max_usd: usd(self.hour),
            day_max_usd: usd(self.day),
            week_max_usd: usd(self.week),
            inside_transfer_max_usd: usd(self.inside_transfer),
            inside_day_max_usd: usd(self.inside_day),
            gas_transfer_max_ether: ether(self.gas_transfer),
            gas_day_max_ether: ether(self.gas_day),
            destination_delay_hours: whole(seconds(self.delay) / HOUR_S),
            credit_timeout_min: whole(seconds(self.credit_timeout) / 60),
            wallet_age_max_s: whole(seconds(self.wallet_age)),
            wallet: self.wallet.map(|w| RawWallet {
                chain_id: whole(w.chain_id),
                address: w.address.to_string(),
                token: w.token.to_string(),
            }),
            destination: destination.collect(),
        }
    }

    /// The first 8 bytes of the BLAKE3 hash of [`TreasuryLimits::text`], as a number: recorded with every transfer.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// The limits as JSON, every default filled in. Reading it back as [`RawTreasury`] and checking it gives the same limits.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The wallet, if one is configured.
    #[must_use]
    pub const fn wallet(&self) -> Option<&WalletLimits> {
        self.wallet.as_ref()
    }

    /// Where money may go, by name.
    #[must_use]
    pub const fn destinations(&self) -> &BTreeMap<String, Destination> {
        &self.destination
    }

    /// Most that gas of one transfer may cost.
    #[must_use]
    pub const fn gas_transfer_max(&self) -> Wei {
        self.gas_transfer
    }

    /// Within which time a venue must have credited what has left.
    #[must_use]
    pub const fn credit_timeout(&self) -> Span {
        self.credit_timeout
    }

    /// The limits in plain words, one a line, for `plimsoll check`.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut out = String::new();
        let mut line = |text: fmt::Arguments<'_>| {
            // writing to a string cannot fail
            let _written: fmt::Result = writeln!(out, "{text}");
        };
        line(format_args!(
            "a transfer between chain and venue moves at most {}; all of them at most {} an hour, {} a day, {} a week",
            self.transfer, self.hour, self.day, self.week
        ));
        line(format_args!(
            "a transfer inside a venue moves at most {}; all of them at most {} a day",
            self.inside_transfer, self.inside_day
        ));
        line(format_args!(
            "gas costs at most {} ether a transfer and {} a day; one transfer of a wallet is open at a time",
            self.gas_transfer, self.gas_day
        ));
        match &self.wallet {
            None => line(format_args!("no wallet: money moves inside venues only")),
            Some(w) => line(format_args!("the wallet {} moves the token {} on chain {}", w.address, w.token, w.chain_id)),
        }
        for (name, one) in &self.destination {
            line(format_args!("money may go to {} ({name}, {:?})", one.address, one.kind));
        }
        line(format_args!(
            "a destination must have been listed for {} before money goes there; what the venue has not credited after {} is \
             reported and not sent again",
            self.delay, self.credit_timeout
        ));
        out
    }
}

struct Faults(Vec<SpecFault>);

impl Faults {
    fn add(&mut self, field: &str, value: impl Into<String>, expected: impl Into<String>) {
        let value = value.into().chars().take(80).collect();
        self.0.push(SpecFault { field: format!("treasury.{field}"), value, expected: expected.into() });
    }

    fn decimal(&mut self, field: &str, raw: Option<&RawNumber>, what: &str, fits: impl Fn(Decimal) -> bool) -> Option<Decimal> {
        let raw = raw?;
        if raw.is_float() {
            self.add(field, raw.to_string(), format!("{what}, written in quotes: a float is not exact"));
            return None;
        }
        let value = plain_decimal(&raw.to_string()).filter(|value| fits(*value));
        if value.is_none() {
            self.add(field, raw.to_string(), what);
        }
        value
    }

    fn usd(&mut self, field: &str, raw: Option<&RawNumber>, default: i32) -> Usd {
        let what = "an amount above 0 and up to 10^9 with at most 6 decimals";
        let fits = |v: Decimal| v > Decimal::ZERO && v <= Decimal::from(BUDGET_MAX_USD) && v.normalize().scale() <= 6;
        self.decimal(field, raw, what, fits).and_then(|v| Usd::new(v).ok()).unwrap_or(Usd::whole(default))
    }

    fn ether(&mut self, field: &str, raw: Option<&RawNumber>, default: Wei) -> Wei {
        let what = "an amount of ether above 0 and up to 1 with at most 18 decimals";
        let fits = |v: Decimal| v > Decimal::ZERO && v <= Decimal::from(GAS_MAX_ETHER) && Wei::from_ether(v).is_some();
        self.decimal(field, raw, what, fits).and_then(Wei::from_ether).unwrap_or(default)
    }

    fn whole(&mut self, field: &str, raw: Option<&RawNumber>, default: u64, (low, high): (u64, u64)) -> u64 {
        let what = format!("a whole number, {low} to {high}");
        let fits = |v: Decimal| v.normalize().scale() == 0 && v >= Decimal::from(low) && v <= Decimal::from(high);
        self.decimal(field, raw, &what, fits).and_then(|v| u64::try_from(v).ok()).unwrap_or(default)
    }

    fn address(&mut self, field: &str, text: &str) -> Option<EvmAddress> {
        let read = text.parse::<EvmAddress>().ok().filter(|address| address.0 != [0; 20]);
        if read.is_none() {
            self.add(field, text, "an address: 0x and 40 hexadecimal digits, not all zero");
        }
        read
    }

    fn wallet(&mut self, raw: &RawWallet) -> Option<WalletLimits> {
        if raw.chain_id.is_none() {
            self.add("wallet.chain_id", "", "the number of the chain, such as 42161");
        }
        let chain_id = self.whole("wallet.chain_id", raw.chain_id.as_ref(), 0, (1, u64::from(u32::MAX)));
        let address = self.address("wallet.address", &raw.address);
        let token = self.address("wallet.token", &raw.token);
        Some(WalletLimits { chain_id, address: address?, token: token? })
    }

    fn destinations(&mut self, raw: &BTreeMap<String, RawDestination>) -> BTreeMap<String, Destination> {
        if raw.len() > DESTINATIONS_MAX {
            self.add("destination", raw.len().to_string(), format!("at most {DESTINATIONS_MAX} destinations"));
        }
        let mut checked: BTreeMap<String, Destination> = BTreeMap::new();
        for (name, one) in raw {
            let kind = DestinationKind::ALL.iter().find(|(text, _)| *text == one.kind).map(|(_, kind)| *kind);
            if kind.is_none() {
                self.add(&format!("destination.{name}.kind"), &one.kind, "bridge, cctp, sub_account or withdrawal");
            }
            let address = self.address(&format!("destination.{name}.address"), &one.address);
            let (Some(kind), Some(address)) = (kind, address) else { continue };
            let listed = Destination { kind, address };
            match checked.iter().find(|(_, other)| **other == listed) {
                Some((other, _)) => {
                    let what = format!("a destination that is not listed as {other} already");
                    self.add(&format!("destination.{name}.address"), &one.address, what);
                }
                None => {
                    checked.insert(name.clone(), listed);
                }
            }
        }
        checked
    }
}

/// The least that arrives by each way, with what the way itself keeps (Hyperliquid).
pub(super) struct Least {
    /// Least amount that arrives.
    pub(super) arrives: Usd,
    /// What the venue keeps at any rate.
    pub(super) fee: Usd,
}

/// The least that `venue` credits of a deposit; less is lost.
#[must_use]
pub fn least_deposit(venue: Venue) -> Usd {
    least(venue, Some(DestinationKind::Bridge)).arrives
}

/// What `venue` keeps of a withdrawal.
#[must_use]
pub fn withdrawal_fee(venue: Venue) -> Usd {
    least(venue, Some(DestinationKind::Withdrawal)).fee
}

/// What `venue` credits at least. Less than 5 USDC by its bridge is lost for ever; the same is asked of the other deposit, since the
/// venue switches between the two. A withdrawal costs 1 USDC and must leave something.
pub(super) fn least(venue: Venue, kind: Option<DestinationKind>) -> Least {
    let cent = Usd::whole(1).times(Ratio::scaled(1, 2));
    match (venue, kind) {
        (Venue::Hyperliquid | Venue::Dydx, Some(DestinationKind::Bridge | DestinationKind::Cctp)) => {
            Least { arrives: Usd::whole(5), fee: Usd::ZERO }
        }
        (Venue::Hyperliquid | Venue::Dydx, Some(DestinationKind::Withdrawal)) => {
            Least { arrives: Usd::whole(1), fee: Usd::whole(1) }
        }
        (Venue::Hyperliquid | Venue::Dydx, Some(DestinationKind::SubAccount) | None) => Least { arrives: cent, fee: Usd::ZERO },
    }
}
