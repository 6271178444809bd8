//! `/exchange`: the envelope, every action, every answer (sheet 4).
//!
//! The order of fields in these structs **is** the order in which MessagePack, and so the hash, sees them. Optional keys are
//! omitted when absent; reading takes absent and `null` alike. A server hashes the action as it writes it back, not as it
//! arrived, which is what the venue does.

use std::fmt;

use domain::ClientKey;
use serde::de::value::MapAccessDeserializer;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use super::sign::{ChainId, FieldValue, Network, Signature, TypedData};
use super::{Address, DecimalText, Num, WireDecimal};

/// The body of `POST /exchange` and of a WebSocket action post.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signed {
    /// What is asked.
    pub action: Action,
    /// Milliseconds; used once per signer (sheet 5.4).
    pub nonce: u64,
    /// Over the action, the nonce, the vault and the expiry.
    pub signature: Signature,
    /// The sub-account or vault that the key acts for. Null for user-signed actions.
    #[serde(default)]
    pub vault_address: Option<Address>,
    /// Block time in milliseconds after which the action is refused. Null for user-signed actions.
    #[serde(default)]
    pub expires_after: Option<u64>,
}

/// Every action of the sheet. L1 actions are hashed as MessagePack; user-signed ones ([`Action::typed_data`]) as EIP-712.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Action {
    /// Places orders.
    Order(Order),
    /// Cancels by order id.
    Cancel(Cancel),
    /// Cancels by client id.
    CancelByCloid(CancelByCloid),
    /// Replaces one order; the answer gives no order id.
    Modify(Modify),
    /// Replaces several orders.
    BatchModify(BatchModify),
    /// Sets or clears the venue-side dead man's switch.
    ScheduleCancel(ScheduleCancel),
    /// Sets leverage and margin mode of an asset.
    UpdateLeverage(UpdateLeverage),
    /// Adds or removes isolated margin.
    UpdateIsolatedMargin(UpdateIsolatedMargin),
    /// Adds isolated margin up to a leverage.
    TopUpIsolatedOnlyMargin(TopUpIsolatedOnlyMargin),
    /// Starts the venue's own TWAP.
    TwapOrder(TwapOrder),
    /// Stops the venue's own TWAP.
    TwapCancel(TwapCancel),
    /// Does nothing but burn its nonce.
    Noop,
    /// Buys request budget.
    ReserveRequestWeight(ReserveRequestWeight),
    /// Moves USDC between master and sub-account.
    SubAccountTransfer(SubAccountTransfer),
    /// Moves spot tokens between master and sub-account.
    SubAccountSpotTransfer(SubAccountSpotTransfer),
    /// Creates a sub-account.
    CreateSubAccount(CreateSubAccount),
    /// Renames a sub-account.
    SubAccountModify(SubAccountModify),
    /// Deposits into or withdraws from a vault.
    VaultTransfer(VaultTransfer),
    /// Moves assets within one user, signed by an agent.
    AgentSendAsset(AgentSendAsset),
    /// Sets the account mode, signed by an agent.
    AgentSetAbstraction(AgentSetAbstraction),
    /// Chooses big or small EVM blocks.
    EvmUserModify(EvmUserModify),
    /// Sets the referrer.
    SetReferrer(SetReferrer),
    /// User-signed: sends USDC to another user.
    UsdSend(UsdSend),
    /// User-signed: sends a spot token.
    SpotSend(SpotSend),
    /// User-signed: withdraws USDC over the bridge.
    Withdraw3(Withdraw3),
    /// User-signed: moves USDC between spot and perpetuals.
    UsdClassTransfer(UsdClassTransfer),
    /// User-signed: moves a token between dexes and users.
    SendAsset(SendAsset),
    /// User-signed: approves an agent key.
    ApproveAgent(ApproveAgent),
    /// User-signed: approves a builder's fee.
    ApproveBuilderFee(ApproveBuilderFee),
    /// User-signed: sets the account mode.
    UserSetAbstraction(UserSetAbstraction),
    /// User-signed: legacy account mode.
    UserDexAbstraction(UserDexAbstraction),
    /// User-signed: portfolio margin.
    UserPortfolioMargin(UserPortfolioMargin),
    /// User-signed: delegates stake.
    TokenDelegate(TokenDelegate),
    /// User-signed: moves tokens into staking.
    CDeposit(CDeposit),
    /// User-signed: moves tokens out of staking.
    CWithdraw(CWithdraw),
    /// User-signed: withdraws to an EVM chain with a message.
    SendToEvmWithData(SendToEvmWithData),
    /// User-signed: turns the account into a multi-signature one.
    ConvertToMultiSigUser(ConvertToMultiSigUser),
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A flag that is present only when true; the venue refuses an explicit false (sheet 4).
fn only_true<'de, D: Deserializer<'de>>(d: D) -> Result<bool, D::Error> {
    match Option::<bool>::deserialize(d)? {
        None => Ok(false),
        Some(true) => Ok(true),
        Some(false) => Err(de::Error::custom("false given for a flag that must be true or absent")),
    }
}

