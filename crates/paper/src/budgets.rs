//! Request budgets: weight per IP and minute, actions per address (fact sheet §7).

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use rust_decimal::Decimal;
use wire::hyperliquid::Address;

use crate::VenueLimits;

const MINUTE_MS: u64 = 60_000;
/// A spent address gets one request through in this long.
const DRIP_MS: u64 = 10_000;
/// Beyond the limit, this many more cancels are let through, or as many again as the limit, whichever is less.
const CANCEL_EXTRA: u64 = 100_000;

/// What was used in the last minute, by second.
#[derive(Debug, Default)]
struct Window {
    seconds: VecDeque<(u64, u64)>,
    sum: u64,
}

impl Window {
    fn used(&mut self, now_ms: u64) -> u64 {
        while let Some((second, amount)) = self.seconds.front().copied() {
            if second * 1_000 + MINUTE_MS > now_ms {
                break;
            }
            self.sum -= amount;
            self.seconds.pop_front();
        }
        self.sum
    }

    fn add(&mut self, now_ms: u64, amount: u64) {
        let second = now_ms / 1_000;
        self.sum += amount;
        match self.seconds.back_mut() {
            Some((last, sum)) if *last == second => *sum += amount,
            _ => self.seconds.push_back((second, amount)),
        }
    }

    /// Adds `amount` if that stays within `limit`.
    fn take(&mut self, now_ms: u64, amount: u64, limit: u64) -> bool {
        let fits = self.used(now_ms) + amount <= limit;
        if fits {
            self.add(now_ms, amount);
        }
        fits
    }
}

/// The budgets of one IP.
#[derive(Debug, Default)]
pub(crate) struct IpBudget {
    weight: Window,
    connects: Window,
    messages: Window,
    pub(crate) connections: usize,
    pub(crate) subscriptions: usize,
    pub(crate) users: BTreeMap<Address, usize>,
}

/// All budgets per IP.
#[derive(Debug, Default)]
pub(crate) struct IpBudgets {
    by_ip: BTreeMap<IpAddr, IpBudget>,
}

impl IpBudgets {
    pub(crate) fn of(&mut self, ip: IpAddr) -> &mut IpBudget {
        self.by_ip.entry(ip).or_default()
    }
}

impl IpBudget {
    /// Takes REST weight; false means 429.
    pub(crate) fn weight(&mut self, now_ms: u64, weight: u64, limits: &VenueLimits) -> bool {
        self.weight.take(now_ms, weight, u64::from(limits.ip_weight_per_minute))
    }

    /// Weight known only once the answer is: charged without refusing, so that the next request pays.
    pub(crate) fn owe(&mut self, now_ms: u64, weight: u64) {
        if weight > 0 {
            self.weight.add(now_ms, weight);
        }
    }

    /// A new socket; false means refused.
    pub(crate) fn connect(&mut self, now_ms: u64, limits: &VenueLimits) -> bool {
        let free = self.connections < limits.ws_connections;
        let fits = free && self.connects.take(now_ms, 1, limits.ws_connects_per_minute as u64);
        self.connections += usize::from(fits);
        fits
    }

    /// A message from a client; false means too many.
    pub(crate) fn message(&mut self, now_ms: u64, limits: &VenueLimits) -> bool {
        self.messages.take(now_ms, 1, limits.ws_messages_per_minute as u64)
    }

    /// A user stream; false means too many different users.
    pub(crate) fn watch(&mut self, user: Address, limits: &VenueLimits) -> bool {
        if !self.users.contains_key(&user) && self.users.len() >= limits.ws_users {
            return false;
        }
        *self.users.entry(user).or_default() += 1;
        true
    }

    /// A user stream ends.
    pub(crate) fn unwatch(&mut self, user: Address) {
        if let Some(n) = self.users.get_mut(&user) {
            *n -= 1;
            if *n == 0 {
                self.users.remove(&user);
            }
        }
    }
}

/// Actions used per address.
#[derive(Debug, Default)]
pub(crate) struct AddressBudget {
    used: BTreeMap<Address, Used>,
}

#[derive(Debug, Default)]
struct Used {
    requests: u64,
    cancels_over: u64,
    reserved: u64,
    last_drip_ms: Option<u64>,
}

impl AddressBudget {
    /// Takes `n` requests of `who`, who has traded `volume`; the text is the venue's refusal, which costs nothing.
    pub(crate) fn take(
        &mut self,
        who: Address,
        n: u64,
        cancels: bool,
        volume: Decimal,
        now_ms: u64,
        limits: &VenueLimits,
    ) -> Result<(), String> {
        let used = self.used.entry(who).or_default();
        let cap = cap(limits, volume).saturating_add(used.reserved);
        if used.requests.saturating_add(n) <= cap {
            used.requests += n;
            return Ok(());
        }
        let cancel_cap = cap.saturating_add(CANCEL_EXTRA).min(cap.saturating_mul(2)) - cap;
        if cancels && used.cancels_over.saturating_add(n) <= cancel_cap {
            used.cancels_over += n;
            return Ok(());
        }
        if used.last_drip_ms.is_none_or(|last| last + DRIP_MS <= now_ms) {
            used.last_drip_ms = Some(now_ms);
            used.requests = used.requests.saturating_add(n);
            return Ok(());
        }
        Err(format!(
            "Too many cumulative requests sent ({} > {cap}) for cumulative volume traded ${}. Place taker orders to free up 1 request per USDC traded.",
            used.requests,
            volume.round_dp(2)
        ))
    }

