//! `[treasury]`: which money may move by itself, between which places, with which keys.
//!
//! Budgets and the list of destinations are [`margin_guard::RawTreasury`]'s to check: the judge of transfers holds them, and the
//! journal names them. What stands here is the daemon's: files, addresses, floors, routes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use desk::{CctpRung, RouteTerms, Sweep, TreasuryPlan, WalletRung};
use domain::{EvmAddress, Ratio, Span, Usd, Venue, Wei, plain_decimal};
use margin_guard::{Cover, DestinationKind, RawTreasury, TreasuryLimits};
use serde_json::{Value, json};
use venue_connector::hyperliquid::Network;

use super::checked::{BOOL, Endpoint, Faults, duration, within, word};
use super::drill::DrillPart;
use super::raw::{RawTreasuryPart, Scalar};

/// Arbitrum One, and the places that a deposit to Hyperliquid takes there. A wrong one would take the money (fact sheet §11).
const ARBITRUM: u64 = 42_161;
const ARBITRUM_USDC: &str = "0xaf88d065e77c8cc2239327c5edb3a432268e5831";
const ARBITRUM_BRIDGE: &str = "0x2df1c51e09aecf9cacb7bc98cb1742757f163df7";
const ARBITRUM_CCTP: &str = "0xa95d9c1f655341597c94393fddc30cf3c08e4fce";
/// One endpoint alone could call a transaction final that is not.
const MAINNET_ENDPOINTS_MIN: usize = 2;
/// More endpoints only make agreement rarer.
const ENDPOINTS_MAX: usize = 4;

/// Cover at which nobody misses what is above.
const SWEEP_CEILING: i64 = 20;
/// What an amount of a token must be.
pub(super) const AMOUNT: &str = "an amount from 0 with at most 6 decimals, in quotes";

/// Addresses of JSON-RPC endpoints. Such an address often carries a secret in its path, so only the hosts are shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoints(pub Vec<String>);

impl Endpoints {
    /// The hosts, without what stands behind them.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        let host =
            |url: &String| url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).split('/').next().map(str::to_owned);
        self.0.iter().filter_map(host).collect()
    }
}

impl std::fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.hosts()).finish()
    }
}

/// The wallet on a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletPart {
    /// Where its key is.
    pub key_file: PathBuf,
    /// Who is asked about the chain.
    pub endpoints: Endpoints,
    /// Blocks on top of a transaction's before it is called confirmed.
    pub confirmations: u64,
    /// Without an inclusion for so long, the transaction is replaced at a higher fee.
    pub replace_after: Span,
    /// Without an inclusion for so long, its nonce is burnt.
    pub give_up_after: Span,
    /// How often the chain is looked at.
    pub look_every: Duration,
    /// Tokens that stay in it.
    pub reserve: Usd,
    /// Coin that stays in it for gas.
    pub gas_reserve: Wei,
}

/// How long a route takes and what it costs, as the operator states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutePart {
    /// From the decision to the credit.
    pub delay: Span,
    /// What it costs, fees and gas.
    pub cost: Usd,
}

/// Terms of Circle's deposit, for when the venue asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CctpPart {
    /// The contract that mints and forwards on the destination.
    pub forwarder: EvmAddress,
    /// CCTP's number of the destination.
    pub destination_domain: u32,
    /// Finality that the burn must have reached.
    pub min_finality_threshold: u32,
    /// Most that Circle may keep.
    pub fee_max: Usd,
    /// How long an authorisation holds.
    pub valid_for: Span,
}

/// The way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepPart {
    /// Cover above which there is too much.
    pub ceiling: Ratio,
    /// Less is not moved.
    pub least: Usd,
}

