//! From a signed action to an operation of the exchange, or to its refusal (fact sheet §4, §5, §7).

use domain::{Ratio, Side, Usd};
use exchange::{AccountKey, Asset, NewOrder, Op};
use rust_decimal::Decimal;
use wire::hyperliquid::action::{
    Action, Answer, CancelStatus, OrderKind, OrderRef, OrderRequest, Response, Signed, Tif, Tpsl, TwapOrderStatus,
};
use wire::hyperliquid::sign::Network;
use wire::hyperliquid::{Address, DecimalText};

use super::{Ending, HTML, Served, Venue};
use crate::accounts::Signer;
use crate::fault::{ActiveFault, Fault};

/// Most orders, cancels or modifications in one action.
const WEIGHT_MAX: usize = 200;
/// What an expired action costs of the address budget.
const EXPIRED_COST: u64 = 5;
/// One more request, as `reserveRequestWeight` sells it: 0.0005 USDC.
const RESERVE_PRICE: (i64, u32) = (5, 4);
/// Who is paid for reserved requests.
const SINK: AccountKey = AccountKey([0xfe; 20]);
/// Volume before sub-accounts may be created.
const SUB_ACCOUNT_VOLUME: i32 = 100_000;

/// A decoded action with the addresses that may have signed it.
pub(crate) struct Post {
    pub(crate) signed: Signed,
    pub(crate) candidates: Vec<(Network, Address)>,
}

impl Post {
    /// Recovers the possible signers: the costly part, done outside the owner's task.
    pub(crate) fn new(signed: Signed) -> Post {
        let candidates = signed.signers().unwrap_or_default();
        Post { signed, candidates }
    }

    /// The action's `type`.
    pub(crate) fn kind(&self) -> &'static str {
        kind_of(&self.signed.action)
    }
}

/// What an action came to.
pub(crate) enum Prepared {
    /// Answered without the exchange.
    Done(Answer),
    /// For the exchange; the assets name the orders' markets in order.
    Op(AccountKey, Op, Vec<Asset>),
}

/// Orders, cancels or modifications that an action carries; 1 for any other.
pub(crate) fn items_of(action: &Action) -> usize {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others carry no list")]
    match action {
        Action::Order(a) => a.orders.len(),
        Action::Cancel(a) => a.cancels.len(),
        Action::CancelByCloid(a) => a.cancels.len(),
        Action::BatchModify(a) => a.modifies.len(),
        _ => 1,
    }
}

fn refuse(text: impl Into<String>) -> Prepared {
    Prepared::Done(Answer::Err(text.into()))
}

fn done() -> Prepared {
    Prepared::Done(Answer::Ok(Response::Default))
}

impl Venue {
    /// Checks who asks and whether they may, and turns the action into an operation.
    pub(super) fn prepare(&mut self, post: &Post) -> Prepared {
        match self.authorise(post) {
            Ok((signer, account)) => self.translate(post, signer, account),
            Err(text) => refuse(text),
        }
    }

    /// Signature, expiry, nonce, vault, budget, in the venue's order. Only an accepted action burns its nonce.
    fn authorise(&mut self, post: &Post) -> Result<(Signer, AccountKey), String> {
        let now = self.shown_ms();
        let signed = &post.signed;
        let items = items_of(&signed.action);
        if items > WEIGHT_MAX {
            return Err("Signed action over weight limit of 200.".into());
        }
        let signer = match (signed.action.signed_network(), post.candidates.first()) {
            (_, None) => return Err("Unable to recover signer.".into()),
            (Some(_), Some((_, address))) => self.directory.user_signer(*address)?,
            (None, Some(_)) => self.directory.l1_signer(&post.candidates, now)?,
        };
        self.credit();
        if signed.action.signed_nonce().is_some_and(|inner| inner != signed.nonce) {
            return Err(format!("Invalid nonce: {} differs from the action's own", signed.nonce));
        }
        self.nonces.check(signer.nonces, signed.nonce, now)?;
        let account = match signed.vault_address {
            None => signer.account,
            Some(vault) => self.directory.on_behalf(&signer, vault)?,
        };
        let payer = Address(account.0);
        let volume = self.exchange.user_volume(account).decimal();
        let is_cancel = matches!(signed.action, Action::Cancel(_) | Action::CancelByCloid(_));
        let is_expired = signed.expires_after.is_some_and(|at| at < now);
        let cost = items as u64 * if is_expired { EXPIRED_COST } else { 1 };
        self.budgets.take(payer, cost, is_cancel, volume, self.now_ms, &self.limits)?;
        if is_expired {
            return Err("Action already expired".into());
        }
        self.nonces.burn(signer.nonces, signed.nonce);
        Ok((signer, account))
    }