/// Places orders, all or none validated, one status each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The orders; more than 200 are refused whole.
    pub orders: Vec<OrderRequest>,
    /// How they belong together.
    pub grouping: Grouping,
    /// The front end that is paid for the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builder: Option<Builder>,
}

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderRequest {
    /// Asset id (sheet 2.1).
    #[serde(rename = "a")]
    pub asset: u32,
    /// Whether it buys.
    #[serde(rename = "b")]
    pub is_buy: bool,
    /// Limit price.
    #[serde(rename = "p")]
    pub px: WireDecimal,
    /// Size in base units.
    #[serde(rename = "s")]
    pub sz: WireDecimal,
    /// Whether it may only reduce.
    #[serde(rename = "r")]
    pub reduce_only: bool,
    /// Limit or trigger.
    #[serde(rename = "t")]
    pub kind: OrderKind,
    /// Client id.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub cloid: Option<ClientKey>,
}

/// Limit or trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderKind {
    /// Works at once.
    Limit {
        /// Lifetime.
        tif: Tif,
    },
    /// Sleeps until the mark price reaches `trigger_px`.
    #[serde(rename_all = "camelCase")]
    Trigger {
        /// Whether it then takes, with the order's price as the bound.
        is_market: bool,
        /// Mark price that wakes it.
        trigger_px: WireDecimal,
        /// Take profit or stop loss.
        tpsl: Tpsl,
    },
}

/// Time in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tif {
    /// Post only.
    Alo,
    /// Immediate or cancel.
    Ioc,
    /// Good til cancelled.
    Gtc,
    /// As `Ioc`, from the web front end.
    FrontendMarket,
    /// Set by the venue on liquidation orders; never sent by a client.
    LiquidationMarket,
}

impl From<domain::Tif> for Tif {
    fn from(tif: domain::Tif) -> Tif {
        match tif {
            domain::Tif::PostOnly => Tif::Alo,
            domain::Tif::GoodTilCancel => Tif::Gtc,
            domain::Tif::ImmediateOrCancel => Tif::Ioc,
        }
    }
}

/// Direction of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tpsl {
    /// Take profit.
    Tp,
    /// Stop loss.
    Sl,
}

/// How the orders of one action belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Grouping {
    /// Not at all.
    Na,
    /// A parent with children of fixed size.
    NormalTpsl,
    /// Triggers whose size follows the position.
    PositionTpsl,
    /// Pays `n`·1e-8 of the notional for priority.
    #[serde(rename = "p")]
    Priority(u64),
}

/// A front end's fee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builder {
    /// Who is paid.
    #[serde(rename = "b")]
    pub address: Address,
    /// Tenths of a basis point.
    #[serde(rename = "f")]
    pub fee: u32,
}

/// Cancels by order id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// Which orders.
    pub cancels: Vec<CancelRequest>,
    /// Fast cancel; refused for trigger orders.
    #[serde(rename = "f", default, skip_serializing_if = "is_false", deserialize_with = "only_true")]
    pub fast: bool,
}

/// One order to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequest {
    /// Asset id.
    #[serde(rename = "a")]
    pub asset: u32,
    /// Order id.
    #[serde(rename = "o")]
    pub oid: u64,
}

