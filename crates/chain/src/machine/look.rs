//! What several endpoints say of the chain, and what of it can be relied on (F88).

use domain::{EvmAddress, Fact, Inclusion, Stamp, TxHash, Usd, WalletView, Wei};

/// A mined transaction as one endpoint reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinedTx {
    /// Where, and how it went.
    pub inclusion: Inclusion,
    /// Hash of the block that the endpoint has at that height: the receipt must be of this one.
    pub canonical: TxHash,
}

/// What one endpoint shows at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Its chain.
    pub chain_id: u64,
    /// Newest block.
    pub head: u64,
    /// When that was made, by the chain, in seconds of Unix time.
    pub head_time_s: u64,
    /// Newest safe block.
    pub safe: u64,
    /// The wallet's next nonce in the newest block.
    pub nonce: u64,
    /// The same in the newest safe block.
    pub nonce_safe: u64,
    /// Price of a unit of gas in the next block.
    pub base_fee: Wei,
    /// The attempt that it has in a block, if any.
    pub mined: Option<MinedTx>,
    /// Whether it knows one of the attempts without having it in a block.
    pub known: bool,
    /// The wallet's coin.
    pub gas: Wei,
    /// The wallet's token, in millionths.
    pub balance: u64,
    /// Gas that an empty transaction takes.
    pub burn_gas: Option<u64>,
    /// Its trial run of the transfer, if one was asked for.
    pub preflight: Option<Preflight>,
}

/// A trial run of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preflight {
    /// It would succeed.
    Passed {
        /// With this much gas.
        gas: u64,
        /// The wallet's coin.
        balance: Wei,
    },
    /// It would not: why.
    Refused(String),
    /// It could not be tried: why.
    Unknown(String),
}

/// How an endpoint is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The chain that it must be of.
    pub chain_id: u64,
    /// Greatest age of its newest block, in seconds.
    pub head_age_max_s: u64,
    /// Most blocks that it may be behind another.
    pub lag_max: u64,
}

/// Whether the endpoints in use say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreed<T> {
    /// All of them say this.
    Yes(T),
    /// They differ.
    No,
}

/// What can be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Every configured endpoint is in use. Without that nothing is called final and no nonce foreign.
    pub complete: bool,
    /// Newest block that all have.
    pub head: u64,
    /// Newest block that all call safe, if they do.
    pub safe: Option<u64>,
    /// The wallet's next nonce, if they agree.
    pub nonce: Option<u64>,
    /// The wallet's next nonce in the safe block, if they agree.
    pub nonce_safe: Option<u64>,
    /// The highest price of a unit of gas that one of them names.
    pub base_fee: Wei,
    /// The attempt that is in a block.
    pub found: Agreed<Option<Inclusion>>,
    /// One of them knows an attempt without having it in a block.
    pub known: bool,
    /// Least coin that one of them gives the wallet.
    pub gas: Wei,
    /// Least token that one of them gives the wallet, in millionths.
    pub balance: u64,
    /// Most gas that one of them wants for an empty transaction.
    pub burn_gas: Option<u64>,
    /// The worst of the trial runs.
    pub preflight: Option<Preflight>,
}

/// The look, and what is wrong with each endpoint that was left out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Nothing if no endpoint can be used.
    pub look: Option<Look>,
    /// Endpoints left out, by their place in the configuration, and why.
    pub out: Vec<(usize, String)>,
}

impl Sight {
    /// What the treasury is told of it: the wallet as all endpoints show it, or why it is in doubt.
    #[must_use]
    pub fn told(&self, now: Stamp, chain_id: u64, wallet: EvmAddress, token: EvmAddress) -> Fact {
        let Some(look) = self.look.as_ref().filter(|look| look.complete) else {
            let reasons: Vec<String> = self.out.iter().map(|(at, why)| format!("endpoint {}: {why}", at + 1)).collect();
            return Fact::WalletDoubt(reasons.join("; "));
        };
        let (Some(nonce), Some(nonce_safe), Some(safe)) = (look.nonce, look.nonce_safe, look.safe) else {
            return Fact::WalletDoubt("the endpoints disagree on the wallet's nonce".into());
        };
        if look.found == Agreed::No {
            return Fact::WalletDoubt("the endpoints disagree on where a transaction is".into());
        }
        Fact::Wallet(Box::new(WalletView {
            chain_id,
            wallet,
            token,
            balance: Usd::from_micros(look.balance),
            gas: look.gas,
            nonce,
            nonce_safe,
            base_fee: look.base_fee,
            head: look.head,
            safe,
            at: now,
        }))
    }
}