    #[expect(clippy::too_many_lines, reason = "one arm per action of the venue")]
    fn translate(&mut self, post: &Post, signer: Signer, account: AccountKey) -> Prepared {
        let nonce = post.signed.nonce;
        let plain = |op| Prepared::Op(account, op, Vec::new());
        let unavailable = |what: &str| refuse(format!("{what} is not available on this venue."));
        match &post.signed.action {
            Action::Order(a) => {
                if a.builder.is_some_and(|b| self.directory.builder_fee(account, b.address) < b.fee) {
                    return refuse("Builder fee has not been approved.");
                }
                let Some(orders) = a.orders.iter().map(new_order).collect::<Option<Vec<_>>>() else {
                    return refuse("Order has invalid time in force.");
                };
                for order in &orders {
                    self.memories.arrived(account, order);
                }
                let grouping = match a.grouping {
                    wire::hyperliquid::action::Grouping::Na | wire::hyperliquid::action::Grouping::Priority(_) => {
                        exchange::Grouping::Na
                    }
                    wire::hyperliquid::action::Grouping::NormalTpsl => exchange::Grouping::NormalTpsl,
                    wire::hyperliquid::action::Grouping::PositionTpsl => exchange::Grouping::PositionTpsl,
                };
                let assets = orders.iter().map(|o| o.asset).collect();
                Prepared::Op(account, Op::Place { orders, grouping }, assets)
            }
            Action::Cancel(a) => plain(Op::Cancel { orders: a.cancels.iter().map(|c| (Asset(c.asset), c.oid)).collect() }),
            Action::CancelByCloid(a) => {
                plain(Op::CancelByCloid { orders: a.cancels.iter().map(|c| (Asset(c.asset), c.cloid.bits())).collect() })
            }
            Action::Modify(a) => match new_order(&a.order) {
                Some(new) => plain(Op::Modify { order: order_ref(a.oid), new, always_place: a.always_place }),
                None => refuse("Order has invalid time in force."),
            },
            Action::BatchModify(a) => {
                let pair = |m: &wire::hyperliquid::action::Replacement| Some((order_ref(m.oid), new_order(&m.order)?));
                let Some(modifies) = a.modifies.iter().map(pair).collect::<Option<Vec<_>>>() else {
                    return refuse("Order has invalid time in force.");
                };
                let assets = modifies.iter().map(|(_, o)| o.asset).collect();
                Prepared::Op(account, Op::BatchModify { modifies, always_place: a.always_place }, assets)
            }
            Action::ScheduleCancel(a) => plain(Op::ScheduleCancel { at_ms: a.time }),
            Action::UpdateLeverage(a) => {
                plain(Op::UpdateLeverage { asset: Asset(a.asset), is_cross: a.is_cross, leverage: a.leverage })
            }
            Action::UpdateIsolatedMargin(a) => match Usd::new(Decimal::new(a.ntli, 6)) {
                Ok(amount) => plain(Op::UpdateIsolatedMargin { asset: Asset(a.asset), amount }),
                Err(e) => refuse(e.to_string()),
            },
            Action::TopUpIsolatedOnlyMargin(a) => match Ratio::new(a.leverage.get()) {
                Ok(leverage) => plain(Op::TopUpIsolatedOnlyMargin { asset: Asset(a.asset), leverage }),
                Err(_) => refuse("Invalid leverage value"),
            },
            Action::TwapOrder(_) => {
                let text = "TWAP orders are not available on this venue.".to_owned();
                Prepared::Done(Answer::Ok(Response::TwapOrder(TwapOrderStatus::Error(text))))
            }
            Action::TwapCancel(_) => {
                let text = "TWAP was never placed, already canceled, or filled.".to_owned();
                Prepared::Done(Answer::Ok(Response::TwapCancel(CancelStatus::Error(text))))
            }
            Action::Noop => plain(Op::Noop),
            Action::ReserveRequestWeight(a) => {
                let price = Decimal::new(RESERVE_PRICE.0, RESERVE_PRICE.1);
                let Some(Ok(amount)) = price.checked_mul(Decimal::from(a.weight)).map(Usd::new) else {
                    return refuse("Insufficient balance for withdrawal");
                };
                if amount > self.exchange.account_state(account).withdrawable {
                    return refuse("Insufficient balance for withdrawal");
                }
                let to = a.destination.map_or(account, |d| self.sight(d));
                self.budgets.reserve(Address(to.0), a.weight);
                plain(Op::UsdSend { destination: SINK, amount })
            }
            Action::SubAccountTransfer(a) => {
                let sub = self.directory.known(a.sub_account_user).filter(|s| self.directory.owns(signer.account, *s));
                match (sub, Usd::new(Decimal::from(a.usd) / Decimal::from(1_000_000))) {
                    (Some(sub_account), Ok(amount)) => {
                        plain(Op::SubAccountTransfer { sub_account, is_deposit: a.is_deposit, amount })
                    }
                    _ => {
                        let master = self.directory.shown(signer.account);
                        let (from, to) = if a.is_deposit { (master, a.sub_account_user) } else { (a.sub_account_user, master) };
                        refuse(format!("Invalid sub-account transfer from {from} to {to}"))
                    }
                }
            }
            Action::CreateSubAccount(a) => {
                let volume = self.exchange.user_volume(account);
                if volume < Usd::whole(SUB_ACCOUNT_VOLUME) {
                    return refuse(format!(
                        "Cannot create sub-accounts until enough volume traded. Required: ${SUB_ACCOUNT_VOLUME}. Traded: ${}",
                        volume.decimal().round_dp(2)
                    ));
                }
                match self.directory.create_sub_account(account, &a.name) {
                    Ok(address) => Prepared::Done(Answer::Ok(Response::Created {
                        kind: "createSubAccount".into(),
                        address: address.to_string(),
                    })),
                    Err(text) => refuse(text),
                }
            }
            Action::SubAccountModify(a) => {
                self.directory.rename_sub_account(account, a.sub_account_user, &a.name).map_or_else(refuse, |()| done())
            }
            Action::VaultTransfer(a) => refuse(format!("Vault not registered: {}", a.vault_address)),
            Action::EvmUserModify(_) | Action::SetReferrer(_) => done(),
            Action::UsdSend(a) => self.send_usd(account, &a.destination, &a.amount),
            Action::Withdraw3(a) => match Usd::new(a.amount.get()) {
                Ok(amount) => match a.destination.parse::<Address>() {
                    Ok(to) => {
                        self.withdrawing(account, nonce, to);
                        plain(Op::Withdraw { amount, nonce })
                    }
                    Err(e) => refuse(e.to_string()),
                },
                Err(e) => refuse(e.to_string()),
            },
            Action::UsdClassTransfer(a) => self.class_transfer(signer, account, &a.amount, a.to_perp),
            Action::SendAsset(a) => {
                let own = a.destination.parse::<Address>().ok().and_then(|d| self.directory.known(d)) == Some(account);
                match (a.token.as_str(), a.source_dex.as_str(), a.destination_dex.as_str(), Usd::new(a.amount.get())) {
                    ("USDC", "", "spot", Ok(amount)) if own => plain(Op::ClassTransfer { amount, to_perp: false }),
                    ("USDC", "spot", "", Ok(amount)) if own => plain(Op::ClassTransfer { amount, to_perp: true }),
                    ("USDC", "", "", Ok(_)) if !own => self.send_usd(account, &a.destination, &a.amount),
                    ("USDC", ..) => refuse("Insufficient balance for token transfer"),
                    _ => refuse("Unknown token"),
                }
            }
            Action::ApproveAgent(a) => {
                let now = self.shown_ms();
                let approved = self.directory.approve_agent(account, a.agent_address, a.agent_name.as_deref(), now);
                approved.map_or_else(refuse, |()| done())
            }
            Action::ApproveBuilderFee(a) => match tenths_of_bp(&a.max_fee_rate) {
                Some(fee) => {
                    self.directory.approve_builder(account, a.builder, fee);
                    done()
                }
                None => refuse("Invalid builder fee rate."),
            },
            Action::UserSetAbstraction(a) if matches!(a.abstraction.as_str(), "disabled" | "default") => done(),
            Action::UserDexAbstraction(a) if !a.enabled => done(),
            Action::UserPortfolioMargin(a) if !a.enabled => done(),
            Action::UserSetAbstraction(_)
            | Action::UserDexAbstraction(_)
            | Action::UserPortfolioMargin(_)
            | Action::AgentSetAbstraction(_) => unavailable("This account mode"),
            Action::SpotSend(_) | Action::SubAccountSpotTransfer(_) => refuse("Insufficient balance for token transfer"),
            Action::AgentSendAsset(_) => refuse("Agent can only send asset to same user or their sub-accounts."),
            Action::TokenDelegate(_) | Action::CDeposit(_) | Action::CWithdraw(_) => unavailable("Staking"),
            Action::SendToEvmWithData(_) => unavailable("The CCTP route"),
            Action::ConvertToMultiSigUser(_) => unavailable("Multi-signature"),
        }
    }