/// `[treasury]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreasuryPart {
    /// Whether money moves by itself.
    pub enabled: bool,
    /// What the judge of transfers holds.
    pub limits: TreasuryLimits,
    /// The account's own key, for what an agent cannot sign.
    pub funds_key_file: Option<PathBuf>,
    /// Whether the account's spot balance is a source.
    pub spot: bool,
    /// What stays in it.
    pub spot_reserve: Usd,
    /// Whether isolated positions get margin of their own.
    pub isolated: bool,
    /// What stays in each sub-account.
    pub sub_account_reserve: Usd,
    /// Sub-accounts that give, by the names of the list of destinations.
    pub sub_accounts: Vec<(String, EvmAddress)>,
    /// The wallet.
    pub wallet: Option<WalletPart>,
    /// Between balances of the venue.
    pub inside: RoutePart,
    /// By the venue's bridge.
    pub bridge: RoutePart,
    /// By Circle's CCTP.
    pub cctp: RoutePart,
    /// Its terms; without them the venue's wish for it cannot be met.
    pub cctp_terms: Option<CctpPart>,
    /// Cover that a top-up restores; absent: that of `[guard.cover]`.
    pub target: Option<Ratio>,
    /// Cover that it restores under every scenario; absent: that of `[guard.cover]`.
    pub target_shocked: Option<Ratio>,
    /// Margin above a ceiling goes back to the spot balance; absent: it stays.
    pub sweep: Option<SweepPart>,
    /// How ways out are tried; absent: they are not.
    pub drill: Option<DrillPart>,
}

/// What else of the configuration `[treasury]` must fit.
pub(super) struct Around<'a> {
    pub endpoint: &'a Endpoint,
    pub network: Network,
    pub base: &'a Path,
    pub cover: Option<&'a Cover>,
}

impl TreasuryPart {
    /// Checks `raw`; its faults go to `faults`.
    pub(super) fn check(faults: &mut Faults, raw: &RawTreasuryPart, around: &Around<'_>) -> Option<TreasuryPart> {
        let keys = &raw.keys;
        let limits = TreasuryLimits::check(&raw.judged).map_err(|more| faults.0.extend(more)).ok();
        let enabled = faults.read("treasury.enabled", keys.enabled.as_ref(), false, "true or false", word(BOOL));
        let usd_0 = |faults: &mut Faults, path: &str, value: Option<&Scalar>| faults.read(path, value, Usd::ZERO, AMOUNT, usd);
        let spot_reserve = usd_0(faults, "treasury.spot_reserve_usd", keys.spot_reserve_usd.as_ref());
        let sub_account_reserve = usd_0(faults, "treasury.sub_account_reserve_usd", keys.sub_account_reserve_usd.as_ref());
        let funds_key_file = keys.funds_key_file.as_ref().map(|Scalar(name)| around.base.join(name));
        if let Some(file) = funds_key_file.as_ref().filter(|file| !file.is_file()) {
            faults.add("treasury.funds_key_file", file.display(), "an existing file with the account's own key");
        }
        let wallet = check_wallet(faults, raw, limits.as_ref(), around);
        let sweep = raw.sweep.as_ref();
        let sweep_on =
            faults.read("treasury.sweep.enabled", sweep.and_then(|s| s.enabled.as_ref()), false, "true or false", word(BOOL));
        let cover = |faults: &mut Faults, path: &str, value: Option<&Scalar>| {
            value.and_then(|_| {
                faults.read(path, value, None, "a multiple of maintenance margin above 1 and up to 1000, in quotes", |t| {
                    t.parse::<Ratio>().ok().filter(|r| *r > Ratio::ONE && *r <= Ratio::scaled(1_000, 0)).map(Some)
                })
            })
        };
        let ceiling = cover(faults, "treasury.sweep.ceiling", sweep.and_then(|s| s.ceiling.as_ref()));
        let least =
            faults.read("treasury.sweep.least_usd", sweep.and_then(|s| s.least_usd.as_ref()), Usd::whole(100), AMOUNT, usd);
        let route = |faults: &mut Faults, name: &str, delay_ms: u64, cost: &str| {
            let raw = raw.route.get(name);
            let (delay, paid) = (raw.and_then(|r| r.delay.as_ref()), raw.and_then(|r| r.cost_usd.as_ref()));
            RoutePart {
                delay: Span::millis(faults.read(
                    &format!("treasury.route.{name}.delay"),
                    delay,
                    delay_ms,
                    "a duration of 1s to 24h",
                    duration(1_000, 86_400_000),
                )),
                cost: faults.read(&format!("treasury.route.{name}.cost_usd"), paid, usd(cost).unwrap_or_default(), AMOUNT, usd),
            }
        };
        for (name, one) in &raw.route {
            if !["inside", "bridge", "cctp"].contains(&name.as_str()) {
                faults.add(format!("treasury.route.{name}"), "(set)", "one of inside, bridge, cctp");
            }
            faults.unknown(&format!("treasury.route.{name}"), &one.unknown);
        }
        let cctp_terms = check_cctp(faults, raw, limits.as_ref());
        let cctp_fee = cctp_terms.map(|terms| terms.fee_max);
        let part = TreasuryPart {
            enabled,
            drill: DrillPart::check(faults, raw.drill.as_ref(), limits.as_ref(), cctp_fee, around),
            funds_key_file,
            spot: faults.read("treasury.spot", keys.spot.as_ref(), true, "true or false", word(BOOL)),
            spot_reserve,
            isolated: faults.read("treasury.isolated", keys.isolated.as_ref(), true, "true or false", word(BOOL)),
            sub_account_reserve,
            sub_accounts: limits.as_ref().map(sub_accounts).unwrap_or_default(),
            wallet,
            inside: route(faults, "inside", 5_000, "0"),
            bridge: route(faults, "bridge", 120_000, "0.1"),
            cctp: route(faults, "cctp", 300_000, "0.5"),
            cctp_terms,
            target: cover(faults, "treasury.target", keys.target.as_ref()),
            target_shocked: cover(faults, "treasury.target_shocked", keys.target_shocked.as_ref()),
            sweep: sweep_on.then_some(SweepPart { ceiling: ceiling.unwrap_or_else(|| Ratio::scaled(SWEEP_CEILING, 0)), least }),
            limits: limits?,
        };
        for (path, unknown) in
            [("treasury.sweep", sweep.map(|s| &s.unknown)), ("treasury.cctp", raw.cctp.as_ref().map(|c| &c.unknown))]
        {
            unknown.into_iter().for_each(|unknown| faults.unknown(path, unknown));
        }
        if let Some(cover) = around.cover {
            // the embedded venue makes its account when it starts: until then the wallet's address stands for it
            let wallet = part.limits.wallet().map_or(EvmAddress([0; 20]), |wallet| wallet.address);
            faults.0.extend(part.plan(wallet, true, cover).faults(cover));
        }
        Some(part)
    }