/// Cancels by client id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelByCloid {
    /// Which orders.
    pub cancels: Vec<CancelByCloidRequest>,
    /// Fast cancel.
    #[serde(rename = "f", default, skip_serializing_if = "is_false", deserialize_with = "only_true")]
    pub fast: bool,
}

/// One order to cancel; the keys are long here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelByCloidRequest {
    /// Asset id.
    pub asset: u32,
    /// Client id.
    pub cloid: ClientKey,
}

/// An order named by number or by client id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderRef {
    /// The venue's number.
    Oid(u64),
    /// The client's name.
    Cloid(ClientKey),
}

impl Serialize for OrderRef {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            OrderRef::Oid(oid) => s.serialize_u64(*oid),
            OrderRef::Cloid(cloid) => cloid.serialize(s),
        }
    }
}

impl<'de> Deserialize<'de> for OrderRef {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<OrderRef, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = OrderRef;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an order id (number) or a client id (0x and 32 hexadecimal digits)")
            }
            fn visit_u64<E: de::Error>(self, oid: u64) -> Result<OrderRef, E> {
                Ok(OrderRef::Oid(oid))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<OrderRef, E> {
                text.parse().map(OrderRef::Cloid).map_err(E::custom)
            }
        }
        d.deserialize_any(Either)
    }
}

/// Replaces one order: cancel and place, with a new order id; `order.sz` is the full new size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modify {
    /// Which order.
    pub oid: OrderRef,
    /// Its replacement.
    pub order: OrderRequest,
    /// Place even if the cancel failed.
    #[serde(rename = "a", default, skip_serializing_if = "is_false", deserialize_with = "only_true")]
    pub always_place: bool,
}

/// Replaces several orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchModify {
    /// The replacements.
    pub modifies: Vec<Replacement>,
    /// Place even if the cancel failed.
    #[serde(rename = "a", default, skip_serializing_if = "is_false", deserialize_with = "only_true")]
    pub always_place: bool,
}

/// One order and its replacement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replacement {
    /// Which order.
    pub oid: OrderRef,
    /// Its replacement.
    pub order: OrderRequest,
}

/// Cancels all orders at `time`, or clears the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleCancel {
    /// UTC milliseconds, at least 5 s ahead; absent clears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
}

/// Sets leverage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateLeverage {
    /// Asset id.
    pub asset: u32,
    /// Cross or isolated.
    pub is_cross: bool,
    /// 1 to the asset's maximum.
    pub leverage: u32,
}

/// Adds or removes isolated margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateIsolatedMargin {
    /// Asset id.
    pub asset: u32,
    /// True.
    pub is_buy: bool,
    /// Millionths of a USDC; negative removes.
    pub ntli: i64,
}

/// Adds isolated margin until the position's leverage is this low.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopUpIsolatedOnlyMargin {
    /// Asset id.
    pub asset: u32,
    /// The leverage to reach.
    pub leverage: WireDecimal,
}

/// Starts the venue's own TWAP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwapOrder {
    /// The order.
    pub twap: TwapRequest,
    /// Trigger and stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<TwapDetails>,
}

/// The venue's own TWAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwapRequest {
    /// Asset id.
    #[serde(rename = "a")]
    pub asset: u32,
    /// Whether it buys.
    #[serde(rename = "b")]
    pub is_buy: bool,
    /// Size in base units.
    #[serde(rename = "s")]
    pub sz: WireDecimal,
    /// Whether it may only reduce.
    #[serde(rename = "r")]
    pub reduce_only: bool,
    /// Minutes it runs.
    #[serde(rename = "m")]
    pub minutes: u32,
    /// Whether slice times are randomised.
    #[serde(rename = "t")]
    pub randomize: bool,
}

/// When a TWAP starts and stops; both keys are always present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwapDetails {
    /// Starts at a price.
    #[serde(rename = "t", default)]
    pub trigger: Option<TwapTrigger>,
    /// Stops at a price.
    #[serde(rename = "s", default)]
    pub stop_px: Option<WireDecimal>,
}

/// Starts a TWAP at a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwapTrigger {
    /// The price.
    #[serde(rename = "p")]
    pub px: WireDecimal,
    /// Whether it starts at or above it.
    #[serde(rename = "a")]
    pub above: bool,
}

