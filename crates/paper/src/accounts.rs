//! Who is who: masters, sub-accounts, agents, and which of two possible signers meant it.
//!
//! The official clients sign for the testnet against any address that is not the mainnet's; others sign for the mainnet. An L1
//! signature therefore recovers to two addresses, of which one is a stranger's. A candidate that is known wins. When an
//! open venue meets two strangers, both name the same new account until one of them is seen again: the true one recurs, the
//! other is noise that nobody else can ever produce.

use std::collections::{BTreeMap, BTreeSet};

use domain::Usd;
use exchange::AccountKey;
use serde_json::{Value, json};
use wire::hyperliquid::Address;
use wire::hyperliquid::sign::Network;

use crate::Accounts;

/// Most accounts of an open venue, so that a scanner cannot grow it without bound.
const ACCOUNTS_MAX: usize = 100_000;
/// Named agents of a master; the venue lets the number grow with volume.
const NAMED_AGENTS_MAX: usize = 3;
const AGENT_NAME_MAX: usize = 16;
/// Agents that name no expiry get this much.
const AGENT_DAYS: u64 = 90;
/// Latest expiry that an approval may ask for.
const AGENT_DAYS_MAX: u64 = 180;
const DAY_MS: u64 = 86_400_000;
/// Sub-accounts of a master.
const SUB_ACCOUNTS_MAX: usize = 10;

#[derive(Clone, Debug)]
struct Agent {
    master: AccountKey,
    name: Option<String>,
    valid_until_ms: u64,
}

#[derive(Clone, Debug)]
struct SubAccount {
    master: AccountKey,
    name: String,
}

/// What an address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Missing,
    User,
    Agent(Address),
    SubAccount(Address),
}

/// The signer of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signer {
    /// For whom it acts.
    pub(crate) account: AccountKey,
    /// Under which key its nonces are kept.
    pub(crate) nonces: Address,
    pub(crate) is_agent: bool,
}

/// All accounts and keys.
#[derive(Debug)]
pub(crate) struct Directory {
    policy: Accounts,
    by_address: BTreeMap<Address, AccountKey>,
    shown: BTreeMap<AccountKey, Address>,
    agents: BTreeMap<Address, Agent>,
    retired_agents: BTreeSet<Address>,
    sub_accounts: BTreeMap<AccountKey, SubAccount>,
    builders: BTreeMap<(AccountKey, Address), u32>,
    /// Accounts that came into being and have not got their balance yet.
    due: Vec<(AccountKey, Usd)>,
}

fn key(address: Address) -> AccountKey {
    AccountKey(address.0)
}

impl Directory {
    pub(crate) fn new(policy: Accounts) -> Directory {
        let mut directory = Directory {
            by_address: BTreeMap::new(),
            shown: BTreeMap::new(),
            agents: BTreeMap::new(),
            retired_agents: BTreeSet::new(),
            sub_accounts: BTreeMap::new(),
            builders: BTreeMap::new(),
            due: Vec::new(),
            policy,
        };
        for (address, balance) in directory.policy.listed.clone() {
            directory.create(&[address], balance);
        }
        for (agent, master) in directory.policy.agents.clone() {
            if let Some(master) = directory.sight(master) {
                let forever = Agent { master, name: Some("configured".into()), valid_until_ms: u64::MAX };
                directory.agents.insert(agent, forever);
            }
        }
        directory
    }

    /// Accounts to be credited, once.
    pub(crate) fn take_due(&mut self) -> Vec<(AccountKey, Usd)> {
        std::mem::take(&mut self.due)
    }

    fn create(&mut self, addresses: &[Address], balance: Usd) -> Option<AccountKey> {
        let first = *addresses.first()?;
        if self.shown.len() >= ACCOUNTS_MAX {
            return None;
        }
        for address in addresses {
            self.by_address.insert(*address, key(first));
        }
        self.shown.insert(key(first), first);
        if balance > Usd::ZERO {
            self.due.push((key(first), balance));
        }
        Some(key(first))
    }

    /// The account of an address that somebody named, which comes into being on an open venue. An agent's address has none.
    pub(crate) fn sight(&mut self, address: Address) -> Option<AccountKey> {
        if let Some(account) = self.known(address) {
            // of two candidates the one that is named again is the true one
            self.shown.insert(account, address);
            return Some(account);
        }
        if self.agents.contains_key(&address) {
            return None;
        }
        let balance = self.policy.open?;
        self.create(&[address], balance)
    }

