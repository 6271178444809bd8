//! perf goal 9: a durable append costs one flush, and a flush is shared by all who wait for one.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use domain::{
    Basis, Child, ChildNo, ClientKey, Entry, Epoch, Expiry, InstrumentId, Intent, JournalTag, Lots, ParentId, Px, Qty, Side,
    Stamp, Stamped, Tif, Usd, Venue, WriteAhead,
};
use journal::{Identity, Journal, Options};
use tokio::runtime::Runtime;

use crate::harness::{Goal, Outcome, median, ratios};

/// Appends of one writer in one round; some 0.3 ms each on a disk that flushes quickly.
const APPENDS: u32 = 200;
/// Writers that wait at the same time.
const WRITERS: u32 = 32;

pub fn run(rounds: usize) -> Vec<Outcome> {
    // On the disk that holds the build, never in memory: a flush is what is measured.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut raw = FlushProbe::open(folder.path());
    let mut ours = Appender::open(&folder.path().join("journal"));
    raw.record = serde_json::to_vec(&ours.entry()).unwrap();

    let (mut flushed, mut durable, mut growth) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=rounds {
        let raw_us = raw.median_us();
        let (durable_us, one_rate) = ours.alone(&runtime);
        let many_rate = ours.together(&runtime);
        // The first round warms up.
        if round > 0 {
            flushed.push(raw_us);
            durable.push(durable_us);
            growth.push(many_rate / one_rate);
        }
    }
    vec![
        Outcome::of("durable append / append + fdatasync, p50", "x", Goal::AtMost(1.6), ratios(&durable, &flushed)),
        Outcome::of(format!("records/s of {WRITERS} writers / of one"), "x", Goal::AtLeast(20.0), growth),
        Outcome::of(format!("append of {} bytes + fdatasync, p50", raw.record.len()), "us", Goal::None, flushed),
        Outcome::of("durable append of the same entry, p50", "us", Goal::None, durable),
    ]
}

/// The limit: a file that is appended to and flushed.
pub struct FlushProbe {
    file: File,
    record: Vec<u8>,
}

impl FlushProbe {
    /// A file of its own in `dir`.
    pub fn open(dir: &Path) -> FlushProbe {
        let file = OpenOptions::new().create(true).append(true).open(dir.join("raw")).unwrap();
        FlushProbe { file, record: vec![b'x'; 450] }
    }

    /// Median microseconds of one append with its flush.
    pub fn median_us(&mut self) -> f64 {
        let times = (0..APPENDS).map(|_| {
            let start = Instant::now();
            self.file.write_all(&self.record).unwrap();
            self.file.sync_data().unwrap();
            start.elapsed().as_secs_f64() * 1e6
        });
        median(times.collect())
    }
}

struct Appender {
    journal: Journal,
    tag: JournalTag,
    epoch: Epoch,
    child: u32,
}

impl Appender {
    fn open(dir: &Path) -> Appender {
        let identity = Identity { venue: Venue::Hyperliquid, network: "paper".into(), account: "0x00".into() };
        let opened = Journal::open(dir, &identity, &Options::new(1)).unwrap();
        Appender { journal: opened.journal, tag: opened.tag, epoch: opened.epoch, child: 0 }
    }

    /// What is written most often before an order: an intent with its basis.
    fn entry(&mut self) -> Stamped {
        self.child += 1;
        let (parent, no) = (ParentId(1), ChildNo(self.child));
        let instrument = InstrumentId::new(Venue::Hyperliquid, "BTC").unwrap();
        let (side, qty, px) = (Side::Buy, Qty(1_234), Px(617_990));
        let child = Child { parent, no, instrument, side, qty, px, tif: Tif::PostOnly, reduce_only: false };
        let nonce = 1_700_000_000_000 + u64::from(self.child);
        let key = ClientKey::derive(self.tag, self.epoch, parent, no);
        let intent = Intent { key, child, nonce, expiry: Expiry::AtMs(nonce + 10_000) };
        let basis = Basis {
            limits: 7,
            config: 0,
            reference: Px(618_000),
            book_age_ms: 12,
            equity: Usd::whole(100_000),
            position: Lots(0),
            worst: (Lots(1_234), Lots(0)),
            cover: None,
        };
        let at = Stamp { mono: u64::from(self.child) * 1_000_000, wall_ms: nonce };
        Stamped { at, entry: Entry::Intent { intent, basis, mid_x2: Some(1_236_000) } }
    }

    /// One writer: median microseconds of an append, and records per second.
    fn alone(&mut self, runtime: &Runtime) -> (f64, f64) {
        let entries: Vec<Stamped> = (0..APPENDS).map(|_| self.entry()).collect();
        let journal = self.journal.clone();
        runtime.block_on(async move {
            let mut times = Vec::new();
            let begun = Instant::now();
            for entry in entries {
                let start = Instant::now();
                journal.append(vec![entry]).await.unwrap();
                times.push(start.elapsed().as_secs_f64() * 1e6);
            }
            (median(times), f64::from(APPENDS) / begun.elapsed().as_secs_f64())
        })
    }

    /// Many writers, each waiting for its own append before the next: records per second.
    fn together(&mut self, runtime: &Runtime) -> f64 {
        let each = APPENDS;
        let all: Vec<Vec<Stamped>> = (0..WRITERS).map(|_| (0..each).map(|_| self.entry()).collect()).collect();
        let begun = Instant::now();
        runtime.block_on(async {
            let writers: Vec<_> = all
                .into_iter()
                .map(|entries| {
                    let journal = self.journal.clone();
                    tokio::spawn(async move {
                        for entry in entries {
                            journal.append(vec![entry]).await.unwrap();
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.await.unwrap();
            }
        });
        f64::from(WRITERS * each) / begun.elapsed().as_secs_f64()
    }
}
