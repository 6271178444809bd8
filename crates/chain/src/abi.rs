//! Calldata and the messages that are signed inside it.

use domain::{CctpTerms, EvmAddress, TxHash};
use ethers_core::abi::{Token, encode};
use ethers_core::types::{H160, U256};
use ethers_core::utils::keccak256;

/// The extension's call; recorded vectors have its selector.
const CCTP_DEPOSIT: &str = "batchDepositForBurnWithAuth((uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32),\
                            (uint256,uint32,bytes32,bytes32,uint256,uint32,bytes))";
/// The name under which USDC signs, as its contract states it on Arbitrum; compared with the contract before anything is signed.
const USDC_NAME: &str = "USD Coin";
const USDC_VERSION: &str = "2";

pub(crate) fn h160(address: EvmAddress) -> H160 {
    H160(address.0)
}

fn address(address: EvmAddress) -> Token {
    Token::Address(h160(address))
}

fn uint(n: u64) -> Token {
    Token::Uint(U256::from(n))
}

fn word(bytes: [u8; 32]) -> Token {
    Token::FixedBytes(bytes.to_vec())
}

fn call(signature: &str, arguments: &[Token]) -> Vec<u8> {
    let mut data = keccak256(signature)[..4].to_vec();
    data.extend(encode(arguments));
    data
}

/// `transfer(to, amount)` of a token, `amount` in its smallest units.
#[must_use]
pub fn transfer(to: EvmAddress, amount: u64) -> Vec<u8> {
    call("transfer(address,uint256)", &[address(to), uint(amount)])
}

/// `balanceOf(owner)` of a token.
#[must_use]
pub fn balance_of(owner: EvmAddress) -> Vec<u8> {
    call("balanceOf(address)", &[address(owner)])
}

/// `decimals()` of a token.
#[must_use]
pub fn decimals() -> Vec<u8> {
    call("decimals()", &[])
}

/// `DOMAIN_SEPARATOR()` of a token.
#[must_use]
pub fn domain_separator_call() -> Vec<u8> {
    call("DOMAIN_SEPARATOR()", &[])
}

/// The separator that USDC at `token` should have on chain `chain_id` (EIP-712).
#[must_use]
pub fn usdc_domain(chain_id: u64, token: EvmAddress) -> [u8; 32] {
    keccak256(encode(&[
        word(keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")),
        word(keccak256(USDC_NAME)),
        word(keccak256(USDC_VERSION)),
        uint(chain_id),
        address(token),
    ]))
}

fn typed(domain: [u8; 32], hash: [u8; 32]) -> [u8; 32] {
    let mut message = vec![0x19, 0x01];
    message.extend(domain);
    message.extend(hash);
    keccak256(message)
}

/// A permission for `spender` to take `amount`, once and until a second of Unix time (EIP-2612).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// Who gives it.
    pub owner: EvmAddress,
    /// Who may take.
    pub spender: EvmAddress,
    /// Exactly how much (F93).
    pub amount: u64,
    /// The owner's count of permits in the token.
    pub nonce: u64,
    /// Until when, in seconds of Unix time.
    pub deadline_s: u64,
}

impl Permit {
    /// What the owner signs.
    #[must_use]
    pub fn digest(&self, domain: [u8; 32]) -> [u8; 32] {
        let kind = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)";
        let fields = [address(self.owner), address(self.spender), uint(self.amount), uint(self.nonce), uint(self.deadline_s)];
        let mut all = vec![word(keccak256(kind))];
        all.extend(fields);
        typed(domain, keccak256(encode(&all)))
    }

    /// `permit(...)` of the token, with the owner's signature.
    #[must_use]
    pub fn calldata(&self, signature: &Signed) -> Vec<u8> {
        let mut arguments = vec![address(self.owner), address(self.spender), uint(self.amount), uint(self.deadline_s)];
        arguments.extend(signature.tokens());
        call("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)", &arguments)
    }
}

/// A signature as contracts take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    /// 27 or 28.
    pub v: u8,
    /// First half.
    pub r: [u8; 32],
    /// Second half.
    pub s: [u8; 32],
}

impl Signed {
    fn tokens(&self) -> [Token; 3] {
        [uint(u64::from(self.v)), word(self.r), word(self.s)]
    }
}

/// A deposit by CCTP from this chain to HyperCore: the owner authorises the extension contract to take the amount (EIP-3009), and
/// calls it with the authorisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CctpDeposit {
    /// The wallet, which is also the account that is credited.
    pub owner: EvmAddress,
    /// The extension contract.
    pub extension: EvmAddress,
    /// How much, in millionths.
    pub amount: u64,
    /// Most that may be kept from it, in millionths.
    pub max_fee: u64,
    /// The rest of the way.
    pub terms: CctpTerms,
    /// Makes the authorisation usable once.
    pub auth_nonce: [u8; 32],
}

impl CctpDeposit {
    /// What the owner signs.
    #[must_use]
    pub fn digest(&self, domain: [u8; 32]) -> [u8; 32] {
        let kind = "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,\
                    bytes32 nonce)";
        let message = encode(&[
            word(keccak256(kind)),
            address(self.owner),
            address(self.extension),
            uint(self.amount),
            uint(self.terms.valid_after_s),
            uint(self.terms.valid_before_s),
            word(self.auth_nonce),
        ]);
        typed(domain, keccak256(message))
    }

