//! The Layer-2 wallet: carries released transfers to their chain, and what became of them back as facts.
//!
//! It decides nothing about money: it does not know budgets, venues' balances, cover or the journal. What may move, and whether
//! signed bytes may leave, is said by [`margin_guard::ReleasedTransfer`], the one thing that a [`Wallet`] takes. What to do next for
//! an open transfer (sign, send again, replace at the same nonce, burn, wait) is decided by [`machine`], which has no I/O and is tried
//! against ten thousand seeded worlds; endpoints are compared with each other, and none is believed alone when it says that a
//! transaction is final or a nonce lost.
//!
//! This is the only crate that names ethers, and only its types, encoding and signer: transport, nonces and fees are ours.
//! Start with [`Wallet::start`], then [`machine::Machine::look`].

pub mod abi;
pub mod conformance;
mod key;
pub mod machine;
mod rpc;
mod wallet;

pub use key::{Key, KeyError, SignError};
pub use rpc::RpcFault;
pub use wallet::{Clock, StartError, TakeError, Wallet, WalletConfig, WalletStatus};