    /// The account of an address, if it has one.
    pub(crate) fn known(&self, address: Address) -> Option<AccountKey> {
        self.by_address.get(&address).copied()
    }

    /// The address to show for an account.
    pub(crate) fn shown(&self, account: AccountKey) -> Address {
        self.shown.get(&account).copied().unwrap_or(Address(account.0))
    }

    /// An account that came into being by a transfer.
    pub(crate) fn adopt(&mut self, address: Address) -> AccountKey {
        if let Some(account) = self.known(address) {
            return account;
        }
        self.by_address.insert(address, key(address));
        self.shown.insert(key(address), address);
        key(address)
    }

    /// The signer of an L1 action; the text is the venue's refusal.
    pub(crate) fn l1_signer(&mut self, candidates: &[(Network, Address)], now_ms: u64) -> Result<Signer, String> {
        for (_, address) in candidates {
            if let Some(agent) = self.agents.get(address).filter(|a| now_ms < a.valid_until_ms) {
                return Ok(Signer { account: agent.master, nonces: *address, is_agent: true });
            }
        }
        for (_, address) in candidates {
            if let Some(account) = self.known(*address).filter(|a| !self.sub_accounts.contains_key(a)) {
                self.shown.insert(account, *address);
                return Ok(Signer { account, nonces: Address(account.0), is_agent: false });
            }
        }
        let addresses: Vec<Address> = candidates.iter().map(|(_, a)| *a).collect();
        let retired = addresses.iter().any(|a| self.agents.contains_key(a) || self.retired_agents.contains(a));
        let created = self.policy.open.filter(|_| !retired).and_then(|balance| self.create(&addresses, balance));
        match (created, addresses.first()) {
            (Some(account), _) => Ok(Signer { account, nonces: Address(account.0), is_agent: false }),
            (None, Some(address)) => Err(format!("User or API Wallet {address} does not exist.")),
            (None, None) => Err("Unable to recover signer.".into()),
        }
    }

    /// The signer of a user-signed action: a master alone.
    pub(crate) fn user_signer(&mut self, address: Address) -> Result<Signer, String> {
        let refused = format!("Must deposit before performing actions. User: {address}");
        if self.agents.contains_key(&address) || self.retired_agents.contains(&address) {
            return Err(refused);
        }
        let account = self.sight(address).filter(|a| !self.sub_accounts.contains_key(a)).ok_or(refused)?;
        Ok(Signer { account, nonces: Address(account.0), is_agent: false })
    }

    /// The account for which `signer` acts when it names `vault`.
    pub(crate) fn on_behalf(&self, signer: &Signer, vault: Address) -> Result<AccountKey, String> {
        match self.known(vault) {
            Some(account) if account == signer.account => Ok(account),
            Some(account) if self.sub_accounts.get(&account).is_some_and(|s| s.master == signer.account) => Ok(account),
            Some(_) => Err("Vault may not perform this action.".into()),
            None => Err(format!("Vault not registered: {vault}")),
        }
    }

    /// `approveAgent`. The name may end in ` valid_until MS`; without a name it is the unnamed slot.
    pub(crate) fn approve_agent(
        &mut self,
        master: AccountKey,
        agent: Address,
        name: Option<&str>,
        now_ms: u64,
    ) -> Result<(), String> {
        let name = name.map(str::trim).filter(|n| !n.is_empty());
        let (name, until) = match name.and_then(|n| n.split_once(" valid_until ")) {
            Some((name, until)) => (Some(name), Some(until.parse::<u64>().map_err(|_| "Invalid agent valid_until.".to_owned())?)),
            None => (name, None),
        };
        if name.is_some_and(|n| n.len() > AGENT_NAME_MAX) {
            return Err("Agent name is too long.".into());
        }
        let valid_until_ms = until.unwrap_or(now_ms + AGENT_DAYS * DAY_MS);
        if valid_until_ms <= now_ms || valid_until_ms > now_ms + AGENT_DAYS_MAX * DAY_MS {
            return Err("Agent valid_until already expired.".into());
        }
        let slot: Vec<Address> =
            self.agents.iter().filter(|(_, a)| a.master == master && a.name.as_deref() == name).map(|(k, _)| *k).collect();
        if agent == Address::ZERO {
            self.retire(&slot);
            return Ok(());
        }
        if self.agents.contains_key(&agent) || self.retired_agents.contains(&agent) || self.sub_accounts.contains_key(&key(agent))
        {
            return Err("Extra agent already used.".into());
        }
        let named = self.agents.values().filter(|a| a.master == master && a.name.is_some()).count();
        let subs = self.sub_accounts.values().filter(|s| s.master == master).count();
        let limit = NAMED_AGENTS_MAX + 2 * subs;
        if name.is_some() && slot.is_empty() && named >= limit {
            return Err(format!("Too many extra agents for cumulative volume traded. Current limit is {limit}"));
        }
        self.retire(&slot);
        self.agents.insert(agent, Agent { master, name: name.map(str::to_owned), valid_until_ms });
        Ok(())
    }