    /// The amount may name a sub-account: `10 subaccount:0x…`.
    fn class_transfer(&mut self, signer: Signer, account: AccountKey, amount: &str, to_perp: bool) -> Prepared {
        let (amount, account) = match amount.split_once(" subaccount:") {
            None => (amount, account),
            Some((amount, sub)) => {
                let own =
                    sub.parse().ok().and_then(|s| self.directory.known(s)).filter(|s| self.directory.owns(signer.account, *s));
                match own {
                    Some(sub) => (amount, sub),
                    None => return refuse(format!("Vault not registered: {sub}")),
                }
            }
        };
        match amount.parse::<Usd>() {
            Ok(amount) => Prepared::Op(account, Op::ClassTransfer { amount, to_perp }, Vec::new()),
            Err(_) => refuse("Invalid number of decimals"),
        }
    }

    fn send_usd(&mut self, account: AccountKey, destination: &str, amount: &DecimalText) -> Prepared {
        match (destination.parse::<Address>(), Usd::new(amount.get())) {
            (Ok(to), Ok(amount)) => {
                let destination = self.directory.adopt(to);
                Prepared::Op(account, Op::UsdSend { destination, amount }, Vec::new())
            }
            _ => refuse("Insufficient balance for withdrawal"),
        }
    }

    /// The answer with what goes wrong after the action happened.
    pub(super) fn spoil(&self, answer: Answer, met: &[ActiveFault]) -> Served {
        let mut answer = answer;
        if met.iter().any(|f| f.kind == Fault::ShortStatuses) {
            if let Answer::Ok(Response::Order(statuses)) = &mut answer {
                statuses.pop();
            }
            if let Answer::Ok(Response::Cancel(statuses)) = &mut answer {
                statuses.pop();
            }
        }
        let mut served = Served::json(&answer);
        spoil(&mut served, met);
        served
    }
}

