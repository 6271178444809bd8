//! A verdict is used up by its release.
use domain::{Stamped, WriteAhead};
use plimsoll_margin_guard::{Cleared, release};

async fn twice<W: WriteAhead>(cleared: Cleared, entries: Vec<Stamped>, log: &W) {
    let _first = release(vec![cleared], entries.clone(), log).await;
    let _second = release(vec![cleared], entries, log).await;
}

fn main() {}
