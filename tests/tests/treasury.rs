//! Money that moves by itself, with every part real: the daemon's binary, Anvil with Circle's FiatToken, the paper venue with its
//! bridge on that chain, and ledgers read by clients that somebody else wrote.

mod bad;
mod credit;
mod endpoints;
mod falling;
mod rig;

use plimsoll_tests::{Anvil, skip};

/// Runs `test` on a chain of its own, or notes that there is none.
fn on_chain(name: &str, test: impl FnOnce(Anvil) -> anyhow::Result<()>) {
    match rig::chain().unwrap() {
        Ok(chain) => test(chain).unwrap_or_else(|error| panic!("{error:#}")),
        Err(missing) => skip(name, &missing),
    }
}
