//! The daemon's hands for money: the wallet and its task, the account's own key, and reads of collateral that lies idle.
//!
//! It decides nothing. A step of a transfer comes here as [`ReleasedTransfer`], after its record is on disk, and goes to the wallet if
//! its route begins on a chain and to the venue's connector otherwise; what becomes of it returns as facts. A wallet that does not
//! start is an alarm and not the end: the daemon runs on without that source, tries again, and whatever is released for the wallet
//! meanwhile waits for it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chain::{Clock, Wallet, WalletConfig};
use desk::CollateralRead;
use domain::{
    DepositSeen, EvmAddress, Fact, IdleBalance, IdlePlace, Route, Stamp, TransferEvent, TransferId, TransferOutcome, UsdcRoad,
    UsdcRoads, Venue,
};
use margin_guard::{ReleasedTransfer, TransferStep};
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};
use venue_connector::hyperliquid::Connector;
use wire::hyperliquid::Address;
use wire::hyperliquid::sign::Key;

use crate::config::{Checked, TreasuryPart};
use crate::daemon::chain as words;
use crate::{Failure, exit, venue};

/// Steps that wait for a wallet that has not started: of one wallet one transfer is open, and it has a start or a resumption, what the
/// operator closes, and a successor.
const JOBS_MAX: usize = 32;
/// The first pause before a wallet is started again.
const START_AGAIN_MIN: Duration = Duration::from_secs(2);
/// The longest: endpoints that were away for an hour must not keep the wallet away for another.
const START_AGAIN_MAX: Duration = Duration::from_secs(60);

/// The wallet's task, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WalletTask {
    /// Whether it runs.
    pub running: bool,
    /// Why not.
    pub why: Option<String>,
    /// The transfer that it works on, and what that waits for.
    pub open: Option<(TransferId, String)>,
    /// Endpoints that were left out at the last look, from 1, and why.
    pub out: Vec<(usize, String)>,
}

/// Keys of the configuration, read and found to be those of the right addresses.
pub struct Keys {
    /// The account's own key, for what an agent cannot sign; absent if the connector's key is the account's, or without one.
    funds: Option<Arc<Key>>,
    /// The wallet's, if one is configured.
    wallet: Option<chain::Key>,
    /// Whether the account's own actions can be signed at all.
    pub may_sign: bool,
    /// The account that withdrawals leave.
    account: Address,
    /// Where the operator's own signer is, if withdrawals may be signed without him.
    signer_file: Option<PathBuf>,
}

impl Keys {
    /// Reads the files that `part` names. `signer` is the address of the connector's key, `account` the one it trades.
    ///
    /// # Errors
    /// If a file cannot be read, others may read it, or it holds another address's key: a fault of the configuration.
    pub fn read(part: &TreasuryPart, target: &venue::Target) -> Result<Keys, Failure> {
        let fault = |field: &str, why: String| Failure { code: exit::CONFIG, why: format!("treasury.{field}: {why}") };
        let funds = part.funds_key_file.as_deref().map(|file| venue::read_key("treasury.funds_key_file", file)).transpose()?;
        if let Some(key) = funds.as_ref().filter(|key| !target.sub_account && key.address() != target.account) {
            let why = format!("it is the key of {}, expected is that of the account {}", key.address(), target.account);
            return Err(fault("funds_key_file", why));
        }
        let wallet = match (&part.wallet, part.limits.wallet()) {
            (Some(wallet), Some(limits)) => {
                let key = chain::Key::from_file(&wallet.key_file).map_err(|e| fault("wallet.key_file", words(&e)))?;
                if key.address() != limits.address {
                    let why = format!("it is the key of {}, expected is that of {}", key.address(), limits.address);
                    return Err(fault("wallet.key_file", why));
                }
                Some(key)
            }
            (_, _) => None,
        };
        let may_sign = funds.is_some() || target.key.address() == target.account;
        let signer_file = part.drill.as_ref().and_then(|drill| drill.signer_file.clone());
        if let Some(file) = &signer_file {
            // read and dropped: it is read again for each withdrawal
            read_signer(file, target.account).map_err(|why| fault("drill.signer_file", why))?;
        }
        Ok(Keys { funds: funds.map(Arc::new), wallet, may_sign, account: target.account, signer_file })
    }
}