/// Stops the venue's own TWAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwapCancel {
    /// Asset id.
    #[serde(rename = "a")]
    pub asset: u32,
    /// Which TWAP.
    #[serde(rename = "t")]
    pub twap_id: u64,
}

/// Buys request budget, 0.0005 USDC each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReserveRequestWeight {
    /// How many.
    pub weight: u64,
    /// For whom; absent: the signer's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Address>,
}

/// Moves USDC between master and sub-account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubAccountTransfer {
    /// The sub-account.
    pub sub_account_user: Address,
    /// Into it.
    pub is_deposit: bool,
    /// Millionths of a USDC.
    pub usd: u64,
}

/// Moves spot tokens between master and sub-account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubAccountSpotTransfer {
    /// The sub-account.
    pub sub_account_user: Address,
    /// Into it.
    pub is_deposit: bool,
    /// `NAME:0x<tokenId>`.
    pub token: String,
    /// How many.
    pub amount: DecimalText,
}

/// Creates a sub-account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateSubAccount {
    /// At most 16 characters.
    pub name: String,
}

/// Renames a sub-account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubAccountModify {
    /// The sub-account.
    pub sub_account_user: Address,
    /// At most 16 characters.
    pub name: String,
}

/// Deposits into or withdraws from a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VaultTransfer {
    /// The vault.
    pub vault_address: Address,
    /// Into it.
    pub is_deposit: bool,
    /// Millionths of a USDC.
    pub usd: u64,
}

/// Moves assets within one user, signed by an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentSendAsset {
    /// Same user or one of its sub-accounts.
    pub destination: Address,
    /// `""` main dex, `"spot"`, or a builder dex.
    pub source_dex: String,
    /// As `source_dex`.
    pub destination_dex: String,
    /// `USDC` or `NAME:0x<tokenId>`.
    pub token: String,
    /// How many.
    pub amount: DecimalText,
    /// A sub-account, or empty.
    pub from_sub_account: String,
    /// Equal to the envelope's nonce.
    pub nonce: u64,
}

/// Sets the account mode, signed by an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSetAbstraction {
    /// The mode.
    pub abstraction: AbstractionLetter,
}

/// Account mode as an agent names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AbstractionLetter {
    /// Disabled: separate perpetual and spot balances.
    #[serde(rename = "i")]
    Disabled,
    /// Unified account.
    #[serde(rename = "u")]
    Unified,
    /// Portfolio margin.
    #[serde(rename = "p")]
    Portfolio,
}

/// Chooses EVM block size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvmUserModify {
    /// Big blocks.
    pub using_big_blocks: bool,
}

/// Sets the referrer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetReferrer {
    /// The referrer's code.
    pub code: String,
}

/// Bytes written as `0x` and hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&format!("0x{}", hex::encode(&self.0)))
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<HexBytes, D::Error> {
        let text = String::deserialize(d)?;
        text.strip_prefix("0x")
            .and_then(|digits| hex::decode(digits).ok())
            .map(HexBytes)
            .ok_or_else(|| de::Error::custom("expected 0x and an even number of hexadecimal digits"))
    }
}

/// How a field of a user-signed action enters its EIP-712 message.
trait Field {
    fn value(&self) -> FieldValue<'_>;
}

macro_rules! field {
    ($($type:ty => |$this:ident| $value:expr;)*) => {$(
        impl Field for $type {
            fn value(&self) -> FieldValue<'_> {
                let $this = self;
                $value
            }
        }
    )*};
}

field! {
    String => |s| FieldValue::String(s);
    DecimalText => |s| FieldValue::String(s.as_str());
    Address => |a| FieldValue::Address(*a);
    bool => |b| FieldValue::Bool(*b);
    u64 => |n| FieldValue::Uint(*n);
    u32 => |n| FieldValue::Uint(u64::from(*n));
    HexBytes => |b| FieldValue::Bytes(&b.0);
    // the unnamed agent is signed as an empty name and posted without one
    Option<String> => |s| FieldValue::String(s.as_deref().unwrap_or_default());
}