    /// What the desk does with it for `account`. `may_sign`: the account's own actions, which an agent cannot sign, can be signed.
    #[must_use]
    pub fn plan(&self, account: EvmAddress, may_sign: bool, cover: &Cover) -> TreasuryPlan {
        let terms = |route: RoutePart| RouteTerms { delay: route.delay, cost: route.cost };
        let usual = TreasuryPlan::new(self.limits.clone(), Venue::Hyperliquid, account, cover);
        TreasuryPlan {
            own_targets: [self.target.is_some(), self.target_shocked.is_some()],
            target: self.target.unwrap_or(usual.target),
            target_shocked: self.target_shocked.unwrap_or(usual.target_shocked),
            spot_floor: (self.spot && may_sign).then_some(self.spot_reserve),
            sub_account_floor: (!self.sub_accounts.is_empty()).then_some(self.sub_account_reserve),
            isolated: self.isolated,
            wallet: self.wallet.as_ref().map(|wallet| WalletRung {
                reserve: wallet.reserve,
                gas_reserve: wallet.gas_reserve,
                cctp: self.cctp_terms.map(|terms| CctpRung {
                    destination_domain: terms.destination_domain,
                    forwarder: terms.forwarder,
                    // the perpetuals balance
                    dex: 0,
                    min_finality_threshold: terms.min_finality_threshold,
                    fee_max: terms.fee_max,
                    valid_for: terms.valid_for,
                }),
            }),
            inside: terms(self.inside),
            bridge: terms(self.bridge),
            cctp: terms(self.cctp),
            drills: self.drill.as_ref().map(|drill| drill.plan(self, may_sign)),
            sweep: self.sweep.filter(|_| may_sign).map(|sweep| Sweep { ceiling: sweep.ceiling, least: sweep.least }),
            ..usual
        }
    }

