//! `plimsoll`: config, wiring over tokio channels, signals, operator API.
//!
//! This crate owns time, chance and every task. It decides nothing about orders: `desk` does, and `margin-guard` judges.
//! Start with [`daemon`], the one loop; `boot` is how a daemon comes up, `tasks` what the other sub-commands do.

/// `println!` that survives a reader who has left.
macro_rules! say {
    ($($arg:tt)*) => { crate::print_line(format_args!($($arg)*)) };
}

mod api;
mod approval;
mod boot;
mod carrier;
mod cli;
mod client;
mod clocks;
mod config;
mod daemon;
mod deadman;
mod drill;
mod embedded;
mod gate;
mod heartbeat;
mod live;
mod lookout;
mod notify;
mod published;
mod reload;
mod sentinel;
mod show;
mod standing;
mod sweeper;
mod tasks;
mod telling;
mod triggers;
mod venue;
mod views;
mod wall;
mod watchdog;
mod words;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Task};
use crate::config::Places;
use crate::tasks::Asked;

/// Exit codes beyond 0 and 1, after sysexits where it has one.
mod exit {
    /// The journal is damaged or belongs to something else.
    pub const JOURNAL_UNUSABLE: u8 = 65;
    /// The venue cannot be reached or refused the start-up checks.
    pub const VENUE: u8 = 69;
    /// A task panicked.
    pub const PANIC: u8 = 70;
    /// Another daemon holds the journal.
    pub const LOCKED: u8 = 73;
    /// The journal can no longer be written.
    pub const JOURNAL_BROKEN: u8 = 74;
    /// Stopped, but not everything was settled in time.
    pub const LATE: u8 = 75;
    /// Severed on request: nothing may start it again by itself.
    pub const SEVERED: u8 = 76;
    /// The configuration has faults.
    pub const CONFIG: u8 = 78;
}

/// Why a sub-command did not succeed, and what the process says so with.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    why: String,
}

impl Failure {
    fn new(code: u8, error: &dyn std::error::Error) -> Failure {
        Failure { code, why: daemon::chain(error) }
    }

    /// In words.
    fn why(&self) -> &str {
        &self.why
    }

    fn other(why: impl Into<String>) -> Failure {
        Failure { code: 1, why: why.into() }
    }
}

/// Prints a line for the caller. Where nobody reads any more (`plimsoll report | head`) there is nothing left to do.
fn print_line(line: std::fmt::Arguments<'_>) {
    if let Err(e) = writeln!(std::io::stdout().lock(), "{line}") {
        let code = if e.kind() == std::io::ErrorKind::BrokenPipe { 0 } else { 1 };
        std::process::exit(code);
    }
}

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("plimsoll: another TLS provider was installed first");
        return ExitCode::from(exit::PANIC);
    }
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("plimsoll: no runtime: {e}");
            return ExitCode::from(exit::PANIC);
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("plimsoll: {}", failure.why);
            ExitCode::from(failure.code)
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    if let Some(Task::Conformance { kind }) = &cli.command {
        return tasks::conformance(kind);
    }
    if let Some(Task::Tape { action }) = &cli.command {
        return tasks::tape(action);
    }
    let beside = |set: &[String]| {
        config::load_beside(cli.config.as_deref(), set, std::env::vars()).map_err(|e| Failure::new(exit::CONFIG, &e))
    };
    match &cli.command {
        Some(Task::Watchdog) => return watchdog::run(beside(&cli.set)?).await,
        Some(Task::Kill(args)) if args.direct => return watchdog::direct::kill(&beside(&cli.set)?, args).await,
        _ => {}
    }
    let loaded = config::load(cli.config.as_deref(), &cli.set, std::env::vars(), wall::today());
    let loaded = loaded.map_err(|e| Failure::new(exit::CONFIG, &e));
    match cli.command {
        None => boot::run(loaded?, &cli::RunArgs { plan: true, exit_when_done: true, json: false }, &cli.set, cli.config).await,
        Some(Task::Run(args)) => boot::run(loaded?, &args, &cli.set, cli.config).await,
        Some(Task::Paper(args)) => venue::serve_paper(&loaded?, &args).await,
        Some(task) => {
            let places = config::places(cli.config.as_deref(), &cli.set, std::env::vars());
            let places = loaded.as_ref().map_or_else(|_| places, |config| Ok(Places::of(config)));
            tasks::run(Asked { places: places.map_err(|e| Failure::new(exit::CONFIG, &e))?, config: loaded }, task).await
        }
    }
}
