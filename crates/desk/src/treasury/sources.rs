//! Where a top-up can be taken from, in the order in which it is: the nearest first.

use domain::{ChainLeg, IdlePlace, Route, Span, Stamp, Usd, Wei};
use margin_guard::minimum;

use super::view::place_name;
use super::{RouteTerms, Treasurer, WalletRung};

/// A balance older than this is not taken from: six reads of a busy treasury.
pub(super) const IDLE_AGE: Span = Span::secs(30);
/// Gas of a deposit, at most: a token transfer or a burn with an authorisation, and what the chain adds for its own Layer-1.
const GAS_UNITS: u64 = 300_000;
/// A source that the judge has refused is left alone for so long: what it was refused for may pass, and each refusal is a record.
pub(super) const REFUSED_FOR: Span = Span::secs(30);

/// Of how many deposits the slowest tells how long the next one takes.
const MEASURED_KEPT: usize = 5;

/// A source of a top-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Its name in words.
    pub name: String,
    /// What lies there.
    pub balance: Option<Usd>,
    /// Stays there.
    pub floor: Usd,
    /// When it was read.
    pub at: Option<Stamp>,
    /// What may be taken; why nothing may.
    pub free: Result<Usd, String>,
    /// By which way; why by none.
    pub route: Result<Route, String>,
    /// The least that must arrive.
    pub least: Usd,
    /// Most that is kept on the way.
    pub fee: Usd,
    pub terms: RouteTerms,
    /// Its way costs more gas than may be spent (F86).
    pub dear: bool,
    pub inside: bool,
    /// Whether a read that is on the way would change the answer.
    pub pending: bool,
}

impl Treasurer {
    /// Every configured source.
    pub(super) fn sources(&self, now: Stamp) -> Vec<Source> {
        let mut sources: Vec<Source> = self.places().into_iter().map(|place| self.idle_source(now, place)).collect();
        if let Some(rung) = &self.plan.wallet {
            sources.push(self.wallet_source(now, rung));
        }
        for source in &mut sources {
            if let Some((at, why)) = self.refused.get(&source.name)
                && now.since(*at) < REFUSED_FOR
            {
                source.route = Err(format!("refused: {why}"));
            }
            if let Some(why) = self.left_alone(now, &source.name) {
                source.route = Err(why);
            }
        }
        sources
    }

    /// How long money by `route` takes: as configured, or as long as the latest ones took.
    pub(super) fn delay(&self, route: &Route) -> Span {
        let terms = match route {
            Route::Bridge(_) | Route::Withdrawal { .. } => self.plan.bridge,
            Route::Cctp { .. } => self.plan.cctp,
            Route::SpotToPerp | Route::PerpToSpot | Route::SubAccount { .. } | Route::IsolatedMargin { .. } => self.plan.inside,
        };
        self.measured.get(route.name()).and_then(|m| m.iter().max()).map_or(terms.delay, |measured| terms.delay.max(*measured))
    }

    /// Takes note of how long a deposit took.
    pub(super) fn measure(&mut self, route: &Route, took: Span) {
        let latest = self.measured.entry(route.name()).or_default();
        if latest.len() == MEASURED_KEPT {
            latest.pop_front();
        }
        latest.push_back(took);
    }

    fn idle_source(&self, now: Stamp, place: IdlePlace) -> Source {
        let (route, floor) = match place {
            IdlePlace::Spot => (Route::SpotToPerp, self.plan.spot_floor),
            IdlePlace::SubAccount(sub) => (Route::SubAccount { sub, deposit: false }, self.plan.sub_account_floor),
            IdlePlace::Master => (Route::SubAccount { sub: self.plan.account, deposit: true }, self.plan.sub_account_floor),
        };
        let floor = floor.unwrap_or_default();
        let read = self.idle.get(&place);
        let free = match read {
            None => Err("it has not been read yet".to_owned()),
            Some(read) if now.since(read.at) > IDLE_AGE => {
                Err(format!("it was read {} ago and is read anew before anything is taken", now.since(read.at)))
            }
            Some(read) if self.moved_at.is_some_and(|moved| read.at.mono <= moved.mono) => {
                Err("it was read before the last transfer ended".to_owned())
            }
            Some(read) => Ok(read.free - floor),
        };
        let least = minimum(self.plan.venue, &route);
        Source {
            name: place_name(place),
            balance: read.map(|r| r.free),
            floor,
            at: read.map(|r| r.at),
            pending: free.is_err(),
            free,
            route: Ok(route),
            least: least.arrives,
            fee: least.fee,
            terms: self.plan.inside,
            dear: false,
            inside: true,
        }
    }