    /// What of it decides what the daemon does, for the configuration's hash.
    #[must_use]
    pub fn said(&self) -> Value {
        let route = |r: &RoutePart| json!([r.delay, r.cost]);
        json!({
            "enabled": self.enabled,
            "limits": self.limits.text(),
            "spot": self.spot, "spot_reserve": self.spot_reserve,
            "isolated": self.isolated,
            "sub_account_reserve": self.sub_account_reserve,
            "wallet": self.wallet.as_ref().map(|w| json!([
                w.endpoints.hosts(), w.confirmations, w.replace_after, w.give_up_after, w.look_every.as_millis().to_string(), w.reserve,
                w.gas_reserve,
            ])),
            "routes": [route(&self.inside), route(&self.bridge), route(&self.cctp)],
            "cctp": self.cctp_terms.map(|c| json!([
                c.forwarder, c.destination_domain, c.min_finality_threshold, c.fee_max, c.valid_for,
            ])),
            "target": [self.target, self.target_shocked],
            "drill": self.drill.as_ref().map(DrillPart::said),
            "sweep": self.sweep.map(|s| json!([s.ceiling, s.least])),
        })
    }

    /// The section in plain words, one a line.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        if !self.enabled {
            return vec!["Treasury: off; no money moves by itself.".to_owned()];
        }
        let mut lines = vec!["Treasury: on; when cover falls to the top-up level, money moves in this order:".to_owned()];
        if self.spot {
            lines.push(format!("  from the spot balance, down to {}", self.spot_reserve));
        }
        for (name, address) in &self.sub_accounts {
            lines.push(format!("  from the sub-account {name} ({address}), down to {}", self.sub_account_reserve));
        }
        if self.isolated {
            lines.push("  into the isolated position that needs it".to_owned());
        }
        if let Some(wallet) = &self.wallet {
            lines.push(format!(
                "  from the wallet, down to {} and {} ether for gas; its chain is read from {}; confirmed after {} blocks, final when \
                 every endpoint calls its block safe",
                wallet.reserve,
                wallet.gas_reserve,
                wallet.endpoints.hosts().join(" and "),
                wallet.confirmations
            ));
            lines.push(format!(
                "  a transaction without a block after {} is replaced at a higher fee, and after {} its nonce is burnt",
                wallet.replace_after, wallet.give_up_after
            ));
        }
        for (name, route) in [("inside the venue", &self.inside), ("by the bridge", &self.bridge), ("by CCTP", &self.cctp)] {
            lines.push(format!("  {name} it takes {} and costs {}", route.delay, route.cost));
        }
        lines.push(match self.sweep {
            Some(sweep) => format!(
                "  what is above cover {} goes back to the spot balance, {} or more at a time",
                sweep.ceiling, sweep.least
            ),
            None => "  nothing is ever taken from margin".to_owned(),
        });
        lines.extend(self.drill.iter().flat_map(|drill| drill.describe(self)));
        lines.extend(self.limits.describe().lines().map(|line| format!("  {line}")));
        lines
    }
}

/// An amount from 0 that a token with 6 decimals can express.
pub(super) fn usd(text: &str) -> Option<Usd> {
    let amount = plain_decimal(text).and_then(|d| Usd::new(d).ok())?;
    amount.micros().map(|_| amount)
}

fn ether(text: &str) -> Option<Wei> {
    plain_decimal(text).filter(|d| !d.is_sign_negative()).and_then(Wei::from_ether)
}

fn sub_accounts(limits: &TreasuryLimits) -> Vec<(String, EvmAddress)> {
    let listed = limits.destinations().iter().filter(|(_, one)| one.kind == DestinationKind::SubAccount);
    listed.map(|(name, one)| (name.clone(), one.address)).collect()
}