    /// More requests bought by `reserveRequestWeight`.
    pub(crate) fn reserve(&mut self, who: Address, n: u64) {
        let used = self.used.entry(who).or_default();
        used.reserved = used.reserved.saturating_add(n);
    }

    /// Used, cap and reserved surplus, as `userRateLimit` shows them.
    pub(crate) fn view(&self, who: Address, volume: Decimal, limits: &VenueLimits) -> (u64, u64, u64) {
        let used = self.used.get(&who);
        (used.map_or(0, |u| u.requests + u.cancels_over), cap(limits, volume), used.map_or(0, |u| u.reserved))
    }
}

fn cap(limits: &VenueLimits, volume: Decimal) -> u64 {
    limits.address_requests.saturating_add(u64::try_from(volume.floor()).unwrap_or(0))
}

/// Weight of an `/exchange` request that carries `items` orders or cancels.
pub(crate) fn exchange_weight(items: usize) -> u64 {
    1 + items as u64 / 40
}

/// Weight of an `/info` request before its answer is known.
pub(crate) fn info_weight(kind: &str) -> u64 {
    match kind {
        "l2Book" | "allMids" | "clearinghouseState" | "orderStatus" | "spotClearinghouseState" | "exchangeStatus" => 2,
        "userRole" => 60,
        _ => 20,
    }
}

/// Weight that the answer adds: one per 20 items of a history, one per 60 candles.
pub(crate) fn answer_weight(kind: &str, items: usize) -> u64 {
    let per = match kind {
        "recentTrades"
        | "historicalOrders"
        | "userFills"
        | "userFillsByTime"
        | "fundingHistory"
        | "userFunding"
        | "userNonFundingLedgerUpdates"
        | "twapHistory"
        | "userTwapSliceFills"
        | "userTwapSliceFillsByTime" => 20,
        "candleSnapshot" => 60,
        _ => return 0,
    };
    (items / per) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;
    const WHO: Address = Address([7; 20]);

    #[test]
    fn ip_weight_comes_back_after_a_minute() {
        let limits = VenueLimits { ip_weight_per_minute: 100, ..VenueLimits::default() };
        let mut ip = IpBudget::default();
        assert!((0..5).all(|_| ip.weight(NOW, 20, &limits)));
        assert!(!ip.weight(NOW + 59_000, 2, &limits));
        assert!(ip.weight(NOW + 60_000, 2, &limits));
        ip.owe(NOW + 60_000, 1_000);
        assert!(!ip.weight(NOW + 60_001, 1, &limits), "an expensive answer is paid by the next request");
    }

    #[test]
    fn a_spent_address_drips_and_may_still_cancel() {
        let limits = VenueLimits { address_requests: 3, ..VenueLimits::default() };
        let mut budget = AddressBudget::default();
        let zero = Decimal::ZERO;
        assert_eq!(budget.take(WHO, 3, false, zero, NOW, &limits), Ok(()));
        assert_eq!(budget.take(WHO, 1, false, zero, NOW, &limits), Ok(()), "the first drip");
        assert_eq!(
            budget.take(WHO, 1, false, Decimal::new(12345, 4), NOW + 9_999, &limits),
            Err("Too many cumulative requests sent (4 > 4) for cumulative volume traded $1.23. Place taker orders to free up 1 request per USDC traded.".into())
        );
        assert!((0..3).all(|_| budget.take(WHO, 1, true, zero, NOW + 1, &limits).is_ok()), "cancels: twice the limit");
        assert!(budget.take(WHO, 1, true, zero, NOW + 1, &limits).is_err());
        assert_eq!(budget.take(WHO, 1, false, zero, NOW + 10_000, &limits), Ok(()));
        assert_eq!(budget.take(WHO, 1, false, Decimal::from(50), NOW + 10_001, &limits), Ok(()), "volume frees requests");
        assert_eq!(budget.view(WHO, Decimal::from(50), &limits).1, 53);
    }

    #[test]
    fn weights_are_the_sheets() {
        assert_eq!((exchange_weight(1), exchange_weight(39), exchange_weight(40), exchange_weight(200)), (1, 1, 2, 6));
        assert_eq!((info_weight("l2Book"), info_weight("userRole"), info_weight("meta")), (2, 60, 20));
        assert_eq!(
            (answer_weight("userFills", 2_000), answer_weight("candleSnapshot", 120), answer_weight("meta", 9)),
            (100, 2, 0)
        );
    }
}