/// Declares user-signed actions: `Struct, "PrimaryType", nonce field { field: Type = "soliditytype", ... }`. The order of
/// fields is the order of the signed type.
macro_rules! user_signed {
    ($($(#[$doc:meta])* $name:ident, $primary:literal, $nonce:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $solidity:literal $json:literal,)*
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(rename_all = "camelCase")]
            pub struct $name {
                /// Which network it is for: prevents replay on the other.
                pub hyperliquid_chain: Network,
                /// The wallet's chain; it only feeds the signing domain.
                pub signature_chain_id: ChainId,
                $($(#[$field_doc])* pub $field: $type,)*
            }

            impl $name {
                /// The EIP-712 primary type, without its prefix.
                pub const PRIMARY_TYPE: &'static str = $primary;

                fn typed_data(&self) -> TypedData<'_> {
                    TypedData {
                        primary_type: concat!("HyperliquidTransaction:", $primary),
                        encode_type: concat!(
                            "HyperliquidTransaction:", $primary, "(string hyperliquidChain",
                            $(",", $solidity, " ", $json,)* ")"
                        ),
                        chain_id: self.signature_chain_id,
                        values: vec![
                            FieldValue::String(self.hyperliquid_chain.name()),
                            $(Field::value(&self.$field),)*
                        ],
                    }
                }

                fn nonce(&self) -> u64 {
                    self.$nonce
                }
            }
        )*

        impl Action {
            /// The EIP-712 message of a user-signed action; `None` for an L1 action.
            #[must_use]
            pub fn typed_data(&self) -> Option<TypedData<'_>> {
                match self {
                    $(Action::$name(a) => Some(a.typed_data()),)*
                    _ => None,
                }
            }

            /// The nonce inside a user-signed action, which the envelope's must equal; `None` for an L1 action.
            #[must_use]
            pub fn signed_nonce(&self) -> Option<u64> {
                match self {
                    $(Action::$name(a) => Some(a.nonce()),)*
                    _ => None,
                }
            }

            /// The network that a user-signed action names; `None` for an L1 action.
            #[must_use]
            pub fn signed_network(&self) -> Option<Network> {
                match self {
                    $(Action::$name(a) => Some(a.hyperliquid_chain),)*
                    _ => None,
                }
            }
        }
    };
}

