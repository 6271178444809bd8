use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use domain::SpecFault;
use wire::hyperliquid::Address;
use wire::hyperliquid::sign::Network;

/// How orders travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderRoute {
    /// One HTTP request each.
    #[default]
    Http,
    /// Posts on a WebSocket of their own, and HTTP while that is down. Cancels are always HTTP.
    Ws,
}

/// One market to trade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Market {
    /// The venue's name of it, such as `BTC`. Its number is looked up (C19).
    pub name: String,
    /// The number it must have, if it is pinned (F31).
    pub asset: Option<u32>,
    /// Leverage to set at start; absent leaves the account's setting alone.
    pub leverage: Option<u32>,
    /// Whether it is margined across the account.
    pub cross: bool,
}

impl Market {
    /// The market `name`, margined across the account, its leverage left alone.
    #[must_use]
    pub fn named(name: &str) -> Market {
        Market { name: name.to_owned(), asset: None, leverage: None, cross: true }
    }
}

/// Everything the connector needs but the key. Built by [`Config::new`]; fields may be changed before start, which checks
/// them all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Mainnet or testnet.
    pub network: Network,
    /// Base of `/info` and `/exchange`, without a slash at the end.
    pub http: String,
    /// The WebSocket address.
    pub ws: String,
    /// The account that is traded and read: a master account or a sub-account, never an agent.
    pub account: Address,
    /// Whether `account` is a sub-account or vault, for which the key acts (`vaultAddress`).
    pub sub_account: bool,
    /// The markets to trade.
    pub markets: Vec<Market>,
    /// How orders travel.
    pub order_route: OrderRoute,
    /// Whether to take the 5-level book every half second instead of the 20-level one every five. Without it a quiet market
    /// looks stale between two books.
    pub fast_book: bool,
    /// Whether to prove key, network and nonce at start by an action without effect (`noop`).
    pub prove_key: bool,
    /// Times and bounds.
    pub timing: Timing,
    /// Request weight per minute that this process may use of its address's 1,200.
    pub weight_per_minute: u32,
    /// New connections per minute that this process may open of its address's 30.
    pub connects_per_minute: u32,
}

/// Times and bounds. The defaults suit the venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// For one connection, handshake included.
    pub connect: Duration,
    /// For one placement, from the first byte out to the last byte in (F10).
    pub place: Duration,
    /// For one attempt of a cancel.
    pub cancel_attempt: Duration,
    /// For a cancel with all its attempts.
    pub cancel_deadline: Duration,
    /// For one read.
    pub read: Duration,
    /// For a snapshot with all its reads and waits for budget.
    pub snapshot: Duration,
    /// How long what the connector signs by itself stays valid at the venue (I33: at most 15 s).
    pub expiry: Duration,
    /// A stream without data for this long is stale (F01).
    pub stale: Duration,
    /// A stream without any frame for this long is pinged.
    pub ping: Duration,
    /// A ping unanswered for this long ends the connection (F01, F02).
    pub pong: Duration,
    /// A market stream without data for this long is reconnected although it answers pings.
    pub silent: Duration,
    /// An acknowledged order that the account stream does not mention for this long makes the stream stale (F04).
    pub mention: Duration,
    /// First wait between two connections; doubles up to `backoff_max`, with jitter.
    pub backoff: Duration,
    /// Longest wait between two connections.
    pub backoff_max: Duration,
    /// Wait after a 429 before a start-up check is made again.
    pub throttled: Duration,
    /// The account is read when no stream delivered it for this long.
    pub account_poll: Duration,
    /// The venue's clock is read this often.
    pub clock_poll: Duration,
    /// Market rules and the address budget are read this often (C14: at most 60 s).
    pub rules_poll: Duration,
    /// Two empty reads of the open orders must be this far apart (C31).
    pub sweep_pause: Duration,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            connect: Duration::from_secs(5),
            place: Duration::from_secs(5),
            cancel_attempt: Duration::from_millis(2_500),
            cancel_deadline: Duration::from_secs(15),
            read: Duration::from_secs(5),
            snapshot: Duration::from_secs(20),
            expiry: Duration::from_secs(15),
            stale: Duration::from_secs(2),
            ping: Duration::from_secs(2),
            pong: Duration::from_secs(5),
            silent: Duration::from_secs(15),
            mention: Duration::from_secs(5),
            backoff: Duration::from_millis(250),
            backoff_max: Duration::from_secs(30),
            throttled: Duration::from_secs(5),
            account_poll: Duration::from_secs(2),
            clock_poll: Duration::from_secs(30),
            rules_poll: Duration::from_secs(60),
            sweep_pause: Duration::from_secs(2),
        }
    }
}

