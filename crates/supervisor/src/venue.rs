//! The venue a daemon trades on: the embedded paper venue or an external one, and the key for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use paper::{Accounts, Market, Paper, PaperSpec, VenueLimits};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use wire::hyperliquid::Address;
use wire::hyperliquid::sign::Key;

use crate::cli::PaperArgs;
use crate::config::{Checked, Endpoint, PaperMarket};
use crate::embedded::{self, EmbeddedError};
use crate::{Failure, exit};

/// Where to connect, and as whom.
pub struct Target {
    /// Base of `/info` and `/exchange`.
    pub http: String,
    /// WebSocket address.
    pub ws: String,
    /// The account.
    pub account: Address,
    /// Whether it is a sub-account or vault.
    pub sub_account: bool,
    /// The key that signs.
    pub key: Key,
    /// What a journal of this venue is bound to, besides the account.
    pub network: String,
    /// Whether the embedded venue was started just now, so that no older journal can belong to it.
    pub fresh_venue: Option<String>,
}

/// The venue of `config`: finds or starts the embedded one, or reads the key of the external one.
///
/// # Errors
/// If the embedded venue does not start, or the key cannot be used.
pub async fn target(config: &Checked, set: &[String], file: Option<&PathBuf>) -> Result<Target, Failure> {
    match &config.endpoint {
        Endpoint::Embedded => {
            let failed = |e: EmbeddedError| Failure::new(exit::VENUE, &e);
            let mut args: Vec<String> = Vec::new();
            if let Some(file) = file {
                args.extend(["--config".to_owned(), file.display().to_string()]);
            }
            for pair in set {
                args.extend(["--set".to_owned(), pair.clone()]);
            }
            args.push("paper".to_owned());
            args.extend(["--idle-exit".to_owned(), format!("{}ms", config.paper.idle_exit.as_millis())]);
            let (ready, is_new) = embedded::find_or_start(&config.state_dir, &args).await.map_err(failed)?;
            let secret = embedded::paper_key(&config.state_dir).map_err(failed)?;
            let key = key_from(&secret, "the embedded venue's key")?;
            info!(http = %ready.http, control = %ready.control, pid = ready.pid, new = is_new, "paper venue");
            Ok(Target {
                http: ready.http.clone(),
                ws: ready.ws.clone(),
                account: key.address(),
                sub_account: false,
                key,
                network: format!("paper-{}", ready.instance),
                fresh_venue: is_new.then_some(ready.instance),
            })
        }
        Endpoint::External { http, ws, account, sub_account, key_file } => Ok(Target {
            http: http.clone(),
            ws: ws.clone(),
            account: *account,
            sub_account: *sub_account,
            key: read_key("venue.hyperliquid.key_file", key_file)?,
            network: format!("{:?}", config.network).to_lowercase(),
            fresh_venue: None,
        }),
    }
}

fn bridge_key(path: Option<&Path>) -> Result<Option<paper::BridgeKey>, Failure> {
    path.map(|path| read_key("paper.chain.key_file", path).map(paper::BridgeKey::from)).transpose()
}

/// Reads a key that its owner alone may read (T05); `field` says which in the configuration.
///
/// # Errors
/// If it cannot be read, others may read it, or it holds no key.
pub fn read_key(field: &str, path: &Path) -> Result<Key, Failure> {
    let fail = |why: String| Failure { code: exit::CONFIG, why: format!("{field} {}: {why}", path.display()) };
    let mode = fs::metadata(path).map_err(|e| fail(e.to_string()))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(fail(format!("others may read it (mode {mode:o}); chmod 600 it")));
    }
    let text = zeroize::Zeroizing::new(fs::read_to_string(path).map_err(|e| fail(e.to_string()))?);
    key_from(text.trim(), &path.display().to_string())
}

fn key_from(text: &str, what: &str) -> Result<Key, Failure> {
    // the parser's own words could quote the secret
    Key::from_hex(text).map_err(|_| Failure { code: exit::CONFIG, why: format!("{what}: expected 0x and 64 hexadecimal digits") })
}

/// Serves the paper venue until it is told to stop or nobody needs it.
///
/// # Errors
/// If the tape cannot be read or an address cannot be bound.
pub async fn serve_paper(config: &Checked, args: &PaperArgs) -> Result<ExitCode, Failure> {
    let part = &config.paper;
    let market = match &part.market {
        PaperMarket::Synthetic | PaperMarket::Tape { .. } if args.still => Market::Still,
        PaperMarket::Synthetic => Market::Synthetic,
        PaperMarket::Tape { file, speed } => {
            let tape = fs::File::open(file).map_err(paper::tape::TapeError::from).and_then(paper::tape::Tape::read);
            let tape = tape.map_err(|e| Failure {
                code: exit::CONFIG,
                why: format!("paper.tape {}: {}", file.display(), crate::daemon::chain(&e)),
            })?;
            Market::Tape { tape: Arc::new(tape), pace: speed * 1_000 }
        }
    };
    let chain = match &part.chain {
        None => None,
        Some(chain) => Some(paper::ChainSpec { key: bridge_key(chain.key_file.as_deref())?, ..chain.spec.clone() }),
    };
    let spec = PaperSpec {
        listen: args.listen,
        also_listen: args.also_listen,
        control_listen: None,
        seed: part.seed,
        market,
        history: part.history,
        chain,
        routing: part.chain.as_ref().map(|chain| chain.routing).unwrap_or_default(),
        accounts: Accounts { open: Some(part.balance), ..Accounts::default() },
        limits: if part.rate_limits { VenueLimits::default() } else { VenueLimits::unlimited() },
        idle_exit: args.idle_exit.map(Into::into),
    };
    let handle = Paper::start(spec).await.map_err(|e| Failure::new(exit::VENUE, &e))?;
    let address = handle.addr;
    let ready = embedded::Ready {
        http: format!("http://{address}"),
        ws: format!("ws://{address}/ws"),
        control: format!("http://{address}/control"),
        pid: std::process::id(),
        instance: embedded::new_secret().map_err(|e| Failure::new(exit::VENUE, &e))?[2..10].to_owned(),
    };
    println!("paper venue: {}  websocket {}  control {}", ready.http, ready.ws, ready.control);
    if let Some(path) = &args.ready_file {
        ready.publish(path).map_err(|e| Failure::other(format!("{}: {e}", path.display())))?;
    }
    let mut term = signal(SignalKind::terminate()).map_err(|e| Failure::other(e.to_string()))?;
    let mut int = signal(SignalKind::interrupt()).map_err(|e| Failure::other(e.to_string()))?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
        () = handle.finished() => println!("paper venue: no client for a while; ending"),
    }
    handle.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