/// Compares what the endpoints show at second `now_s` of Unix time.
#[must_use]
pub fn merge(rules: Rules, now_s: u64, glances: &[Result<Glance, String>]) -> Sight {
    let mut out = Vec::new();
    let mut used: Vec<(usize, &Glance)> = Vec::new();
    for (at, one) in glances.iter().enumerate() {
        match one.as_ref().map_err(Clone::clone).and_then(|glance| fault(rules, now_s, glance).map_or(Ok(glance), Err)) {
            Ok(glance) => used.push((at, glance)),
            Err(why) => out.push((at, why)),
        }
    }
    let highest = used.iter().map(|(_, glance)| glance.head).max().unwrap_or(0);
    used.retain(|(at, glance)| {
        let behind = highest.saturating_sub(glance.head);
        if behind > rules.lag_max {
            out.push((*at, format!("its newest block {} is {behind} behind another endpoint's", glance.head)));
        }
        behind <= rules.lag_max
    });
    let glances: Vec<&Glance> = used.into_iter().map(|(_, glance)| glance).collect();
    out.sort();
    let complete = out.is_empty();
    Sight { look: combined(&glances, complete), out }
}

fn fault(rules: Rules, now_s: u64, glance: &Glance) -> Option<String> {
    if glance.chain_id != rules.chain_id {
        return Some(format!("it is of chain {}, not {}", glance.chain_id, rules.chain_id));
    }
    let age = now_s.saturating_sub(glance.head_time_s);
    if age > rules.head_age_max_s {
        return Some(format!("its newest block {} is {age} s old, of at most {}", glance.head, rules.head_age_max_s));
    }
    if glance.safe > glance.head || glance.nonce_safe > glance.nonce {
        return Some("it has more that is safe than it has".into());
    }
    if let Some(mined) = &glance.mined {
        if mined.canonical != mined.inclusion.block_hash {
            return Some(format!("its receipt is of a block that it does not have at height {}", mined.inclusion.block));
        }
        if mined.inclusion.block > glance.head {
            return Some(format!("its receipt is of block {}, beyond its newest {}", mined.inclusion.block, glance.head));
        }
    }
    None
}

fn combined(glances: &[&Glance], complete: bool) -> Option<Look> {
    let first = glances.first()?;
    let same = |value: fn(&Glance) -> u64| {
        let one = value(first);
        glances.iter().all(|glance| value(glance) == one).then_some(one)
    };
    let mined = |glance: &Glance| glance.mined.map(|mined| mined.inclusion);
    let found = mined(first);
    let agree = glances.iter().all(|glance| mined(glance) == found);
    let preflights = glances.iter().map(|glance| glance.preflight.clone()).collect::<Option<Vec<_>>>();
    Some(Look {
        complete,
        head: glances.iter().map(|glance| glance.head).min()?,
        safe: glances.iter().map(|glance| glance.safe).min(),
        nonce: same(|glance| glance.nonce),
        nonce_safe: glances.iter().map(|glance| glance.nonce_safe).min(),
        base_fee: glances.iter().map(|glance| glance.base_fee).max()?,
        found: if agree { Agreed::Yes(found) } else { Agreed::No },
        known: glances.iter().any(|glance| glance.known),
        gas: glances.iter().map(|glance| glance.gas).min()?,
        balance: glances.iter().map(|glance| glance.balance).min()?,
        burn_gas: glances.iter().filter_map(|glance| glance.burn_gas).max(),
        preflight: preflights.and_then(worst),
    })
}

/// One refusal refuses; one that could not try leaves it open.
fn worst(all: Vec<Preflight>) -> Option<Preflight> {
    all.into_iter().reduce(|one, other| match (one, other) {
        (refused @ Preflight::Refused(_), _) | (_, refused @ Preflight::Refused(_)) => refused,
        (unknown @ Preflight::Unknown(_), _) | (_, unknown @ Preflight::Unknown(_)) => unknown,
        (Preflight::Passed { gas: a, balance: x }, Preflight::Passed { gas: b, balance: y }) => {
            Preflight::Passed { gas: a.max(b), balance: x.min(y) }
        }
    })
}
