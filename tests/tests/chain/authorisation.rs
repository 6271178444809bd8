//! What the wallet signs for others to present (EIP-3009, EIP-2612), presented to Circle's own contract.

use anyhow::{Result, ensure};
use chain::Key;
use chain::abi::{self, CctpDeposit, Permit, Signed};
use domain::{CctpTerms, EvmAddress};
use plimsoll_tests::anvil::USDC;

use super::rig::{Arg, CHAIN, Chain, SECRET, call};
use super::{on_chain, wallet};

/// Stands for the CCTP extension: the only one who may present the authorisation.
const PAYEE: EvmAddress = EvmAddress([0xe1; 20]);
const STRANGER: EvmAddress = EvmAddress([0x5a; 20]);

const RECEIVE: &str = "receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)";
const TRANSFER: &str = "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)";

fn deposit(now: u64) -> CctpDeposit {
    let terms = CctpTerms {
        destination_domain: 19,
        forwarder: EvmAddress([0xf0; 20]),
        dex: 0,
        min_finality_threshold: 1_000,
        valid_after_s: now - 30,
        valid_before_s: now + 600,
    };
    let auth_nonce = abi::auth_nonce(CHAIN, wallet(), 7);
    CctpDeposit { owner: wallet(), extension: PAYEE, amount: 25 * USDC, max_fee: 200_000, terms, auth_nonce }
}

/// The call that presents the authorisation of `d`.
fn presented(signature: &str, d: &CctpDeposit, signed: &Signed) -> String {
    call(
        signature,
        &[
            Arg::Address(d.owner),
            Arg::Address(d.extension),
            Arg::Number(d.amount),
            Arg::Number(d.terms.valid_after_s),
            Arg::Number(d.terms.valid_before_s),
            Arg::Word(d.auth_nonce),
            Arg::Number(signed.v.into()),
            Arg::Word(signed.r),
            Arg::Word(signed.s),
        ],
    )
}

async fn refused(chain: &Chain, from: EvmAddress, data: &str) -> Result<String> {
    match chain.ask(from, data).await? {
        Err(reason) => Ok(reason),
        Ok(_) => anyhow::bail!("the token took {data}"),
    }
}

#[test]
fn f93_usdc_takes_exactly_the_authorisation_that_the_wallet_signed() {
    on_chain("EIP-3009", |chain| async move {
        let domain = abi::usdc_domain(CHAIN, chain.token);
        let have = chain.ask(STRANGER, &call("DOMAIN_SEPARATOR()", &[])).await?;
        ensure!(have == Ok(format!("0x{}", hex::encode(domain))), "{have:?}");

        let key = Key::from_hex(SECRET)?;
        let good = deposit(chain.time().await?);
        let signed = key.sign(good.digest(domain))?;
        let data = presented(RECEIVE, &good, &signed);
        ensure!(chain.ask(PAYEE, &data).await?.is_ok(), "the payee may present it");

        // every field is part of what was signed
        let invalid = "FiatTokenV2: invalid signature";
        let changed = |change: fn(&mut CctpDeposit)| {
            let mut other = good;
            change(&mut other);
            presented(RECEIVE, &other, &signed)
        };
        for (what, data) in [
            ("owner", changed(|d| d.owner = STRANGER)),
            ("amount", changed(|d| d.amount += 1)),
            ("valid after", changed(|d| d.terms.valid_after_s -= 1)),
            ("valid before", changed(|d| d.terms.valid_before_s += 1)),
            ("nonce", changed(|d| d.auth_nonce[31] ^= 1)),
            ("r", presented(RECEIVE, &good, &Signed { r: [1; 32], ..signed })),
            ("v", presented(RECEIVE, &good, &Signed { v: 55 - signed.v, ..signed })),
            // the same signature is none under the other call, which anybody could make
            ("call", presented(TRANSFER, &good, &signed)),
        ] {
            let why = refused(&chain, PAYEE, &data).await?;
            ensure!(why == invalid || (what == "r" && why.starts_with("ECRecover: invalid signature")), "{what}: {why}");
        }
        let mut other = good;
        other.extension = STRANGER;
        ensure!(refused(&chain, STRANGER, &presented(RECEIVE, &other, &signed)).await? == invalid, "the payee is signed");
        ensure!(refused(&chain, STRANGER, &data).await? == "FiatTokenV2: caller must be the payee", "and must come itself");
        for elsewhere in [abi::usdc_domain(CHAIN + 1, chain.token), abi::usdc_domain(CHAIN, STRANGER)] {
            let signed = key.sign(good.digest(elsewhere))?;
            ensure!(refused(&chain, PAYEE, &presented(RECEIVE, &good, &signed)).await? == invalid, "another chain or token");
        }

        // its time
        for (after, before, why) in [
            (3_600, 7_200, "FiatTokenV2: authorization is not yet valid"),
            (-7_200, -3_600, "FiatTokenV2: authorization is expired"),
        ] {
            let mut timed = good;
            timed.terms.valid_after_s = timed.terms.valid_after_s.saturating_add_signed(after);
            timed.terms.valid_before_s = timed.terms.valid_after_s.saturating_add_signed(before - after);
            let signed = key.sign(timed.digest(domain))?;
            let said = refused(&chain, PAYEE, &presented(RECEIVE, &timed, &signed)).await?;
            ensure!(said == why, "{said}");
        }

        // and it works once
        let before = chain.balance(wallet()).await?;
        chain.impersonate(PAYEE, &data).await?;
        ensure!(chain.balance(PAYEE).await? == 25 * USDC && chain.balance(wallet()).await? == before - 25 * USDC, "it moved");
        let again = refused(&chain, PAYEE, &data).await?;
        ensure!(again == "FiatTokenV2: authorization is used or canceled", "{again}");
        Ok(())
    });
}