    fn retire(&mut self, agents: &[Address]) {
        for agent in agents {
            self.agents.remove(agent);
            self.retired_agents.insert(*agent);
        }
    }

    /// `extraAgents`: named agents alone.
    pub(crate) fn extra_agents(&self, master: AccountKey) -> Value {
        self.agents
            .iter()
            .filter(|(_, a)| a.master == master)
            .filter_map(|(address, a)| {
                let name = a.name.as_ref()?;
                let until = (a.valid_until_ms != u64::MAX).then_some(a.valid_until_ms);
                Some(json!({ "address": address.to_string(), "name": name, "validUntil": until }))
            })
            .collect()
    }

    /// `createSubAccount`: its address.
    pub(crate) fn create_sub_account(&mut self, master: AccountKey, name: &str) -> Result<Address, String> {
        let own = self.sub_accounts.values().filter(|s| s.master == master).count();
        if own >= SUB_ACCOUNTS_MAX {
            return Err("Too many sub-accounts.".into());
        }
        if name.is_empty() || name.len() > AGENT_NAME_MAX {
            return Err("Invalid sub-account name.".into());
        }
        let hash = wire::hyperliquid::sign::keccak(&[b"sub-account", &master.0, &[u8::try_from(own).unwrap_or(u8::MAX)]]);
        let mut address = Address::ZERO;
        address.0.copy_from_slice(&hash[12..]);
        self.adopt(address);
        self.sub_accounts.insert(key(address), SubAccount { master, name: name.to_owned() });
        Ok(address)
    }

    /// `subAccountModify`.
    pub(crate) fn rename_sub_account(&mut self, master: AccountKey, address: Address, name: &str) -> Result<(), String> {
        match self.sub_accounts.get_mut(&key(address)) {
            Some(sub) if sub.master == master && (1..=AGENT_NAME_MAX).contains(&name.len()) => {
                name.clone_into(&mut sub.name);
                Ok(())
            }
            _ => Err(format!("Invalid sub-account: {address}")),
        }
    }

    /// Sub-accounts of a master with their names.
    pub(crate) fn sub_accounts(&self, master: AccountKey) -> Vec<(AccountKey, String)> {
        self.sub_accounts.iter().filter(|(_, s)| s.master == master).map(|(k, s)| (*k, s.name.clone())).collect()
    }

    /// Whether `account` is a sub-account of `master`.
    pub(crate) fn owns(&self, master: AccountKey, account: AccountKey) -> bool {
        self.sub_accounts.get(&account).is_some_and(|s| s.master == master)
    }

    /// Allows `builder` to charge up to `fee` tenths of a basis point.
    pub(crate) fn approve_builder(&mut self, account: AccountKey, builder: Address, fee: u32) {
        self.builders.insert((account, builder), fee);
    }

    /// What `builder` may charge, tenths of a basis point; 0 if not approved.
    pub(crate) fn builder_fee(&self, account: AccountKey, builder: Address) -> u32 {
        self.builders.get(&(account, builder)).copied().unwrap_or(0)
    }

