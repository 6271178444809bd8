//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use domain::{StopLevel, StopScope};

use crate::approval::ApprovalArgs;

/// Unattended execution for leveraged perpetual futures.
///
/// Without a sub-command: run the demo plan of the default configuration against the embedded paper venue, show it, report its
/// costs and leave.
#[derive(Debug, Parser)]
#[command(name = "plimsoll", version)]
pub struct Cli {
    /// The configuration file.
    #[arg(long, short, global = true, value_name = "FILE", env = "PLIMSOLL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Set one configuration key, such as `paper.speed=5`. May be repeated; wins over file and environment.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Task>,
}

/// A sub-command.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Run the daemon.
    Run(RunArgs),
    /// Serve the paper venue alone.
    Paper(PaperArgs),
    /// Check the configuration and print what it means; opens no socket.
    Check {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Print instead what the file would change of the running daemon's configuration, key by key: at once, held, or with a
        /// restart. Without a running daemon, of the configuration that was in force last.
        #[arg(long)]
        diff: bool,
    },
    /// Put in force what the changed configuration file loosens. What it tightens is in force already.
    Apply {
        /// Why more is allowed from here on, for the journal.
        #[arg(long)]
        reason: String,
        /// Hash of the file that is meant, as status and alerts show it. Absent: the one whose changes are held now.
        #[arg(long)]
        file: Option<String>,
        /// Where `[[operators]]` are configured.
        #[command(flatten)]
        approval: ApprovalArgs,
    },
    /// Submit a parent order to the running daemon.
    Submit(Box<SubmitArgs>),
    /// Show the running daemon's state once.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show how large a position may be and why: every input, factor and cap, the binding one marked.
    Size {
        /// Such as `hyperliquid:BTC`.
        instrument: String,
        /// Only this side.
        #[arg(long, value_parser = ["buy", "sell"])]
        side: Option<String>,
        /// As JSON, one object per side.
        #[arg(long)]
        json: bool,
    },
    /// Draw the load line of every account: margin, buffer, runway, scenarios, liquidation prices.
    Margin {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Try the ways out of the venue and back with a small amount, and print how long each hop took.
    Drill(DrillArgs),
    /// Show money that moves by itself: balances, budgets, what is under way, what comes next and why.
    ///
    /// Without a running daemon the journal alone is asked, and balances are not known.
    Treasury {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// What only a person can close.
        #[command(subcommand)]
        action: Option<TreasuryAction>,
    },
    /// Show who was told of what, and how the telling goes. Without a running daemon its file alone is asked.
    Alerts {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// What to do.
        #[command(subcommand)]
        action: Option<AlertsAction>,
    },
    /// Watch the running daemon until it stops or you do.
    Watch,
    /// Pause a parent: its working children are cancelled.
    Pause {
        /// Its number.
        parent: u32,
    },
    /// Let a paused parent go on.
    Resume {
        /// Its number.
        parent: u32,
    },
    /// Change a parent's quantity or horizon.
    Amend {
        /// Its number.
        parent: u32,
        /// New total quantity in base units, not below what is filled and working.
        #[arg(long, value_name = "DECIMAL")]
        quantity: Option<String>,
        /// New horizon, measured from its start.
        #[arg(long, value_name = "DURATION")]
        horizon: Option<humantime::Duration>,
    },
    /// Cancel a parent.
    Cancel {
        /// Its number.
        parent: u32,
    },
    /// Stop trading. The level holds over restarts until `rearm`.
    Kill(KillArgs),
    /// Watch the daemon from a process of its own: when its heartbeat stops, cancel everything at the venue and keep at it.
    Watchdog,
    /// Let what was stopped trade again.
    Rearm {
        /// Why it is safe, for the journal.
        #[arg(long)]
        reason: String,
        /// What; absent: all that is stopped.
        #[arg(long)]
        scope: Option<StopScope>,
        /// Where `[[operators]]` are configured.
        #[command(flatten)]
        approval: ApprovalArgs,
    },
    /// Let a frozen market trade again, from the position that the venue reports.
    Unfreeze {
        /// Such as `hyperliquid:BTC`.
        instrument: String,
        /// What explains the difference, for the journal.
        #[arg(long)]
        reason: String,
    },
    /// Transaction costs of every parent in the journal; needs no running daemon.
    Report {
        /// As JSON, one object per line.
        #[arg(long)]
        json: bool,
        /// Only this parent.
        #[arg(long)]
        parent: Option<u32>,
    },
    /// Tell why an order was cleared or refused, and what became of it, from the journal alone; needs no running daemon.
    Explain {
        /// A client key (0x…), PARENT/CHILD such as P7/3, a parent such as P7, or the venue's number such as oid:123.
        order: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Replay the journal and check its invariants; needs no running daemon.
    Audit {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the journal's records, one JSON object per line.
    Export,
    /// Check this build against files of known-good cases.
    Conformance {
        /// Which kind of cases.
        #[command(subcommand)]
        kind: Conformance,
    },
    /// Work with market recordings.
    Tape {
        /// What to do.
        #[command(subcommand)]
        action: TapeAction,
    },
}

/// What only a person can close. Each is recorded with its reason.
#[derive(Debug, Subcommand)]
pub enum TreasuryAction {
    /// Close a transfer whose fate cannot be found out. What it moved counts as spent, and it is never sent again.
    WriteOff {
        /// Such as T3.
        transfer: String,
        /// What became of the money, for the journal.
        #[arg(long)]
        reason: String,
    },
    /// Use a frozen wallet again: what was done with it beside us is accepted, and its next nonce is taken from the chain.
    AcceptWallet {
        /// What was done with it and why its key is safe, for the journal.
        #[arg(long)]
        reason: String,
    },
}

/// What to do about alerts.
#[derive(Debug, Subcommand)]
pub enum AlertsAction {
    /// Send a real trial message to each target and print what it answers; needs no running daemon.
    Test {
        /// Only this one, by its name in the configuration.
        #[arg(long)]
        target: Option<String>,
    },
    /// Say that somebody acts on an alert, so that nobody is told of it any more.
    Ack {
        /// Such as A12.
        id: String,
        /// Who.
        #[arg(long, env = "USER", default_value = "operator")]
        by: String,
    },
}

/// Cases to check.
#[derive(Debug, Subcommand)]
pub enum Conformance {
    /// Hashes and signatures made with Hyperliquid's official client.
    HyperliquidSigning {
        /// A file such as `signing_vectors.json`.
        file: PathBuf,
    },
    /// Recorded Hyperliquid requests, answers and frames.
    HyperliquidPayloads {
        /// A folder of JSON files.
        dir: PathBuf,
    },
    /// Deposits to Hyperliquid by Circle's CCTP: digests, signatures, calldata.
    HyperliquidCctp {
        /// A file such as `cctp_deposit_vectors.json`.
        file: PathBuf,
    },
    /// Worked numbers of formulas.
    Quant {
        /// A file such as `quant_cases.json`.
        file: PathBuf,
    },
}

/// What to do with a recording.
#[derive(Debug, Subcommand)]
pub enum TapeAction {
    /// Turn a raw capture (one `nanoseconds json` line per message, gzip or plain) into a tape.
    Convert {
        /// The capture.
        capture: PathBuf,
        /// The tape to write.
        out: PathBuf,
    },
}

/// How to run.
#[derive(Debug, Default, Args)]
pub struct RunArgs {
    /// Submit the configuration's `[[plan]]` (once; a restart goes on with it).
    #[arg(long)]
    pub plan: bool,
    /// Submit the plan, leave when every parent has ended, and report their costs.
    #[arg(long)]
    pub exit_when_done: bool,
    /// Print the report as JSON, one object per parent, last on standard output.
    #[arg(long)]
    pub json: bool,
}

/// How far to stop.
#[derive(Debug, Args)]
pub struct KillArgs {
    /// How far: reduce-only, block, cancel, flatten or sever.
    #[arg(long, default_value = "cancel", value_parser = StopLevel::to_stop_at)]
    pub level: StopLevel,
    /// What: all, venue:hyperliquid, market:hyperliquid:BTC or parent:P7.
    #[arg(long, default_value = "all")]
    pub scope: StopScope,
    /// Why, for the journal.
    #[arg(long, default_value = "operator")]
    pub cause: String,
    /// Do not ask the daemon: cancel everything at the venue from here. For when it hangs; needs no journal and no disk.
    #[arg(long)]
    pub direct: bool,
    /// With --direct, the key to sign with; absent: the watchdog's, or else the daemon's.
    #[arg(long, value_name = "FILE", requires = "direct")]
    pub key_file: Option<PathBuf>,
    /// With --direct, how long to keep at it.
    #[arg(long, value_name = "DURATION", default_value = "5m", requires = "direct")]
    pub within: Option<humantime::Duration>,
}

/// Which ways out to try.
#[derive(Debug, Args)]
pub struct DrillArgs {
    /// Only this path: chain, spot or sub:0x…; absent: all in use, one after the other.
    #[arg(long)]
    pub path: Option<domain::DrillPath>,
    /// The file with the account's own key, which signs the withdrawal. The daemon reads it for this drill and keeps it no longer.
    #[arg(long, value_name = "FILE")]
    pub signer: Option<PathBuf>,
    /// Try nothing: print the paths, when each is due, and the last receipts. Works without a running daemon.
    #[arg(long, conflicts_with_all = ["path", "signer"])]
    pub list: bool,
    /// As JSON, one receipt per line.
    #[arg(long)]
    pub json: bool,
}

/// How to serve the paper venue. What is absent comes from the configuration's `[paper]`.
#[derive(Debug, Args)]
pub struct PaperArgs {
    /// Where to serve; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// A second address; the official Rust SDK speaks to 127.0.0.1:3001 alone.
    #[arg(long)]
    pub also_listen: Option<SocketAddr>,
    /// Write the venue's addresses to this file once it serves.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Stop after this long without a client.
    #[arg(long, value_name = "DURATION")]
    pub idle_exit: Option<humantime::Duration>,
    /// BTC's market stands still: nothing is in it but what clients place and the control API puts there.
    #[arg(long)]
    pub still: bool,
}

/// A parent order.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Such as `hyperliquid:BTC`.
    #[arg(long)]
    pub instrument: String,
    /// Buy or sell.
    #[arg(long, value_parser = ["buy", "sell"])]
    pub side: String,
    /// In base units.
    #[arg(long, value_name = "DECIMAL")]
    pub quantity: String,
    /// How much by when.
    #[arg(long, default_value = "twap", value_parser = ["twap", "vwap", "pov", "shortfall"])]
    pub schedule: String,
    /// Slices (TWAP, VWAP, shortfall).
    #[arg(long)]
    pub slices: Option<u32>,
    /// Share of total volume (POV), such as `0.05`.
    #[arg(long, value_name = "DECIMAL")]
    pub rate: Option<String>,
    /// Relative volume per bucket of the day, such as `5,3,2,4` (VWAP).
    #[arg(long, value_delimiter = ',')]
    pub curve: Vec<u32>,
    /// Keep up with an even schedule too, so that it completes (POV).
    #[arg(long)]
    pub complete: bool,
    /// Risk aversion per quote unit (shortfall).
    #[arg(long, value_name = "DECIMAL")]
    pub lambda: Option<String>,
    /// Daily volatility as a share of price (shortfall).
    #[arg(long, value_name = "DECIMAL")]
    pub sigma_daily: Option<String>,
    /// Temporary impact as a share of price (shortfall).
    #[arg(long, value_name = "DECIMAL")]
    pub eta: Option<String>,
    /// How each child is worked.
    #[arg(long, default_value = "limit_to_market", value_parser = ["passive", "pegged", "limit_to_market"])]
    pub placement: String,
    /// Largest visible quantity of a child.
    #[arg(long, value_name = "DECIMAL")]
    pub display: Option<String>,
    /// From start to deadline, such as `90s` or `2h`.
    #[arg(long, default_value = "60s")]
    pub horizon: String,
    /// Worst price, absolute.
    #[arg(long, value_name = "DECIMAL")]
    pub limit_price: Option<String>,
    /// Worst distance from the arrival mid, basis points.
    #[arg(long)]
    pub slippage_bps: Option<u32>,
    /// What happens to the remainder at the deadline.
    #[arg(long, value_parser = ["cancel", "extend", "force"])]
    pub end: Option<String>,
    /// Only shrink a position.
    #[arg(long)]
    pub reduce_only: bool,
    /// Free text, at most 64 characters.
    #[arg(long, default_value = "")]
    pub note: String,
}