user_signed! {
    /// Sends USDC to another user.
    UsdSend, "UsdSend", time {
        /// Address as written.
        destination: String = "string" "destination",
        /// USDC.
        amount: DecimalText = "string" "amount",
        /// Milliseconds, equal to the nonce.
        time: u64 = "uint64" "time",
    }
    /// Sends a spot token.
    SpotSend, "SpotSend", time {
        /// Address as written.
        destination: String = "string" "destination",
        /// `NAME:0x<tokenId>`.
        token: String = "string" "token",
        /// How many.
        amount: DecimalText = "string" "amount",
        /// Milliseconds, equal to the nonce.
        time: u64 = "uint64" "time",
    }
    /// Withdraws USDC over the bridge; 1 USDC fee.
    Withdraw3, "Withdraw", time {
        /// Address as written.
        destination: String = "string" "destination",
        /// USDC, gross of the fee.
        amount: DecimalText = "string" "amount",
        /// Milliseconds, equal to the nonce.
        time: u64 = "uint64" "time",
    }
    /// Moves USDC between spot and perpetuals.
    UsdClassTransfer, "UsdClassTransfer", nonce {
        /// USDC; for a sub-account followed by ` subaccount:0x…`, hence not a bare decimal.
        amount: String = "string" "amount",
        /// Direction.
        to_perp: bool = "bool" "toPerp",
        /// Milliseconds, equal to the nonce.
        nonce: u64 = "uint64" "nonce",
    }
    /// Moves a token between dexes, users and sub-accounts.
    SendAsset, "SendAsset", nonce {
        /// Address as written; may be one's own.
        destination: String = "string" "destination",
        /// `""` main dex, `"spot"`, or a builder dex.
        source_dex: String = "string" "sourceDex",
        /// As `source_dex`.
        destination_dex: String = "string" "destinationDex",
        /// `USDC` or `NAME:0x<tokenId>`.
        token: String = "string" "token",
        /// How many.
        amount: DecimalText = "string" "amount",
        /// A sub-account, or empty.
        from_sub_account: String = "string" "fromSubAccount",
        /// Milliseconds, equal to the nonce.
        nonce: u64 = "uint64" "nonce",
    }
    /// Approves an agent key.
    ApproveAgent, "ApproveAgent", nonce {
        /// The agent; zero removes the one of that name.
        agent_address: Address = "address" "agentAddress",
        /// At most 16 characters, ` valid_until <ms>` appended for an expiry; absent for the unnamed agent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        agent_name: Option<String> = "string" "agentName",
        /// Milliseconds, equal to the nonce.
        nonce: u64 = "uint64" "nonce",
    }
    /// Approves a builder's fee.
    ApproveBuilderFee, "ApproveBuilderFee", nonce {
        /// Such as `0.01%`.
        max_fee_rate: String = "string" "maxFeeRate",
        /// Who may charge it.
        builder: Address = "address" "builder",
        /// Milliseconds, equal to the nonce.
        nonce: u64 = "uint64" "nonce",
    }
    /// Sets the account mode.
    UserSetAbstraction, "UserSetAbstraction", nonce {
        /// The account.
        user: Address = "address" "user",
        /// `disabled`, `unifiedAccount` or `portfolioMargin`.
        abstraction: String = "string" "abstraction",
        /// Milliseconds, equal to the nonce.
        nonce: u64 = "uint64" "nonce",
    }
    /// Legacy account mode.
    UserDexAbstraction, "UserDexAbstraction", nonce {
        /// The account.
        user: Address = "address" "user",
        /// On or off.
        enabled: bool = "bool" "enabled",
        /// Milliseconds, equal to the nonce.
        nonce: u64 = "uint64" "nonce",
    }
    /// Portfolio margin.
    UserPortfolioMargin, "UserPortfolioMargin", nonce {
        /// The account.
        user: Address = "address" "user",
        /// On or off.
        enabled: bool = "bool" "enabled",
        /// Milliseconds, equal to the nonce.
        nonce: u64 = "uint64" "nonce",
    }
    /// Delegates stake.
    TokenDelegate, "TokenDelegate", nonce {
        /// The validator.
        validator: Address = "address" "validator",
        /// Amount in the token's smallest unit.
        wei: u64 = "uint64" "wei",
        /// Takes it back.
        is_undelegate: bool = "bool" "isUndelegate",
        /// Milliseconds, equal to the nonce.
        nonce: u64 = "uint64" "nonce",
    }
    /// Moves tokens into staking.
    CDeposit, "CDeposit", nonce {
        /// Amount in the token's smallest unit.
        wei: u64 = "uint64" "wei",
        /// Milliseconds, equal to the nonce.
        nonce: u64 = "uint64" "nonce",
    }
    /// Moves tokens out of staking.
    CWithdraw, "CWithdraw", nonce {
        /// Amount in the token's smallest unit.
        wei: u64 = "uint64" "wei",
        /// Milliseconds, equal to the nonce.
        nonce: u64 = "uint64" "nonce",
    }
    /// Withdraws to an EVM chain with a message (CCTP).
    SendToEvmWithData, "SendToEvmWithData", nonce {
        /// `USDC`.
        token: String = "string" "token",
        /// How many.
        amount: DecimalText = "string" "amount",
        /// `""` main dex or `"spot"`.
        source_dex: String = "string" "sourceDex",
        /// Address as written.
        destination_recipient: String = "string" "destinationRecipient",
        /// `hex` or `base58`.
        address_encoding: String = "string" "addressEncoding",
        /// CCTP domain, not a chain id.
        destination_chain_id: u32 = "uint32" "destinationChainId",
        /// HyperEVM gas.
        gas_limit: u64 = "uint64" "gasLimit",
        /// Empty: forwarded automatically.
        data: HexBytes = "bytes" "data",
        /// Milliseconds, equal to the nonce.
        nonce: u64 = "uint64" "nonce",
    }
    /// Turns the account into a multi-signature one.
    ConvertToMultiSigUser, "ConvertToMultiSigUser", nonce {
        /// JSON text of the signers.
        signers: String = "string" "signers",
        /// Milliseconds, equal to the nonce.
        nonce: u64 = "uint64" "nonce",
    }
}

