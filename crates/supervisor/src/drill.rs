//! `plimsoll drill`: has a running daemon try ways out, and prints what was measured.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use desk::{Books, DrillView, OpenDrill};
use domain::{CommandReply, DrillId, DrillPath, DrillReceipt, Stamp, TransferId};
use hyper::Method;
use serde::Deserialize;

use crate::api::DrillBody;
use crate::cli::DrillArgs;
use crate::client::{ClientError, call};
use crate::config::Checked;
use crate::{Failure, exit, show};

/// How often the daemon is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What of [`DrillView`] is followed.
#[derive(Debug, Deserialize)]
struct Followed {
    paths: Vec<FollowedPath>,
    open: Option<(OpenDrill, Stamp)>,
    recent: Vec<(DrillId, DrillReceipt)>,
}

#[derive(Debug, Deserialize)]
struct FollowedPath {
    path: DrillPath,
    needs_signer: bool,
}

/// Carries out `plimsoll drill`.
///
/// # Errors
/// If the daemon cannot be asked, or refuses.
pub async fn run(config: &Checked, args: &DrillArgs) -> Result<ExitCode, Failure> {
    if args.list {
        return list(config, args.json).await.map(|()| ExitCode::SUCCESS);
    }
    let socket = config.socket.as_path();
    let signer = args.signer.as_ref().map(std::path::absolute).transpose();
    let signer = signer.map_err(|e| Failure::other(format!("--signer: {e}")))?;
    let known = look(socket).await?;
    let paths: Vec<(DrillPath, bool)> = match args.path {
        Some(path) => vec![(path, true)],
        None => known.paths.iter().map(|one| (one.path, signer.is_some() || !one.needs_signer)).collect(),
    };
    if paths.is_empty() {
        return Err(Failure::other("no way out is in use: see [treasury.drill] and plimsoll check"));
    }
    let mut all_passed = true;
    for (path, may) in paths {
        if !may {
            all_passed = false;
            eprintln!("plimsoll: {path} is left out: a withdrawal needs your own signer, --signer FILE");
            continue;
        }
        let body = DrillBody { path, signer: signer.clone() };
        let answer = call(socket, Method::POST, "/drill", Some(&body)).await.map_err(|e| failed(&e))?;
        let CommandReply::Drilling(id) = read(&answer)? else { return Err(Failure::other("the daemon's answer makes no sense")) };
        all_passed &= follow(socket, id, args.json).await?.passed();
    }
    Ok(if all_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn failed(e: &ClientError) -> Failure {
    Failure::other(e.to_string())
}

fn read<T: for<'a> Deserialize<'a>>(answer: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(answer).map_err(|e| Failure::other(format!("the daemon's answer makes no sense: {e}")))
}

async fn look(socket: &Path) -> Result<Followed, Failure> {
    read(&call::<()>(socket, Method::GET, "/drills", None).await.map_err(|e| failed(&e))?)
}

/// Prints each hop as it ends, until the drill is over. Whoever stops watching stops nothing.
async fn follow(socket: &Path, id: DrillId, json: bool) -> Result<DrillReceipt, Failure> {
    let mut told: BTreeSet<TransferId> = BTreeSet::new();
    let mut began: BTreeSet<TransferId> = BTreeSet::new();
    loop {
        let now = look(socket).await?;
        let receipt = now.recent.into_iter().find(|(known, _)| *known == id).map(|(_, receipt)| receipt);
        let open = now.open.filter(|(drill, _)| drill.id == id);
        let done = receipt.as_ref().map(|r| &r.hops).or(open.as_ref().map(|(drill, _)| &drill.done));
        for hop in done.into_iter().flatten().filter(|_| !json) {
            if told.insert(hop.transfer) {
                say!("{}", show::drill::hop(hop));
            }
        }
        if let Some(receipt) = receipt {
            if json {
                say!("{}", serde_json::json!({ "drill": id, "receipt": receipt }));
            } else {
                say!("{}", show::drill::ended(id, &receipt));
            }
            return Ok(receipt);
        }
        let Some((drill, at)) = open else {
            return Err(Failure::other(format!("{id} is not known to the daemon any more: see plimsoll drill --list")));
        };
        if let Some(hop) = drill.hop.as_ref().filter(|hop| !json && began.insert(hop.transfer)) {
            tracing::debug!(transfer = %hop.transfer, "a hop began");
            say!("{}", show::drill::open(&drill, at));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Prints paths, dates and the last receipts: as the daemon has them, or from the journal if none runs.
async fn list(config: &Checked, json: bool) -> Result<(), Failure> {
    let query = if json { "/drills".to_owned() } else { format!("/drills?width={}", show::width()) };
    match call::<()>(config.socket.as_path(), Method::GET, &query, None).await {
        Ok(answer) => say!("{}", String::from_utf8_lossy(&answer)),
        Err(ClientError::NotRunning { .. }) => {
            let view = from_journal(config)?;
            if json {
                say!("{}", serde_json::to_string(&view).map_err(|e| Failure::other(e.to_string()))?);
            } else {
                show::drill::drills(&view).iter().for_each(|line| say!("{line}"));
            }
        }
        Err(e) => return Err(failed(&e)),
    }
    Ok(())
}

fn from_journal(config: &Checked) -> Result<DrillView, Failure> {
    let unusable = |e: &dyn std::error::Error| Failure::new(exit::JOURNAL_UNUSABLE, e);
    let (mut books, mut last) = (Books::default(), Stamp::default());
    for record in journal::export(&config.state_dir.join("journal")).map_err(|e| unusable(&e))? {
        let stamped = record.decode().map_err(|e| unusable(&e))?;
        books.fold(stamped.at, &stamped.entry);
        last = stamped.at;
    }
    let now = crate::wall::Wall::resume(last).stamp();
    let part = config.treasury.as_ref().filter(|part| part.enabled);
    let plan = part.and_then(|part| Some(part.drill.as_ref()?.plan(part, true)));
    let view = books.drills.view(plan.as_ref().map(|plan| (plan, config.seed)), now, |_| Some("no daemon is running".into()));
    Ok(view)
}