    /// Tells the forwarder whom to credit: a tag of 24 bytes, version 0, the length of the rest, the account, the balance.
    #[must_use]
    pub fn hook_data(&self) -> Vec<u8> {
        let mut data = b"cctp-forward".to_vec();
        data.resize(24, 0);
        data.extend(0_u32.to_be_bytes());
        data.extend(24_u32.to_be_bytes());
        data.extend(self.owner.0);
        data.extend(self.terms.dex.to_be_bytes());
        data
    }

    /// `batchDepositForBurnWithAuth(...)` of the extension.
    #[must_use]
    pub fn calldata(&self, signature: &Signed) -> Vec<u8> {
        let [v, r, s] = signature.tokens();
        let mut recipient = [0; 32];
        recipient[12..].copy_from_slice(&self.terms.forwarder.0);
        let authorisation = Token::Tuple(vec![
            uint(self.amount),
            uint(self.terms.valid_after_s),
            uint(self.terms.valid_before_s),
            word(self.auth_nonce),
            v,
            r,
            s,
        ]);
        let burn = Token::Tuple(vec![
            uint(self.amount),
            uint(u64::from(self.terms.destination_domain)),
            word(recipient),
            word(recipient),
            uint(self.max_fee),
            uint(u64::from(self.terms.min_finality_threshold)),
            Token::Bytes(self.hook_data()),
        ]);
        call(CCTP_DEPOSIT, &[authorisation, burn])
    }
}

/// The authorisation's nonce of a transfer: the same for every attempt, another for every transfer and wallet.
#[must_use]
pub fn auth_nonce(chain_id: u64, wallet: EvmAddress, nonce: u64) -> [u8; 32] {
    let mut all = b"plimsoll.cctp".to_vec();
    all.extend(chain_id.to_be_bytes());
    all.extend(wallet.0);
    all.extend(nonce.to_be_bytes());
    keccak256(all)
}

/// The hash by which a transaction is known.
#[must_use]
pub fn tx_hash(raw: &[u8]) -> TxHash {
    TxHash(keccak256(raw))
}

/// Code that, put in the wallet's place for one trial call, transfers the token as the wallet would and returns by how much the
/// receiver's balance grew: a token that keeps a fee shows it, and one that refuses says why (F90). Takes token, receiver and amount,
/// a word each.
#[must_use]
pub fn probe_code() -> Vec<u8> {
    let balance = |out: u8| {
        // STATICCALL(token, [0x00, 0x24) -> [out, out + 0x20))
        [vec![0x60, 0x20, 0x60, out], vec![0x60, 0x24, 0x60, 0x00, 0x60, 0x00, 0x35, 0x5a, 0xfa]].concat()
    };
    // ISZERO PUSH1 <fail> JUMPI; the place is filled in below
    const FAIL: u8 = 0xfe;
    let check = vec![0x15, 0x60, FAIL, 0x57];
    let mut code = [
        // memory 0x00: balanceOf(receiver)
        vec![0x63, 0x70, 0xa0, 0x82, 0x31, 0x60, 0xe0, 0x1b, 0x60, 0x00, 0x52],
        vec![0x60, 0x20, 0x35, 0x60, 0x04, 0x52],
        balance(0x80),
        check.clone(),
        // memory 0xa0: transfer(receiver, amount)
        vec![0x63, 0xa9, 0x05, 0x9c, 0xbb, 0x60, 0xe0, 0x1b, 0x60, 0xa0, 0x52],
        vec![0x60, 0x20, 0x35, 0x60, 0xa4, 0x52, 0x60, 0x40, 0x35, 0x60, 0xc4, 0x52],
        // CALL(token, 0, [0xa0, 0xe4) -> [0x100, 0x120))
        vec![0x60, 0x20, 0x61, 0x01, 0x00, 0x60, 0x44, 0x60, 0xa0, 0x60, 0x00, 0x60, 0x00, 0x35, 0x5a, 0xf1],
        check.clone(),
        balance(0x60),
        check,
        // return the second balance less the first
        vec![0x60, 0x80, 0x51, 0x60, 0x60, 0x51, 0x03, 0x60, 0x00, 0x52, 0x60, 0x20, 0x60, 0x00, 0xf3],
    ]
    .concat();
    let fail = u8::try_from(code.len()).unwrap_or(u8::MAX);
    for at in 0..code.len() {
        if code[at..].starts_with(&[0x15, 0x60, FAIL, 0x57]) {
            code[at + 2] = fail;
        }
    }
    // JUMPDEST, then revert with what the call returned
    code.extend([0x5b, 0x3d, 0x60, 0x00, 0x80, 0x3e, 0x3d, 0x60, 0x00, 0xfd]);
    code
}

/// Argument of [`probe_code`].
#[must_use]
pub fn probe_call(token: EvmAddress, receiver: EvmAddress, amount: u64) -> Vec<u8> {
    encode(&[address(token), address(receiver), uint(amount)])
}

/// The reason that a contract gave for reverting, from the data it returned.
#[must_use]
pub fn revert_reason(data: &[u8]) -> Option<String> {
    // Error(string)
    let body = data.strip_prefix(&[0x08, 0xc3, 0x79, 0xa0])?;
    let decoded = ethers_core::abi::decode(&[ethers_core::abi::ParamType::String], body).ok()?;
    let text = decoded.into_iter().next()?.into_string()?;
    // it comes from a contract that anybody may have written
    Some(text.chars().filter(|c| !c.is_control()).take(120).collect())
}