    pub(crate) fn role(&self, address: Address) -> Role {
        if let Some(agent) = self.agents.get(&address) {
            return Role::Agent(self.shown(agent.master));
        }
        match self.known(address) {
            None => Role::Missing,
            Some(account) => match self.sub_accounts.get(&account) {
                Some(sub) => Role::SubAccount(self.shown(sub.master)),
                None => Role::User,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn at(n: u8) -> Address {
        Address([n; 20])
    }

    fn both(testnet: u8, mainnet: u8) -> [(Network, Address); 2] {
        [(Network::Testnet, at(testnet)), (Network::Mainnet, at(mainnet))]
    }

    #[test]
    fn the_signer_that_recurs_is_the_true_one() {
        let mut directory = Directory::new(Accounts::default());
        // a client that signs for the mainnet: its own address is 9, the testnet candidate is noise
        let first = directory.l1_signer(&both(1, 9), NOW).expect("open");
        assert_eq!(directory.take_due().len(), 1, "one account, one balance");
        let second = directory.l1_signer(&both(2, 9), NOW).expect("known");
        assert_eq!(second.account, first.account);
        assert_eq!(directory.shown(first.account), at(9));
        assert_eq!(directory.sight(at(9)), Some(first.account));
        assert!(directory.take_due().is_empty());
        assert_eq!(first.nonces, second.nonces, "nonces follow the account, not the guess");
    }

    #[test]
    fn a_closed_venue_names_the_stranger() {
        let listed = BTreeMap::from([(at(9), Usd::whole(5))]);
        let mut directory = Directory::new(Accounts { open: None, listed, agents: BTreeMap::new() });
        assert!(directory.l1_signer(&both(1, 9), NOW).is_ok());
        assert_eq!(directory.l1_signer(&both(1, 2), NOW), Err(format!("User or API Wallet {} does not exist.", at(1))));
        assert_eq!(directory.user_signer(at(3)), Err(format!("Must deposit before performing actions. User: {}", at(3))));
    }

    #[test]
    fn agents_replace_expire_and_never_return() {
        let mut directory = Directory::new(Accounts::default());
        let master = directory.sight(at(1)).expect("open");
        directory.approve_agent(master, at(20), Some("bot"), NOW).expect("free");
        assert_eq!(directory.l1_signer(&both(20, 30), NOW).map(|s| (s.account, s.is_agent)), Ok((master, true)));
        assert!(directory.user_signer(at(20)).is_err(), "an agent moves no funds");
        directory.approve_agent(master, at(21), Some("bot"), NOW).expect("same name swaps");
        assert!(directory.l1_signer(&both(20, 30), NOW).is_err(), "the replaced key is dead");
        assert_eq!(directory.approve_agent(master, at(20), Some("x"), NOW), Err("Extra agent already used.".into()));
        directory.approve_agent(master, at(22), Some("b valid_until 1800000001000"), NOW).expect("short");
        assert!(directory.l1_signer(&both(22, 30), NOW + 1_000).is_err(), "expired");
        directory.approve_agent(master, at(23), Some("c"), NOW).expect("third");
        assert_eq!(
            directory.approve_agent(master, at(24), Some("d"), NOW),
            Err("Too many extra agents for cumulative volume traded. Current limit is 3".into())
        );
        directory.approve_agent(master, at(25), None, NOW).expect("the unnamed slot is apart");
        assert_eq!(directory.extra_agents(master).as_array().map(Vec::len), Some(3), "the unnamed one is invisible");
        let late = format!("e valid_until {}", NOW + 181 * DAY_MS);
        assert_eq!(directory.approve_agent(master, at(26), Some(&late), NOW), Err("Agent valid_until already expired.".into()));
        directory.approve_agent(master, Address::ZERO, Some("c"), NOW).expect("removes");
        assert!(directory.l1_signer(&both(23, 30), NOW).is_err());
        assert_eq!(directory.role(at(25)), Role::Agent(at(1)));
        assert_eq!(directory.sight(at(25)), None, "an agent's address has no account");
    }

    #[test]
    fn a_vault_is_a_sub_account_of_the_master() {
        let mut directory = Directory::new(Accounts::default());
        let master = directory.sight(at(1)).expect("open");
        let signer = directory.user_signer(at(1)).expect("master");
        let sub = directory.create_sub_account(master, "desk").expect("first");
        assert_eq!(directory.on_behalf(&signer, sub), Ok(key(sub)));
        assert_eq!(directory.on_behalf(&signer, at(7)), Err(format!("Vault not registered: {}", at(7))));
        directory.sight(at(8));
        assert_eq!(directory.on_behalf(&signer, at(8)), Err("Vault may not perform this action.".into()));
        assert_eq!(directory.role(sub), Role::SubAccount(at(1)));
    }
}