/// The operator's own signer from its file.
fn read_signer(file: &Path, account: Address) -> Result<Key, String> {
    let key = venue::read_key("signer", file).map_err(|failure| failure.why().to_owned())?;
    fits(&key, account).map(|()| key)
}

fn fits(signer: &Key, account: Address) -> Result<(), String> {
    let address = signer.address();
    if address == account { Ok(()) } else { Err(format!("the key of the account {account}; this one is of {address}")) }
}

enum Job {
    Step(Box<ReleasedTransfer>),
    Forget(TransferId),
}

/// See the module.
#[derive(Clone)]
pub struct Carrier {
    connector: Connector,
    clock: Clock,
    facts: mpsc::Sender<Fact>,
    funds: Option<Arc<Key>>,
    /// The operator's own signer, for as long as it is lent: withdrawals are signed by nothing else.
    signer: Arc<Mutex<Option<Arc<Key>>>>,
    /// Where it is, if it may be used without him.
    signer_file: Option<PathBuf>,
    account: Address,
    master: Arc<Mutex<Option<EvmAddress>>>,
    wallet: Option<mpsc::Sender<Job>>,
    shown: watch::Receiver<WalletTask>,
}

impl Carrier {
    /// Starts the wallet's task, if there is a wallet; without `keys` nothing can be carried, and nothing should be released.
    #[must_use]
    pub fn start(config: &Checked, keys: Option<Keys>, connector: Connector, clock: Clock, facts: mpsc::Sender<Fact>) -> Carrier {
        let (show, shown) = watch::channel(WalletTask::default());
        let nobody = Address([0; 20]);
        let keys = keys.unwrap_or(Keys { funds: None, wallet: None, may_sign: false, account: nobody, signer_file: None });
        let settings = config.treasury.as_ref().and_then(wallet_config).zip(keys.wallet);
        let wallet = settings.map(|((config, key_file), key)| {
            let (jobs, inbox) = mpsc::channel(JOBS_MAX);
            let keeper = Keeper { config, key_file, clock: Arc::clone(&clock), facts: facts.clone(), show };
            tokio::spawn(keeper.run(Some(key), inbox));
            jobs
        });
        let Keys { funds, account, signer_file, .. } = keys;
        let (signer, master) = (Arc::default(), Arc::default());
        Carrier { connector, clock, facts, funds, signer, signer_file, account, master, wallet, shown }
    }

    /// What the wallet's task is doing; nothing without a wallet.
    #[must_use]
    pub fn wallet_task(&self) -> Option<WalletTask> {
        self.wallet.as_ref().map(|_| self.shown.borrow().clone())
    }