/// The venue's public endpoints (fact sheet §1).
const MAINNET: &str = "https://api.hyperliquid.xyz";
const TESTNET: &str = "https://api.hyperliquid-testnet.xyz";
/// The venue's limits per IP address (fact sheet §7).
const WEIGHT_PER_MINUTE_MAX: u32 = 1_200;
const CONNECTS_PER_MINUTE_MAX: u32 = 30;
/// Two market subscriptions and one context each, under the venue's 1,000 per IP address.
const MARKETS_MAX: usize = 200;

impl Config {
    /// A configuration with defaults. `base` is `https://host`, or `http://` and a loopback address with a port; absent, it
    /// is the network's own.
    #[must_use]
    pub fn new(network: Network, base: Option<&str>, account: Address, markets: Vec<Market>) -> Config {
        let http = base.unwrap_or(match network {
            Network::Mainnet => MAINNET,
            Network::Testnet => TESTNET,
        });
        let http = http.trim_end_matches('/').to_owned();
        let ws = match http.strip_prefix("http") {
            Some(rest) => format!("ws{rest}/ws"),
            None => http.clone(),
        };
        Config {
            network,
            http,
            ws,
            account,
            sub_account: false,
            markets,
            order_route: OrderRoute::default(),
            fast_book: true,
            prove_key: true,
            timing: Timing::default(),
            weight_per_minute: WEIGHT_PER_MINUTE_MAX,
            // a third is left to other programs at the same address
            connects_per_minute: 20,
        }
    }