fn check_wallet(
    faults: &mut Faults,
    raw: &RawTreasuryPart,
    limits: Option<&TreasuryLimits>,
    around: &Around<'_>,
) -> Option<WalletPart> {
    let keys = raw.wallet.as_ref()?;
    let at = |key: &str| format!("treasury.wallet.{key}");
    let key_file =
        faults.needed(&at("key_file"), keys.key_file.as_ref(), "the path of an existing file with the wallet's key", |t| {
            Some(around.base.join(t)).filter(|path| path.is_file())
        });
    let endpoints = check_endpoints(faults, &keys.rpc);
    let part = WalletPart {
        key_file: key_file.unwrap_or_default(),
        confirmations: faults.read(&at("confirmations"), keys.confirmations.as_ref(), 20, "0 to 10000", within(0, 10_000)),
        replace_after: Span::millis(faults.read(
            &at("replace_after"),
            keys.replace_after.as_ref(),
            30_000,
            "a duration of 1s to 10m",
            duration(1_000, 600_000),
        )),
        give_up_after: Span::millis(faults.read(
            &at("give_up_after"),
            keys.give_up_after.as_ref(),
            600_000,
            "a duration of 2s to 24h",
            duration(2_000, 86_400_000),
        )),
        look_every: Duration::from_millis(faults.read(
            &at("look_every"),
            keys.look_every.as_ref(),
            1_000,
            "a duration of 100ms to 1m",
            duration(100, 60_000),
        )),
        reserve: faults.read(&at("reserve_usd"), keys.reserve_usd.as_ref(), Usd::ZERO, AMOUNT, usd),
        gas_reserve: faults.read(
            &at("gas_reserve_ether"),
            keys.gas_reserve_ether.as_ref(),
            Wei::ZERO,
            "an amount of ether from 0 with at most 18 decimals, in quotes",
            ether,
        ),
        endpoints,
    };
    if part.give_up_after <= part.replace_after {
        faults.add(at("give_up_after"), part.give_up_after, format!("longer than replace_after ({})", part.replace_after));
    }
    if let Some(wallet) = limits.and_then(TreasuryLimits::wallet) {
        fits(faults, &raw.judged, wallet.chain_id, part.endpoints.0.len(), around);
        if let Endpoint::External { account, sub_account, .. } = around.endpoint {
            if *sub_account {
                let expected =
                    "no wallet with venue.hyperliquid.sub_account = true: the venue credits the master, not the sub-account";
                faults.add(at("address"), wallet.address, expected);
            } else if account.0 != wallet.address.0 {
                faults.add(at("address"), wallet.address, format!("the account ({account}): the venue credits whoever sends"));
            }
        }
    }
    Some(part)
}

/// The chain must be the network's, and on the chain of real money every place the one that the venue takes deposits at.
fn fits(faults: &mut Faults, judged: &RawTreasury, chain: u64, endpoints: usize, around: &Around<'_>) {
    let main = chain == ARBITRUM;
    if main != (around.network == Network::Mainnet) {
        let expected = format!("the chain of {:?}: {ARBITRUM} is mainnet's, all others are not (F98)", around.network);
        faults.add("treasury.wallet.chain_id", chain, expected);
    }
    if !main {
        return;
    }
    if endpoints < MAINNET_ENDPOINTS_MIN {
        faults.add("treasury.wallet.rpc", endpoints, "two endpoints of different providers where money is real");
    }
    let same = |text: &str, known: &str| text.eq_ignore_ascii_case(known);
    if let Some(wallet) = judged.wallet.as_ref().filter(|w| !same(&w.token, ARBITRUM_USDC)) {
        faults.add("treasury.wallet.token", &wallet.token, format!("{ARBITRUM_USDC}, the one token that the venue credits"));
    }
    for (name, one) in &judged.destination {
        let known = match one.kind.as_str() {
            "bridge" => ARBITRUM_BRIDGE,
            "cctp" => ARBITRUM_CCTP,
            _ => continue,
        };
        if !same(&one.address, known) {
            let expected = format!("{known}, the venue's own; what goes elsewhere is lost");
            faults.add(format!("treasury.destination.{name}.address"), &one.address, expected);
        }
    }
}