    /// Lends the operator's own signer.
    ///
    /// # Errors
    /// What would be right, if it is not the account's key.
    pub fn lend(&self, signer: Key) -> Result<(), String> {
        fits(&signer, self.account)?;
        *self.signer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(signer));
        Ok(())
    }

    /// Takes it back: nothing is left that it was lent for.
    pub fn take_back(&self) {
        *self.signer.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The operator's own signer: the one that was lent, or the one that is at hand without him.
    fn signer(&self) -> Result<Arc<Key>, String> {
        if let Some(lent) = self.signer.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(lent);
        }
        let none = "a withdrawal is signed by the operator's own signer alone, and none is at hand";
        let file = self.signer_file.as_deref().ok_or(none)?;
        read_signer(file, self.account).map(Arc::new).map_err(|why| format!("{none}: {why}"))
    }

    /// Carries released steps out. With the gate closed nothing new begins; what may have left before is followed to its end.
    pub fn carry(&self, steps: Vec<ReleasedTransfer>, gate_closed: bool, tasks: &TaskTracker) {
        for step in steps {
            let (id, route) = match step.step() {
                TransferStep::Start(intent) => (intent.id, Some(&intent.route)),
                TransferStep::Resume(transfer) => (transfer.intent.id, Some(&transfer.intent.route)),
                TransferStep::Send { id, .. } => (*id, None),
            };
            let is_new = matches!(step.step(), TransferStep::Start(_));
            if gate_closed && is_new {
                self.refuse(id, "never begun: the gate was closed", tasks);
            } else if route.is_none_or(|route| route.leg().is_some()) {
                self.to_wallet(id, step, is_new, tasks);
            } else {
                self.to_venue(id, step, tasks);
            }
        }
    }

    fn to_wallet(&self, id: TransferId, step: ReleasedTransfer, is_new: bool, tasks: &TaskTracker) {
        let Some(wallet) = &self.wallet else {
            if is_new {
                self.refuse(id, "no wallet is configured", tasks);
            } else {
                error!(transfer = %id, "a transfer is under way on a chain and no wallet is configured: nobody looks after it");
            }
            return;
        };
        if wallet.try_send(Job::Step(Box::new(step))).is_ok() {
            return;
        }
        if is_new {
            self.refuse(id, "the wallet's task has ended, or too much waits for it", tasks);
        } else {
            error!(transfer = %id, "the wallet's task has ended, or too much waits for it: restart the daemon");
        }
    }

    fn to_venue(&self, id: TransferId, step: ReleasedTransfer, tasks: &TaskTracker) {
        let withdrawal = match step.step() {
            TransferStep::Start(intent) => matches!(intent.route, Route::Withdrawal { .. }).then_some(true),
            TransferStep::Resume(transfer) => matches!(transfer.intent.route, Route::Withdrawal { .. }).then_some(false),
            TransferStep::Send { .. } => None,
        };
        let key = match withdrawal {
            None => self.funds.clone(),
            Some(is_new) => match self.signer() {
                Ok(signer) => Some(signer),
                Err(why) if is_new => return self.refuse(id, &why, tasks),
                // what may have left is looked up without a key
                Err(_) => None,
            },
        };
        let connector = self.connector.clone();
        tasks.spawn(async move { connector.transfer(step, key.as_deref()).await });
    }

    /// Has the wallet drop a transfer.
    pub fn forget(&self, id: TransferId) {
        if let Some(wallet) = &self.wallet
            && wallet.try_send(Job::Forget(id)).is_err()
        {
            error!(transfer = %id, "the wallet's task has ended, or too much waits for it: restart the daemon");
        }
    }

    fn refuse(&self, id: TransferId, why: &str, tasks: &TaskTracker) {
        let event = TransferEvent::Ended(TransferOutcome::Refused { why: why.to_owned() });
        self.tell(Fact::Transfer { id, event: Box::new(event) }, tasks);
    }

    /// Not awaited: who calls must not wait for the loop, which may be waiting for him.
    fn tell(&self, fact: Fact, tasks: &TaskTracker) {
        let facts = self.facts.clone();
        tasks.spawn(async move { told(&facts, fact).await });
    }

    /// Reads what lies idle. What fails is asked for again, and until then it is not known.
    pub async fn read(self, read: CollateralRead) {
        let CollateralRead { venue, places, roads, deposits_since_ms } = read;
        for place in places {
            let at = (self.clock)();
            match self.idle(place).await {
                Ok(free) => told(&self.facts, Fact::Idle(IdleBalance { venue, place, free, at })).await,
                Err(why) => warn!(?place, "idle collateral could not be read: {why}"),
            }
        }
        if roads {
            self.read_roads(venue).await;
        }
        let Some(since) = deposits_since_ms else { return };
        match self.connector.deposits(since).await {
            Ok(rows) => {
                let rows: Vec<_> =
                    rows.into_iter().map(|row| DepositSeen { venue_ms: row.venue_ms, amount: row.amount }).collect();
                told(&self.facts, Fact::Deposits(venue, rows.into())).await;
            }
            Err(e) => warn!("the venue's ledger could not be read: {}", words(&e)),
        }
    }

    async fn idle(&self, place: IdlePlace) -> Result<domain::Usd, String> {
        let of = |account: EvmAddress| async move { self.connector.withdrawable(account).await.map_err(|e| words(&e)) };
        match place {
            IdlePlace::Spot => self.connector.spot_usdc().await.map_err(|e| words(&e)),
            IdlePlace::SubAccount(account) => of(account).await,
            IdlePlace::Master => {
                let known = *self.master.lock().unwrap_or_else(PoisonError::into_inner);
                let master = match known {
                    Some(master) => master,
                    None => self.connector.master().await.map_err(|e| words(&e))?.ok_or("the account is nobody's sub-account")?,
                };
                *self.master.lock().unwrap_or_else(PoisonError::into_inner) = Some(master);
                of(master).await
            }
        }
    }

    async fn read_roads(&self, venue: Venue) {
        let road = |name: &str| match name {
            "bridge" => UsdcRoad::Bridge,
            "cctp" => UsdcRoad::Cctp,
            _ => UsdcRoad::Unknown,
        };
        let at: Stamp = (self.clock)();
        match self.connector.usdc_routing().await {
            Ok(said) => {
                let roads = UsdcRoads { venue, deposit: road(&said.deposit_route), withdrawal: road(&said.withdrawal_route), at };
                told(&self.facts, Fact::Roads(roads)).await;
            }
            Err(e) => warn!("by which road the venue takes deposits could not be read: {}", words(&e)),
        }
    }
}

