//! The funds key: read from a file that only its owner can read, used to sign what a released transfer says, and shown nowhere.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use domain::{Attempt, AttemptKind, ChainLeg, EvmAddress, RawTx, Route, TransferIntent, Wei};
use ethers_core::types::transaction::eip2718::TypedTransaction;
use ethers_core::types::{Bytes, Eip1559TransactionRequest, H160, H256, NameOrAddress, U64, U256};
use ethers_core::utils::rlp::Rlp;
use ethers_signers::{LocalWallet, Signer as _};
use zeroize::Zeroizing;

use crate::abi::{self, CctpDeposit, Signed};
use crate::machine::Plan;

/// A key file is 66 characters and an end of line.
const FILE_MAX: u64 = 256;

/// Why there is no key. No variant carries secret material.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("the key file {} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others may read it.
    #[error("the key file {} has mode {mode:o}: others may read it; chmod 600", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds no key.
    #[error("not a secret key: expected 64 hexadecimal digits, 0x before them or not")]
    Text,
}

/// Why a transaction cannot be signed, or is not the transfer's.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The route has no part on a chain.
    #[error("a {0} is not done by a wallet")]
    Route(&'static str),
    /// The transfer names another wallet.
    #[error("the transfer is for the wallet {asked}, the key is of {have}")]
    Wallet {
        /// In the transfer.
        asked: EvmAddress,
        /// The key's.
        have: EvmAddress,
    },
    /// The amount is finer than the token.
    #[error("the amount is finer than the token counts")]
    Amount,
    /// The signer failed.
    #[error("the signer failed")]
    Signer,
    /// Bytes that say something else than the transfer.
    #[error("the signed bytes differ from the transfer in {0}")]
    Differs(&'static str),
}

/// A wallet's secret key. Erased when dropped; it has no `Debug`, no `Clone` and no `Serialize`.
pub struct Key(LocalWallet);

impl Key {
    /// The key in this file: 64 hexadecimal digits, `0x` before them or not.
    ///
    /// # Errors
    /// If the file cannot be read, if others may read it, or if it holds no key.
    pub fn from_file(path: &Path) -> Result<Key, KeyError> {
        let read = |source| KeyError::Read { path: path.to_owned(), source };
        let file = fs::File::open(path).map_err(read)?;
        let mode = file.metadata().map_err(read)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(FILE_MAX).read_to_string(&mut text).map_err(read)?;
        Key::from_hex(text.trim())
    }

    /// The key in this text.
    ///
    /// # Errors
    /// [`KeyError::Text`] if it is none.
    pub fn from_hex(text: &str) -> Result<Key, KeyError> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(text), &mut *bytes).map_err(|_| KeyError::Text)?;
        LocalWallet::from_bytes(&*bytes).map(Key).map_err(|_| KeyError::Text)
    }

    /// The wallet's address.
    #[must_use]
    pub fn address(&self) -> EvmAddress {
        EvmAddress(self.0.address().0)
    }

    /// Signs a digest.
    ///
    /// # Errors
    /// [`SignError::Signer`], which a valid key does not give.
    pub fn sign(&self, digest: [u8; 32]) -> Result<Signed, SignError> {
        let signature = self.0.sign_hash(H256(digest)).map_err(|_| SignError::Signer)?;
        let (mut r, mut s) = ([0; 32], [0; 32]);
        signature.r.to_big_endian(&mut r);
        signature.s.to_big_endian(&mut s);
        Ok(Signed { v: u8::try_from(signature.v).map_err(|_| SignError::Signer)?, r, s })
    }

    /// Signs a transaction for the transfer's nonce. The bytes are a pure function of the transfer and the plan.
    ///
    /// # Errors
    /// If the transfer is not one of this wallet.
    pub fn attempt(&self, intent: &TransferIntent, plan: Plan) -> Result<Attempt, SignError> {
        let leg = self.leg(intent)?;
        let request = self.request(intent, leg, plan)?;
        let tx = TypedTransaction::Eip1559(request);
        let signature = self.0.clone().with_chain_id(leg.chain_id).sign_transaction_sync(&tx).map_err(|_| SignError::Signer)?;
        let raw = tx.rlp_signed(&signature).to_vec();
        let Plan { kind, gas_limit, fee_max, tip } = plan;
        Ok(Attempt { kind, hash: abi::tx_hash(&raw), raw: RawTx(raw), gas_limit, fee_max, tip })
    }

    /// Reads the bytes of an attempt back and compares them with the transfer: a second look before they leave, and at whatever comes
    /// from a journal.
    ///
    /// # Errors
    /// If they say anything else than the transfer and the attempt do.
    pub fn verify(&self, intent: &TransferIntent, attempt: &Attempt) -> Result<(), SignError> {
        let leg = self.leg(intent)?;
        if abi::tx_hash(&attempt.raw.0) != attempt.hash {
            return Err(SignError::Differs("the hash"));
        }
        let read = TypedTransaction::decode_signed(&Rlp::new(&attempt.raw.0)).map_err(|_| SignError::Differs("their form"))?;
        let (TypedTransaction::Eip1559(_), signature) = read else { return Err(SignError::Differs("their type")) };
        let Attempt { kind, gas_limit, fee_max, tip, .. } = *attempt;
        let expected = TypedTransaction::Eip1559(self.request(intent, leg, Plan { kind, gas_limit, fee_max, tip })?);
        if expected.rlp_signed(&signature).to_vec() != attempt.raw.0 {
            return Err(SignError::Differs("the transaction"));
        }
        match signature.recover(expected.sighash()) {
            Ok(signer) if signer.0 == leg.wallet.0 => Ok(()),
            Ok(_) | Err(_) => Err(SignError::Differs("the signer")),
        }
    }

    fn leg<'a>(&self, intent: &'a TransferIntent) -> Result<&'a ChainLeg, SignError> {
        let leg = intent.route.leg().ok_or(SignError::Route(intent.route.name()))?;
        if leg.wallet != self.address() {
            return Err(SignError::Wallet { asked: leg.wallet, have: self.address() });
        }
        Ok(leg)
    }

    fn request(&self, intent: &TransferIntent, leg: &ChainLeg, plan: Plan) -> Result<Eip1559TransactionRequest, SignError> {
        let (to, data) = match plan.kind {
            AttemptKind::Burn => (leg.wallet, Vec::new()),
            AttemptKind::Send => self.call(intent, leg)?,
        };
        Ok(Eip1559TransactionRequest {
            from: None,
            to: Some(NameOrAddress::Address(H160(to.0))),
            gas: Some(U256::from(plan.gas_limit)),
            value: Some(U256::zero()),
            data: Some(Bytes::from(data)),
            nonce: Some(U256::from(intent.nonce)),
            access_list: Default::default(),
            max_priority_fee_per_gas: Some(wei(plan.tip)),
            max_fee_per_gas: Some(wei(plan.fee_max)),
            chain_id: Some(U64::from(leg.chain_id)),
        })
    }

    /// Which contract the transfer calls, and with what.
    ///
    /// # Errors
    /// If the transfer is not one of this wallet, or its amount does not fit the token.
    pub fn call(&self, intent: &TransferIntent, leg: &ChainLeg) -> Result<(EvmAddress, Vec<u8>), SignError> {
        let amount = intent.amount.micros().ok_or(SignError::Amount)?;
        match &intent.route {
            Route::Bridge(_) => Ok((leg.token, abi::transfer(leg.contract, amount))),
            Route::Cctp { terms, .. } => {
                let deposit = CctpDeposit {
                    owner: leg.wallet,
                    extension: leg.contract,
                    amount,
                    max_fee: intent.fee_max.micros().ok_or(SignError::Amount)?,
                    terms: *terms,
                    auth_nonce: abi::auth_nonce(leg.chain_id, leg.wallet, intent.nonce),
                };
                let signature = self.sign(deposit.digest(abi::usdc_domain(leg.chain_id, leg.token)))?;
                Ok((leg.contract, deposit.calldata(&signature)))
            }
            Route::SpotToPerp
            | Route::PerpToSpot
            | Route::SubAccount { .. }
            | Route::IsolatedMargin { .. }
            | Route::Withdrawal { .. } => Err(SignError::Route(intent.route.name())),
        }
    }
}

fn wei(wei: Wei) -> U256 {
    U256::from(wei.0)
}

#[cfg(test)]
mod tests;
