//! What durability costs: one JSON line with ratios against raw append + fdatasync in the same loop.
//!
//! `cargo run --release -p plimsoll-journal --example durable [DIR]`

#[path = "../src/testing.rs"]
mod testing;

use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::{ChildNo, ClientKey, Epoch, JournalTag, ParentId, Venue, WriteAhead};
use plimsoll_journal::{AppendError, Identity, Journal, Options};
use testing::intent;

/// Cases in turn, so that a slow moment of the disk hits all of them.
const ROUNDS: u32 = 5;
const APPENDS: u32 = 300;
const WRITERS: u32 = 32;

fn key(writer: u32, n: u32) -> ClientKey {
    ClientKey::derive(JournalTag(1), Epoch(1), ParentId(writer), ChildNo(n))
}

fn p50(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn raw(file: &mut std::fs::File, payload: &[u8]) -> std::io::Result<Vec<Duration>> {
    (0..APPENDS)
        .map(|_| {
            let start = Instant::now();
            file.write_all(payload)?;
            rustix::fs::fdatasync(file.as_fd())?;
            Ok(start.elapsed())
        })
        .collect()
}

async fn alone(journal: &Journal, round: u32) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let mut times = Vec::new();
    for n in 0..APPENDS {
        let entries = vec![intent(1, key(round, n))];
        let start = Instant::now();
        journal.append(entries).await?;
        times.push(start.elapsed());
    }
    Ok(times)
}

/// Records per second of 32 writers.
async fn together(journal: &Journal, round: u32) -> Result<u128, Box<dyn std::error::Error>> {
    let start = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for w in 0..WRITERS {
        let journal = journal.clone();
        writers.spawn(async move {
            for n in 0..APPENDS {
                journal.append(vec![intent(1, key(1_000 + round * WRITERS + w, n))]).await?;
            }
            Ok::<_, AppendError>(())
        });
    }
    for outcome in writers.join_all().await {
        outcome?;
    }
    Ok(per_second(WRITERS * APPENDS, start.elapsed()))
}

fn per_second(records: u32, took: Duration) -> u128 {
    u128::from(records) * 1_000_000_000 / took.as_nanos().max(1)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args().nth(1).map(PathBuf::from);
    let dir = tempfile::tempdir_in(given.as_deref().unwrap_or(Path::new(".")))?;
    let identity = Identity { venue: Venue::Hyperliquid, network: "paper".into(), account: "bench".into() };
    let opened = Journal::open(&dir.path().join("j"), &identity, &Options { ballast_bytes: 0, ..Options::new(1) })?;
    let payload = serde_json::to_vec(&intent(1, key(0, 0)))?;
    let mut file = std::fs::File::create(dir.path().join("raw"))?;
    let (mut floor, mut one, mut one_rate, mut many_rate) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        floor.push(p50(raw(&mut file, &payload)?));
        let times = alone(&opened.journal, round).await?;
        one_rate.push(per_second(APPENDS, times.iter().sum()));
        one.push(p50(times));
        many_rate.push(together(&opened.journal, round).await?);
    }
    one_rate.sort_unstable();
    many_rate.sort_unstable();
    let (floor, one) = (p50(floor).as_micros(), p50(one).as_micros());
    let (one_rate, many_rate) = (one_rate[one_rate.len() / 2], many_rate[many_rate.len() / 2]);
    println!(
        r#"{{"raw_p50_us":{floor},"append_p50_us":{one},"append_over_raw_percent":{},"one_writer_per_s":{one_rate},"{WRITERS}_writers_per_s":{many_rate},"{WRITERS}_over_one":{}}}"#,
        one * 100 / floor.max(1),
        many_rate / one_rate.max(1)
    );
    Ok(())
}