async fn told(to: &mpsc::Sender<Fact>, fact: Fact) {
    if to.send(fact).await.is_err() {
        debug!("the loop left before it heard of money");
    }
}

/// How the wallet of `part` is run, and where its key is.
fn wallet_config(part: &TreasuryPart) -> Option<(WalletConfig, PathBuf)> {
    let (wallet, limits) = (part.wallet.as_ref()?, part.limits.wallet()?);
    let mut config = WalletConfig::new(wallet.endpoints.0.clone(), limits.chain_id, limits.token);
    config.policy.depth = wallet.confirmations;
    config.policy.stuck = wallet.replace_after;
    config.policy.give_up = wallet.give_up_after;
    config.every = wallet.look_every;
    Some((config, wallet.key_file.clone()))
}

/// Starts the wallet, as often as it takes, and hands it what was released for it.
struct Keeper {
    config: WalletConfig,
    key_file: PathBuf,
    clock: Clock,
    facts: mpsc::Sender<Fact>,
    show: watch::Sender<WalletTask>,
}

impl Keeper {
    async fn run(self, mut key: Option<chain::Key>, mut inbox: mpsc::Receiver<Job>) {
        let mut pause = START_AGAIN_MIN;
        let wallet = loop {
            match self.start(key.take()).await {
                Ok(wallet) => break wallet,
                Err(why) => {
                    error!("the wallet does not start, and nothing is deposited from it; next try in {pause:?}: {why}");
                    self.show.send_replace(WalletTask { why: Some(why.clone()), ..WalletTask::default() });
                    told(&self.facts, Fact::WalletDoubt(format!("the wallet does not start: {why}"))).await;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(START_AGAIN_MAX),
                // nobody needs it any more
                () = self.facts.closed() => return,
            }
        };
        info!(wallet = %wallet.address(), chain = self.config.chain_id, "the wallet is looked after");
        let mut status = wallet.status();
        loop {
            let seen = status.borrow_and_update().clone();
            self.show.send_replace(WalletTask {
                running: true,
                why: None,
                open: seen.open.map(|id| (id, seen.waits)),
                out: seen.out,
            });
            tokio::select! {
                job = inbox.recv() => {
                    let Some(job) = job else { return };
                    let done = match job {
                        Job::Step(step) => wallet.take(*step).await,
                        Job::Forget(id) => wallet.forget(id).await,
                    };
                    if let Err(e) = done {
                        error!("the wallet did not take a step: {}", words(&e));
                    }
                }
                changed = status.changed() => if changed.is_err() { break },
            }
        }
        // its task panicked; what it knew of an open transfer is gone, and another start would not get it back
        let why = "the wallet's task has ended: restart the daemon, which goes on with what is under way";
        error!("{why}");
        self.show.send_replace(WalletTask { why: Some(why.to_owned()), ..WalletTask::default() });
        told(&self.facts, Fact::WalletDoubt(why.to_owned())).await;
    }

    async fn start(&self, key: Option<chain::Key>) -> Result<Wallet, String> {
        let key = match key {
            Some(key) => key,
            None => chain::Key::from_file(&self.key_file).map_err(|e| words(&e))?,
        };
        let (clock, facts) = (Arc::clone(&self.clock), self.facts.clone());
        Wallet::start(self.config.clone(), key, clock, facts).await.map_err(|e| words(&e))
    }
}