    fn wallet_source(&self, now: Stamp, rung: &WalletRung) -> Source {
        let view = self.judge.wallet(now);
        let deposit = self.deposit_route(now);
        let by_cctp = matches!(deposit, Ok((Route::Cctp { .. }, _)));
        let fee = deposit.as_ref().map_or(Usd::ZERO, |(_, fee)| *fee);
        let nonce = self.judge.next_nonce(now).map_err(|e| e.to_string());
        let gas = self.gas(now, rung);
        let dear = matches!(gas, Err(NoGas::Dear(_)));
        let gas = gas.map_err(|(NoGas::Dear(why) | NoGas::Absent(why))| why);
        let route = nonce.and_then(|_| Ok(paying(deposit?.0, gas?)));
        let least = self.deposit_least();
        let terms = if by_cctp { self.plan.cctp } else { self.plan.bridge };
        let pending = view.is_err() || self.roads_are_old(now);
        let delay = route.as_ref().map_or(terms.delay, |route| self.delay(route));
        let balance = view.as_ref().ok().map(|v| v.balance);
        Source {
            name: "wallet".to_owned(),
            balance,
            floor: rung.reserve,
            at: view.as_ref().ok().map(|v| v.at),
            free: view.map(|v| v.balance - rung.reserve).map_err(|e| e.to_string()),
            route,
            least,
            fee,
            terms: RouteTerms { delay, ..terms },
            dear,
            inside: false,
            pending,
        }
    }

    /// What gas may cost: the cap, as far as the day's budget and the wallet above its floor go.
    fn gas(&self, now: Stamp, rung: &WalletRung) -> Result<Wei, NoGas> {
        let view = self.judge.wallet(now).map_err(|e| NoGas::Absent(e.to_string()))?;
        let budgets = self.judge.budgets(now);
        let cap = self.plan.limits.gas_transfer_max();
        let has = view.gas.minus(rung.gas_reserve);
        let most = cap.min(budgets.gas_max.minus(budgets.gas_spent)).min(has);
        let usual = view.base_fee.times(GAS_UNITS);
        if most < usual {
            let but = format!("and a deposit would take up to {usual} now");
            return Err(if most == has {
                NoGas::Absent(format!("the wallet has {has} ether for gas above its floor of {}, {but}", rung.gas_reserve))
            } else if most == cap {
                NoGas::Dear(format!("gas may cost {cap} ether a transfer, {but}"))
            } else {
                NoGas::Dear(format!("the day's gas budget leaves {most} ether, {but}"))
            });
        }
        if most == Wei::ZERO {
            return Err(NoGas::Absent(format!("the wallet has no ether for gas above its floor of {}", rung.gas_reserve)));
        }
        Ok(most)
    }
}

/// Why no gas can be paid.
enum NoGas {
    /// It costs more than may be spent.
    Dear(String),
    /// The wallet has none, or is not known.
    Absent(String),
}

/// `route` with what its gas may cost.
fn paying(route: Route, gas_cost_max: Wei) -> Route {
    match route {
        Route::Bridge(leg) => Route::Bridge(ChainLeg { gas_cost_max, ..leg }),
        Route::Cctp { leg, terms } => Route::Cctp { leg: ChainLeg { gas_cost_max, ..leg }, terms },
        Route::SpotToPerp
        | Route::PerpToSpot
        | Route::SubAccount { .. }
        | Route::IsolatedMargin { .. }
        | Route::Withdrawal { .. } => route,
    }
}