/// What goes wrong with an answer after its request was served.
pub(super) fn spoil(served: &mut Served, met: &[ActiveFault]) {
    for fault in met {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the others do not touch answers")]
        match fault.kind {
            Fault::ErrorAfter => *served = Served::text(fault.order.status.unwrap_or(502), "Bad Gateway"),
            Fault::TimeoutAfter => served.ending = Ending::Never,
            Fault::WithheldAck => served.ending = Ending::Late(std::time::Duration::from_millis(fault.delay_ms())),
            Fault::CutAnswer => served.ending = Ending::Cut,
            Fault::HtmlAnswer => {
                *served = Served { kind: HTML, ..Served::text(200, "<!doctype html><title>Just a moment...</title>") };
            }
            _ => {}
        }
    }
}

/// `0.01%` in tenths of a basis point: 10.
fn tenths_of_bp(rate: &str) -> Option<u32> {
    let percent = domain::plain_decimal(rate.strip_suffix('%')?)?;
    let tenths = percent.checked_mul(Decimal::from(1_000))?;
    u32::try_from(tenths).ok().filter(|_| tenths.fract().is_zero())
}

fn order_ref(order: OrderRef) -> exchange::OrderRef {
    match order {
        OrderRef::Oid(oid) => exchange::OrderRef::Oid(oid),
        OrderRef::Cloid(cloid) => exchange::OrderRef::Cloid(cloid.bits()),
    }
}