#[test]
fn f93_usdc_takes_exactly_the_permit_that_the_wallet_signed() {
    on_chain("EIP-2612", |chain| async move {
        let domain = abi::usdc_domain(CHAIN, chain.token);
        let key = Key::from_hex(SECRET)?;
        let deadline_s = chain.time().await? + 600;
        let good = Permit { owner: wallet(), spender: PAYEE, amount: 25 * USDC, nonce: 0, deadline_s };
        let signed = key.sign(good.digest(domain))?;
        let data = |permit: &Permit, signed: &Signed| format!("0x{}", hex::encode(permit.calldata(signed)));
        ensure!(chain.ask(STRANGER, &data(&good, &signed)).await?.is_ok(), "anybody may present it");

        let changed = |change: fn(&mut Permit)| {
            let mut other = good;
            change(&mut other);
            data(&other, &signed)
        };
        for (what, data) in [
            ("owner", changed(|p| p.owner = STRANGER)),
            ("spender", changed(|p| p.spender = STRANGER)),
            ("amount", changed(|p| p.amount += 1)),
            ("deadline", changed(|p| p.deadline_s += 1)),
            ("v", data(&good, &Signed { v: 55 - signed.v, ..signed })),
        ] {
            let why = refused(&chain, STRANGER, &data).await?;
            ensure!(why == "EIP2612: invalid signature", "{what}: {why}");
        }
        let ahead = Permit { nonce: 1, ..good };
        let why = refused(&chain, STRANGER, &data(&ahead, &key.sign(ahead.digest(domain))?)).await?;
        ensure!(why == "EIP2612: invalid signature", "out of turn: {why}");
        let late = Permit { deadline_s: deadline_s - 3_600, ..good };
        let why = refused(&chain, STRANGER, &data(&late, &key.sign(late.digest(domain))?)).await?;
        ensure!(why == "FiatTokenV2: permit is expired", "{why}");

        chain.impersonate(STRANGER, &data(&good, &signed)).await?;
        let allowance = call("allowance(address,address)", &[Arg::Address(wallet()), Arg::Address(PAYEE)]);
        let allowed = chain.ask(STRANGER, &allowance).await?;
        ensure!(allowed == Ok(format!("0x{:064x}", 25 * USDC)), "exactly the amount: {allowed:?}");
        ensure!(refused(&chain, STRANGER, &data(&good, &signed)).await? == "EIP2612: invalid signature", "once");
        Ok(())
    });
}