fn check_endpoints(faults: &mut Faults, rpc: &[String]) -> Endpoints {
    const PATH: &str = "treasury.wallet.rpc";
    if !(1..=ENDPOINTS_MAX).contains(&rpc.len()) {
        faults.add(PATH, format!("{} endpoints", rpc.len()), "a list of 1 to 4 addresses, two for real money");
    }
    for (n, url) in rpc.iter().enumerate() {
        let path = format!("{PATH}[{n}]");
        let (scheme, rest) = url.split_once("://").unwrap_or(("", ""));
        let host = rest.split('/').next().unwrap_or_default();
        let name = host.strip_prefix("[::1]").map_or_else(|| host.split(':').next().unwrap_or_default(), |_| "::1");
        let local = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let plain = url.bytes().all(|b| b.is_ascii_graphic() && !b"@#\"".contains(&b));
        // what stands behind the host may be a secret
        let shown = format!("{scheme}://{host}/…");
        if host.is_empty() || !plain || !["http", "https"].contains(&scheme) {
            faults.add(path, shown, "an address with https:// or, on this machine, http://");
        } else if scheme == "http" && !local {
            faults.add(path, shown, "https://: only this machine may be spoken to in the clear");
        } else if rpc.iter().take(n).any(|other| other == url) {
            faults.add(path, shown, "another endpoint than the ones before: one that is asked twice agrees with itself");
        }
    }
    Endpoints(rpc.to_vec())
}

fn check_cctp(faults: &mut Faults, raw: &RawTreasuryPart, limits: Option<&TreasuryLimits>) -> Option<CctpPart> {
    let listed = limits.is_some_and(|l| l.destinations().values().any(|one| one.kind == DestinationKind::Cctp));
    let Some(cctp) = &raw.cctp else {
        if listed {
            faults.add(
                "treasury.cctp.forwarder",
                "(absent)",
                "the contract that mints and forwards at the venue, as a destination of kind cctp is listed",
            );
        }
        return None;
    };
    let at = |key: &str| format!("treasury.cctp.{key}");
    let forwarder = faults.needed(&at("forwarder"), cctp.forwarder.as_ref(), "an address: 0x and 40 hexadecimal digits", |t| {
        t.parse::<EvmAddress>().ok().filter(|a| a.0 != [0; 20])
    });
    let part = CctpPart {
        forwarder: forwarder.unwrap_or(EvmAddress([0; 20])),
        destination_domain: faults.read(
            &at("domain"),
            cctp.domain.as_ref(),
            19,
            "CCTP's number of HyperEVM: 19",
            within(0, 1_000),
        ),
        min_finality_threshold: faults.read(&at("finality"), cctp.finality.as_ref(), 1_000, "1000 (fast) or 2000", |t| {
            t.parse().ok().filter(|n| [1_000, 2_000].contains(n))
        }),
        fee_max: faults.read(&at("fee_max_usd"), cctp.fee_max_usd.as_ref(), Usd::whole(1), AMOUNT, usd),
        valid_for: Span::millis(faults.read(
            &at("valid_for"),
            cctp.valid_for.as_ref(),
            3_600_000,
            "a duration of 10m to 24h",
            duration(600_000, 86_400_000),
        )),
    };
    Some(part)
}

/// Keys of `[treasury]` that are the daemon's; the others are the judge's.
pub(super) const OWN_KEYS: [&str; 8] =
    ["enabled", "funds_key_file", "spot", "spot_reserve_usd", "isolated", "sub_account_reserve_usd", "target", "target_shocked"];
/// Keys of `[treasury.wallet]` that are the daemon's; the others are the judge's.
pub(super) const OWN_WALLET_KEYS: [&str; 8] =
    ["key_file", "rpc", "confirmations", "replace_after", "give_up_after", "look_every", "reserve_usd", "gas_reserve_ether"];