/// The answer to an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// `{"status":"ok","response":…}`. There may be refusals inside.
    Ok(Response),
    /// `{"status":"err","response":"text"}`: the whole action was refused, with the venue's words.
    Err(String),
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(2))?;
        match self {
            Answer::Ok(response) => {
                map.serialize_entry("status", "ok")?;
                map.serialize_entry("response", response)?;
            }
            Answer::Err(text) => {
                map.serialize_entry("status", "err")?;
                map.serialize_entry("response", text)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Answer, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            status: String,
            response: Box<RawValue>,
        }
        let raw = Raw::deserialize(d)?;
        let response = raw.response.get();
        match raw.status.as_str() {
            "ok" => serde_json::from_str(response).map(Answer::Ok).map_err(de::Error::custom),
            "err" => serde_json::from_str(response).map(Answer::Err).map_err(de::Error::custom),
            other => Err(de::Error::unknown_variant(other, &["ok", "err"])),
        }
    }
}

/// The inside of an `ok` answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Nothing to say: leverage, transfers, modify, noop, schedule.
    Default,
    /// `order` and `batchModify`: usually one status per order. Never index blindly: a batch can get a single refusal.
    Order(Vec<OrderStatus>),
    /// `cancel` and `cancelByCloid`.
    Cancel(Vec<CancelStatus>),
    /// `twapOrder`.
    TwapOrder(TwapOrderStatus),
    /// `twapCancel`.
    TwapCancel(CancelStatus),
    /// `createSubAccount`, `createVault`: the new address, as written.
    Created {
        /// The response type.
        kind: String,
        /// The new address.
        address: String,
    },
    /// A response type we do not know: nothing follows from it.
    Unrecognised {
        /// The response type.
        kind: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Statuses<T> {
    statuses: Vec<T>,
}

#[derive(Serialize, Deserialize)]
struct Status<T> {
    status: T,
}

impl Serialize for Response {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        match self {
            Response::Default => map.serialize_entry("type", "default")?,
            Response::Order(statuses) => {
                map.serialize_entry("type", "order")?;
                map.serialize_entry("data", &serde_json::json!({ "statuses": statuses }))?;
            }
            Response::Cancel(statuses) => {
                map.serialize_entry("type", "cancel")?;
                map.serialize_entry("data", &serde_json::json!({ "statuses": statuses }))?;
            }
            Response::TwapOrder(status) => {
                map.serialize_entry("type", "twapOrder")?;
                map.serialize_entry("data", &Status { status })?;
            }
            Response::TwapCancel(status) => {
                map.serialize_entry("type", "twapCancel")?;
                map.serialize_entry("data", &Status { status })?;
            }
            Response::Created { kind, address } => {
                map.serialize_entry("type", kind)?;
                map.serialize_entry("data", address)?;
            }
            Response::Unrecognised { kind } => map.serialize_entry("type", kind)?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Response {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Response, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            r#type: String,
            #[serde(default)]
            data: Option<Box<RawValue>>,
        }
        fn data<T: de::DeserializeOwned, E: de::Error>(data: Option<Box<RawValue>>) -> Result<T, E> {
            let data = data.ok_or_else(|| E::missing_field("data"))?;
            serde_json::from_str(data.get()).map_err(E::custom)
        }
        let raw = Raw::deserialize(d)?;
        match raw.r#type.as_str() {
            "default" => Ok(Response::Default),
            "order" => data::<Statuses<_>, _>(raw.data).map(|d| Response::Order(d.statuses)),
            "cancel" => data::<Statuses<_>, _>(raw.data).map(|d| Response::Cancel(d.statuses)),
            "twapOrder" => data::<Status<_>, _>(raw.data).map(|d| Response::TwapOrder(d.status)),
            "twapCancel" => data::<Status<_>, _>(raw.data).map(|d| Response::TwapCancel(d.status)),
            "createSubAccount" | "createVault" => data(raw.data).map(|address| Response::Created { kind: raw.r#type, address }),
            _ => Ok(Response::Unrecognised { kind: raw.r#type }),
        }
    }
}

/// What became of one order of an `order` or `batchModify` action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// It is in the book.
    Resting(Resting),
    /// It filled at once; `total_sz` may be less than asked, and the answer then says nothing about the rest.
    Filled(Filled),
    /// It was refused, with the venue's words.
    Error(String),
    /// A trigger child whose parent rests.
    WaitingForFill,
    /// A trigger that sleeps.
    WaitingForTrigger,
    /// A status we do not know: nothing follows from it. Holds its name.
    Unrecognised(String),
}

/// An order in the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resting {
    /// The venue's number.
    pub oid: u64,
    /// The client's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloid: Option<ClientKey>,
}

/// An order that filled at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filled {
    /// How much.
    #[serde(deserialize_with = "super::number::non_negative")]
    pub total_sz: Num,
    /// Average price.
    #[serde(deserialize_with = "super::number::non_negative")]
    pub avg_px: Num,
    /// The venue's number.
    pub oid: u64,
    /// The client's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloid: Option<ClientKey>,
}

fn one_entry<S: Serializer, T: Serialize + ?Sized>(s: S, key: &str, value: &T) -> Result<S::Ok, S::Error> {
    let mut map = s.serialize_map(Some(1))?;
    map.serialize_entry(key, value)?;
    map.end()
}

impl Serialize for OrderStatus {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            OrderStatus::Resting(r) => one_entry(s, "resting", r),
            OrderStatus::Filled(f) => one_entry(s, "filled", f),
            OrderStatus::Error(text) => one_entry(s, "error", text),
            OrderStatus::WaitingForFill => s.serialize_str("waitingForFill"),
            OrderStatus::WaitingForTrigger => s.serialize_str("waitingForTrigger"),
            OrderStatus::Unrecognised(name) => s.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for OrderStatus {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<OrderStatus, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = OrderStatus;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an order status")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<OrderStatus, E> {
                Ok(match word {
                    "waitingForFill" => OrderStatus::WaitingForFill,
                    "waitingForTrigger" => OrderStatus::WaitingForTrigger,
                    other => OrderStatus::Unrecognised(other.chars().take(60).collect()),
                })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<OrderStatus, A::Error> {
                #[derive(Deserialize)]
                struct Known {
                    resting: Option<Resting>,
                    filled: Option<Filled>,
                    error: Option<String>,
                }
                // two answers at once are ambiguous, and so is none
                Ok(match Known::deserialize(MapAccessDeserializer::new(map))? {
                    Known { resting: Some(r), filled: None, error: None } => OrderStatus::Resting(r),
                    Known { resting: None, filled: Some(f), error: None } => OrderStatus::Filled(f),
                    Known { resting: None, filled: None, error: Some(text) } => OrderStatus::Error(text),
                    Known { .. } => OrderStatus::Unrecognised("object".into()),
                })
            }
        }
        d.deserialize_any(Either)
    }
}

