//! Serves a paper venue on the recorded tape until stopped: `serve ADDRESS [SECOND_ADDRESS]`. For trying clients by hand;
//! operators use `plimsoll paper`.

use std::net::SocketAddr;
use std::sync::Arc;

use plimsoll_paper::{Market, Paper, PaperSpec, tape::Tape};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addresses: Vec<SocketAddr> = std::env::args().skip(1).map(|a| a.parse()).collect::<Result<_, _>>()?;
    let tape = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/tapes/btcusdt-20240808.tape.gz");
    let tape = Tape::read(std::fs::File::open(tape)?)?;
    let mut spec = PaperSpec { market: Market::Tape { tape: Arc::new(tape), pace: 1_000 }, ..PaperSpec::default() };
    if let Some(first) = addresses.first() {
        spec.listen = *first;
    }
    spec.also_listen = addresses.get(1).copied();
    let paper = Paper::start(spec).await?;
    println!("{}", paper.url());
    paper.finished().await;
    Ok(())
}