    /// Every fault of the configuration.
    ///
    /// # Errors
    /// All of them at once, each with field, value and what would be right.
    pub fn check(&self) -> Result<(), Vec<SpecFault>> {
        let mut faults = self.check_endpoints().err().unwrap_or_default();
        let mut fault = |field: &str, value: &str, expected: &str| {
            faults.push(SpecFault { field: field.to_owned(), value: value.to_owned(), expected: expected.to_owned() });
        };
        let mut names = BTreeSet::new();
        for market in &self.markets {
            if !names.insert(market.name.as_str()) {
                fault("markets.name", &market.name, "each market once");
            }
            if market.leverage == Some(0) {
                fault("markets.leverage", "0", "at least 1");
            }
        }
        if self.markets.is_empty() || self.markets.len() > MARKETS_MAX {
            fault("markets", &self.markets.len().to_string(), "1 to 200 markets");
        }
        let bounded = |value: u32, max: u32| (1..=max).contains(&value);
        // the start-up checks alone take some 200, and reads may use 85 % of it
        if !bounded(self.weight_per_minute, WEIGHT_PER_MINUTE_MAX) || self.weight_per_minute < 400 {
            fault("weight_per_minute", &self.weight_per_minute.to_string(), "400 to 1200, the venue's limit per address");
        }
        if !bounded(self.connects_per_minute, CONNECTS_PER_MINUTE_MAX) || self.connects_per_minute < 6 {
            fault("connects_per_minute", &self.connects_per_minute.to_string(), "6 to 30, the venue's limit per address");
        }
        if self.timing.expiry > Duration::from_secs(15) || self.timing.expiry < Duration::from_secs(2) {
            fault("timing.expiry", &format!("{:?}", self.timing.expiry), "2 s to 15 s");
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }

    /// Faults of the addresses alone.
    pub(super) fn check_endpoints(&self) -> Result<(), Vec<SpecFault>> {
        let mut faults = Vec::new();
        let mut fault = |field: &str, value: &str, expected: &str| {
            faults.push(SpecFault { field: field.to_owned(), value: value.to_owned(), expected: expected.to_owned() });
        };
        for (field, url, secure, plain) in [("http", &self.http, "https://", "http://"), ("ws", &self.ws, "wss://", "ws://")] {
            match endpoint(url, secure, plain) {
                Endpoint::Bad => fault(field, url, "an address such as https://host or, on loopback, http://127.0.0.1:port"),
                Endpoint::PlainRemote => fault(field, url, "TLS: a plain connection is accepted to loopback alone"),
                Endpoint::Loopback => {}
                Endpoint::Remote(host) => {
                    // a well-known host of the other network is a mix-up that would sign real orders by mistake, or none that work
                    let other = match self.network {
                        Network::Mainnet => host.contains("testnet"),
                        Network::Testnet => MAINNET.ends_with(host),
                    };
                    if other {
                        fault(field, url, "a host of the configured network (network and endpoint disagree)");
                    }
                }
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

enum Endpoint<'a> {
    Bad,
    PlainRemote,
    Loopback,
    Remote(&'a str),
}

fn endpoint<'a>(url: &'a str, secure: &str, plain: &str) -> Endpoint<'a> {
    let (rest, tls) = match (url.strip_prefix(secure), url.strip_prefix(plain)) {
        (Some(rest), _) => (rest, true),
        (None, Some(rest)) => (rest, false),
        (None, None) => return Endpoint::Bad,
    };
    let authority = rest.split('/').next().unwrap_or_default();
    // a user name before the host would hide the real host
    if authority.is_empty() || authority.contains('@') || rest.contains(char::is_whitespace) {
        return Endpoint::Bad;
    }
    let host = match authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((v6, _)) => v6,
        None => authority.split(':').next().unwrap_or_default(),
    };
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match (loopback, tls) {
        (true, _) => Endpoint::Loopback,
        (false, true) => Endpoint::Remote(host),
        (false, false) => Endpoint::PlainRemote,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(network: Network, base: Option<&str>) -> Config {
        Config::new(network, base, Address([7; 20]), vec![Market::named("BTC")])
    }

    fn check(config: &Config, expected: &[&str]) {
        let fields: Vec<String> = config.check().err().unwrap_or_default().into_iter().map(|f| f.field).collect();
        assert_eq!(fields, expected, "{config:?}");
    }

    #[test]
    fn endpoints_and_network_must_agree() {
        check(&config(Network::Mainnet, None), &[]);
        check(&config(Network::Testnet, None), &[]);
        check(&config(Network::Testnet, Some("http://127.0.0.1:4000/")), &[]);
        check(&config(Network::Mainnet, Some("http://[::1]:4000")), &[]);
        check(&config(Network::Mainnet, Some(TESTNET)), &["http", "ws"]);
        check(&config(Network::Testnet, Some(MAINNET)), &["http", "ws"]);
        check(&config(Network::Mainnet, Some("http://api.hyperliquid.xyz")), &["http", "ws"]);
        check(&config(Network::Mainnet, Some("https://127.0.0.1@evil.example")), &["http", "ws"]);
        check(&config(Network::Mainnet, Some("ftp://x")), &["http", "ws"]);
        assert_eq!(config(Network::Testnet, Some("http://127.0.0.1:4000/")).ws, "ws://127.0.0.1:4000/ws");
    }

    #[test]
    fn all_faults_at_once() {
        let mut c = config(Network::Mainnet, None);
        c.markets = vec![Market { leverage: Some(0), ..Market::named("ETH") }, Market::named("ETH")];
        c.weight_per_minute = 5_000;
        c.connects_per_minute = 100;
        c.timing.expiry = Duration::from_secs(60);
        check(&c, &["markets.leverage", "markets.name", "weight_per_minute", "connects_per_minute", "timing.expiry"]);
        c.markets.clear();
        assert!(c.check().is_err_and(|f| f.iter().any(|f| f.field == "markets")));
    }
}