/// What became of one cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelStatus {
    /// The order is cancelled.
    Success,
    /// Refused, with the venue's words; `Order was never placed, already canceled, or filled.` does not say which.
    Error(String),
    /// A status we do not know: nothing follows from it. Holds its name.
    Unrecognised(String),
}

impl Serialize for CancelStatus {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            CancelStatus::Success => s.serialize_str("success"),
            CancelStatus::Error(text) => one_entry(s, "error", text),
            CancelStatus::Unrecognised(name) => s.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for CancelStatus {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<CancelStatus, D::Error> {
        struct Either;
        impl<'de> de::Visitor<'de> for Either {
            type Value = CancelStatus;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"success\" or an error")
            }
            fn visit_str<E: de::Error>(self, word: &str) -> Result<CancelStatus, E> {
                Ok(match word {
                    "success" => CancelStatus::Success,
                    other => CancelStatus::Unrecognised(other.chars().take(60).collect()),
                })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<CancelStatus, A::Error> {
                #[derive(Deserialize)]
                struct Known {
                    error: Option<String>,
                }
                Ok(match Known::deserialize(MapAccessDeserializer::new(map))?.error {
                    Some(text) => CancelStatus::Error(text),
                    None => CancelStatus::Unrecognised("object".into()),
                })
            }
        }
        d.deserialize_any(Either)
    }
}

/// What became of a `twapOrder`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TwapOrderStatus {
    /// It runs.
    #[serde(rename_all = "camelCase")]
    Running {
        /// Its number.
        twap_id: u64,
    },
    /// It was refused, with the venue's words.
    Error(String),
}

#[cfg(test)]
mod tests;