/// `None` for a lifetime that clients may not ask for.
fn new_order(o: &OrderRequest) -> Option<NewOrder> {
    let kind = match o.kind {
        OrderKind::Limit { tif } => exchange::OrderKind::Limit(match tif {
            Tif::Alo => exchange::TimeInForce::Alo,
            Tif::Ioc => exchange::TimeInForce::Ioc,
            Tif::Gtc => exchange::TimeInForce::Gtc,
            Tif::FrontendMarket => exchange::TimeInForce::FrontendMarket,
            Tif::LiquidationMarket => return None,
        }),
        OrderKind::Trigger { is_market, trigger_px, tpsl } => exchange::OrderKind::Trigger {
            is_market,
            trigger_px: trigger_px.get(),
            tpsl: match tpsl {
                Tpsl::Tp => exchange::Tpsl::Tp,
                Tpsl::Sl => exchange::Tpsl::Sl,
            },
        },
    };
    Some(NewOrder {
        asset: Asset(o.asset),
        side: if o.is_buy { Side::Buy } else { Side::Sell },
        px: o.px.get(),
        qty: o.sz.get(),
        reduce_only: o.reduce_only,
        kind,
        cloid: o.cloid.map(domain::ClientKey::bits),
    })
}

/// The action's `type`.
fn kind_of(action: &Action) -> &'static str {
    match action {
        Action::Order(_) => "order",
        Action::Cancel(_) => "cancel",
        Action::CancelByCloid(_) => "cancelByCloid",
        Action::Modify(_) => "modify",
        Action::BatchModify(_) => "batchModify",
        Action::ScheduleCancel(_) => "scheduleCancel",
        Action::UpdateLeverage(_) => "updateLeverage",
        Action::UpdateIsolatedMargin(_) => "updateIsolatedMargin",
        Action::TopUpIsolatedOnlyMargin(_) => "topUpIsolatedOnlyMargin",
        Action::TwapOrder(_) => "twapOrder",
        Action::TwapCancel(_) => "twapCancel",
        Action::Noop => "noop",
        Action::ReserveRequestWeight(_) => "reserveRequestWeight",
        Action::SubAccountTransfer(_) => "subAccountTransfer",
        Action::SubAccountSpotTransfer(_) => "subAccountSpotTransfer",
        Action::CreateSubAccount(_) => "createSubAccount",
        Action::SubAccountModify(_) => "subAccountModify",
        Action::VaultTransfer(_) => "vaultTransfer",
        Action::AgentSendAsset(_) => "agentSendAsset",
        Action::AgentSetAbstraction(_) => "agentSetAbstraction",
        Action::EvmUserModify(_) => "evmUserModify",
        Action::SetReferrer(_) => "setReferrer",
        Action::UsdSend(_) => "usdSend",
        Action::SpotSend(_) => "spotSend",
        Action::Withdraw3(_) => "withdraw3",
        Action::UsdClassTransfer(_) => "usdClassTransfer",
        Action::SendAsset(_) => "sendAsset",
        Action::ApproveAgent(_) => "approveAgent",
        Action::ApproveBuilderFee(_) => "approveBuilderFee",
        Action::UserSetAbstraction(_) => "userSetAbstraction",
        Action::UserDexAbstraction(_) => "userDexAbstraction",
        Action::UserPortfolioMargin(_) => "userPortfolioMargin",
        Action::TokenDelegate(_) => "tokenDelegate",
        Action::CDeposit(_) => "cDeposit",
        Action::CWithdraw(_) => "cWithdraw",
        Action::SendToEvmWithData(_) => "sendToEvmWithData",
        Action::ConvertToMultiSigUser(_) => "convertToMultiSigUser",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builder_rates_are_tenths_of_a_basis_point() {
        assert_eq!(tenths_of_bp("0.01%"), Some(10));
        assert_eq!(tenths_of_bp("0.001%"), Some(1));
        assert_eq!(tenths_of_bp("0.1"), None);
        assert_eq!(tenths_of_bp("-1%"), None);
        assert_eq!(tenths_of_bp("0.00001%"), None);
    }
}
