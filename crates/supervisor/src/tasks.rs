//! Sub-commands that are not the daemon: asking a running one, reading a journal, checking this build.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use alerts::AlertId;
use domain::{
    Act, CommandReply, Entry, Instrument, ParentChange, ParentSpec, Span, Stamp, Stamped, StopLevel, StopScope, TransferId,
    plain_decimal,
};
use hyper::Method;

use crate::api::{AckBody, ApplyBody, KillBody, RearmBody, ReasonBody, WriteOffBody};
use crate::approval::{ApprovalArgs, Approving, ToSign};
use crate::cli::{AlertsAction, Conformance, KillArgs, SubmitArgs, TapeAction, Task, TreasuryAction};
use crate::client::{ClientError, call};
use crate::config::{Checked, Places, RawParent, TreasuryPart};
use crate::live::{Frame, Live};
use crate::wall::Wall;
use crate::{Failure, approval, boot, drill, exit, published, reload, show, telling, views};

/// How often `watch` looks.
const WATCH_EVERY: Duration = Duration::from_millis(250);

/// What a task may need of the configuration.
#[derive(Debug)]
pub struct Asked {
    /// Where the daemon is.
    pub places: Places,
    /// The whole, or what is wrong with it. An edit that went wrong keeps nobody from looking, stopping and asking why.
    pub config: Result<Checked, Failure>,
}

impl Asked {
    fn socket(&self) -> &Path {
        self.warn();
        &self.places.socket
    }

    fn journal_dir(&self) -> PathBuf {
        self.warn();
        self.places.state_dir.join("journal")
    }

    fn warn(&self) {
        if let Err(failure) = &self.config {
            let at = self.places.state_dir.display();
            eprintln!("plimsoll: {}\nplimsoll: looking for the daemon in {at} all the same", failure.why());
        }
    }
}

/// Carries out `task`.
///
/// # Errors
/// What kept it from success.
pub async fn run(asked: Asked, task: Task) -> Result<ExitCode, Failure> {
    match task {
        Task::Check { json, diff: true } => check_diff(&asked.config?, json).await?,
        Task::Check { json, diff: false } => check(&asked.config?, json)?,
        Task::Drill(args) => return drill::run(&asked.config?, &args).await,
        Task::Treasury { json, action: None } => treasury(&asked.config?, json).await?,
        Task::Alerts { action: Some(AlertsAction::Test { target }), .. } => {
            let good = telling::trial(&asked.config?, target.as_deref()).await?;
            return Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Task::Alerts { json, action: None } => alerts(&asked.config?, json).await?,
        Task::Apply { reason, file, approval } => apply(asked.socket(), reason, file, &approval).await?,
        Task::Submit(args) => {
            let reply = post(asked.socket(), "/parents", &raw_parent(&args)).await?;
            if let CommandReply::Accepted(id) = reply {
                say!("{id}");
            }
        }
        Task::Status { json: true } => say!("{}", String::from_utf8_lossy(&get(asked.socket(), "/status").await?)),
        Task::Status { json: false } => {
            let frame = frame(asked.socket()).await?;
            say!("{}", frame.head);
            frame.parents.iter().for_each(|line| say!("{}  {}", line.title, line.details));
            frame.notes.iter().for_each(|note| say!("{note}"));
        }
        Task::Size { instrument, side, json } => {
            let mut query = format!("/size?instrument={}", in_query(&instrument));
            if let Some(side) = side {
                query.push_str(&format!("&side={side}"));
            }
            show_or_json(asked.socket(), query, json).await?;
        }
        Task::Margin { json } => show_or_json(asked.socket(), "/margin?".to_owned(), json).await?,
        Task::Treasury { action: Some(TreasuryAction::WriteOff { transfer, reason }), .. } => {
            let id = transfer.parse::<TransferId>();
            let transfer =
                id.map_err(|_| Failure::other(format!("transfer = {transfer}: the number of a transfer, such as T3")))?;
            post(asked.socket(), "/treasury/write-off", &WriteOffBody { transfer, reason }).await?;
            say!("{transfer} is closed; what it moved counts as spent");
        }
        Task::Treasury { action: Some(TreasuryAction::AcceptWallet { reason }), .. } => {
            post(asked.socket(), "/treasury/accept-wallet", &ReasonBody { reason, instrument: None }).await?;
            say!("the wallet may be used again");
        }
        Task::Alerts { action: Some(AlertsAction::Ack { id, by }), .. } => {
            let id = id.parse::<AlertId>().map_err(Failure::other)?;
            post(asked.socket(), "/alerts/ack", &AckBody { id, by }).await?;
            say!("{id} is acknowledged; nobody is told of it any more");
        }
        Task::Watch => watch(asked.socket()).await?,
        Task::Pause { parent } => change(asked.socket(), parent, &ParentChange::Pause).await?,
        Task::Resume { parent } => change(asked.socket(), parent, &ParentChange::Resume).await?,
        Task::Cancel { parent } => change(asked.socket(), parent, &ParentChange::Cancel).await?,
        Task::Amend { parent, quantity, horizon } => amend(asked.socket(), parent, quantity.as_deref(), horizon).await?,
        Task::Kill(KillArgs { level, scope, cause, .. }) => {
            post(asked.socket(), "/kill", &KillBody { level, scope, cause }).await?;
            let doing = if level >= StopLevel::Cancel { "; what is open there is being cancelled" } else { "" };
            say!("{scope}: {level}{doing}; this holds over restarts until plimsoll rearm");
        }
        Task::Rearm { reason, scope, approval } => rearm(asked.socket(), reason, scope, &approval).await?,
        Task::Unfreeze { instrument, reason } => {
            let instrument = instrument.parse().map_err(|e| Failure::new(1, &e))?;
            post(asked.socket(), "/unfreeze", &ReasonBody { reason, instrument: Some(instrument) }).await?;
            say!("unfrozen");
        }
        Task::Report { json, parent } => boot::report(&asked.journal_dir(), json, parent)?,
        Task::Explain { order, json } => explain(&asked.journal_dir(), &order, json)?,
        Task::Audit { json } => return audit(&asked.journal_dir(), json),
        Task::Export => export(&asked.journal_dir())?,
        Task::Run(_) | Task::Paper(_) | Task::Watchdog | Task::Conformance { .. } | Task::Tape { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// What the file would change, by the running daemon's word or by the journal's.
async fn check_diff(config: &Checked, json: bool) -> Result<(), Failure> {
    let journal_dir = config.state_dir.join("journal");
    let (against, view) = match call::<()>(config.socket.as_path(), Method::GET, "/config", None).await {
        Ok(answer) => ("the running daemon", Some(in_force(&answer)?)),
        Err(ClientError::NotRunning { .. }) if journal_dir.exists() => {
            let unusable = |e: &dyn std::error::Error| Failure::new(exit::JOURNAL_UNUSABLE, e);
            let records = journal::export(&journal_dir).map_err(|e| unusable(&e))?;
            let entries: Vec<Stamped> = records.map(|r| r.decode()).collect::<Result<_, _>>().map_err(|e| unusable(&e))?;
            ("the configuration that was in force last, by the journal", reload::journaled(&entries))
        }
        Err(ClientError::NotRunning { .. }) => ("nothing: there is no journal yet", None),
        Err(e) => return Err(failed(&e)),
    };
    let diff = view.map(|view| reload::differs(&view, config)).transpose().map_err(|faults| {
        let faults: String = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        Failure { code: exit::CONFIG, why: format!("the file cannot be taken while the daemon runs:{faults}") }
    })?;
    let changes = diff.map(|diff| diff.changes).unwrap_or_default();
    if json {
        let said = serde_json::json!({ "against": against, "file": config.origin.hash, "hash": config.hash, "changes": changes });
        say!("{said}");
    } else {
        reload::describe(against, &changes).iter().for_each(|line| say!("{line}"));
    }
    Ok(())
}

fn in_force(answer: &[u8]) -> Result<desk::ConfigView, Failure> {
    serde_json::from_slice(answer).map_err(|e| Failure::other(format!("the daemon's answer makes no sense: {e}")))
}

/// Applies what is held, and says what that is.
async fn apply(socket: &Path, reason: String, file: Option<String>, args: &ApprovalArgs) -> Result<(), Failure> {
    let view = in_force(&get(socket, "/config").await?)?;
    let Some(file) = file.or(view.held_file) else {
        return Err(Failure::other(
            "nothing is held: the configuration file loosens nothing, or was refused; see plimsoll status",
        ));
    };
    let act = Act::Apply { file: file.clone() };
    let Approving::Submit(signed) = approve(socket, &act, &reason, args).await? else { return Ok(()) };
    if let CommandReply::Waiting { have, needed, until_ms } = post(socket, "/apply", &ApplyBody { file, reason, signed }).await? {
        say!("{}", approval::waiting(&have, needed, until_ms));
        return Ok(());
    }
    say!("in force:");
    view.held.iter().for_each(|change| say!("  {change}"));
    Ok(())
}

fn failed(e: &ClientError) -> Failure {
    Failure { code: 1, why: e.to_string() }
}

async fn get(socket: &Path, path: &str) -> Result<Vec<u8>, Failure> {
    call::<()>(socket, Method::GET, path, None).await.map_err(|e| failed(&e))
}

async fn post<B: serde::Serialize>(socket: &Path, path: &str, body: &B) -> Result<CommandReply, Failure> {
    let answer = call(socket, Method::POST, path, Some(body)).await.map_err(|e| failed(&e))?;
    serde_json::from_slice(&answer).map_err(|e| Failure::other(format!("the daemon's answer makes no sense: {e}")))
}

/// Prints the daemon's answer: its JSON, or its words for this terminal.
async fn show_or_json(socket: &Path, mut path: String, json: bool) -> Result<(), Failure> {
    if !json {
        path.push_str(&format!("&width={}", show::width()));
    }
    say!("{}", String::from_utf8_lossy(&get(socket, &path).await?));
    Ok(())
}

/// `text` as a value in a query: whatever is not plain is written as its bytes.
fn in_query(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b":-_.".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Approves of `act` as `args` say. Nothing to hand in if the text was only to be printed.
async fn approve(socket: &Path, act: &Act, reason: &str, args: &ApprovalArgs) -> Result<Approving, Failure> {
    let asked: Option<ToSign> = if args.asks() {
        let answer = get(socket, &approval::query(act)).await?;
        Some(serde_json::from_slice(&answer).map_err(|e| Failure::other(format!("the daemon's answer makes no sense: {e}")))?)
    } else {
        None
    };
    let approving = args.carry_out(asked.as_ref(), reason)?;
    if let Approving::Print { text, hand_in } = &approving {
        say!("{text}");
        eprintln!(
            "sign exactly this as a personal message (EIP-191), without an end of line after its last line; then repeat the"
        );
        eprintln!("command with {hand_in} in the place of --challenge");
    }
    Ok(approving)
}

async fn rearm(socket: &Path, reason: String, scope: Option<StopScope>, args: &ApprovalArgs) -> Result<(), Failure> {
    let Approving::Submit(signed) = approve(socket, &Act::Rearm { scope }, &reason, args).await? else { return Ok(()) };
    match post(socket, "/rearm", &RearmBody { reason, scope, signed }).await? {
        CommandReply::Waiting { have, needed, until_ms } => say!("{}", approval::waiting(&have, needed, until_ms)),
        CommandReply::Done | CommandReply::Accepted(_) | CommandReply::Drilling(_) => match scope {
            None => say!("trading"),
            Some(scope) => say!("{scope} is no longer stopped by itself"),
        },
        CommandReply::Refused(_) => {}
    }
    Ok(())
}

async fn change(socket: &Path, parent: u32, change: &ParentChange) -> Result<(), Failure> {
    post(socket, &format!("/parents/{parent}"), change).await?;
    say!("done");
    Ok(())
}

async fn amend(socket: &Path, parent: u32, quantity: Option<&str>, horizon: Option<humantime::Duration>) -> Result<(), Failure> {
    let qty = match quantity {
        None => None,
        Some(text) => {
            let rules = rules_of(socket, parent).await?;
            let qty = plain_decimal(text).and_then(|d| rules.qty_exact(d).ok());
            let steps = rules.lot.normalize();
            Some(qty.ok_or_else(|| Failure::other(format!("quantity = {text}: a quantity in steps of {steps}")))?)
        }
    };
    let horizon = horizon.and_then(|d| u64::try_from(d.as_nanos()).ok()).map(Span);
    if qty.is_none() && horizon.is_none() {
        return Err(Failure::other("nothing to amend: give --quantity, --horizon or both"));
    }
    change(socket, parent, &ParentChange::Amend { qty, horizon }).await
}

/// Rules of the market that `parent` trades, as the daemon knows them.
async fn rules_of(socket: &Path, parent: u32) -> Result<Instrument, Failure> {
    let status: serde_json::Value =
        serde_json::from_slice(&get(socket, "/status").await?).map_err(|e| Failure::other(e.to_string()))?;
    let lines = status["desk"]["parents"].as_array().cloned().unwrap_or_default();
    let specs = lines.into_iter().filter_map(|mut line| serde_json::from_value::<ParentSpec>(line["spec"].take()).ok());
    let spec = specs.into_iter().find(|spec| spec.id.0 == parent);
    let spec = spec.ok_or_else(|| Failure::other(format!("parent = P{parent}: the number of a live parent")))?;
    serde_json::from_value(status["instruments"][spec.instrument.to_string()].clone()).map_err(|e| Failure::other(e.to_string()))
}

async fn frame(socket: &Path) -> Result<Frame, Failure> {
    serde_json::from_slice(&get(socket, "/frame").await?).map_err(|e| Failure::other(e.to_string()))
}

async fn watch(socket: &Path) -> Result<(), Failure> {
    let mut live = Live::new();
    live.draw(&frame(socket).await?);
    loop {
        tokio::time::sleep(WATCH_EVERY).await;
        let Ok(next) = frame(socket).await else { break };
        live.draw(&next);
    }
    live.close();
    eprintln!("the daemon has stopped");
    Ok(())
}

fn check(config: &Checked, json: bool) -> Result<(), Failure> {
    if json {
        let limits: serde_json::Value = serde_json::from_str(config.limits.text()).map_err(|e| Failure::other(e.to_string()))?;
        let treasury = config.treasury.as_ref().filter(|part| part.enabled).map(TreasuryPart::said);
        say!("{}", serde_json::json!({ "ok": true, "hash": config.hash, "limits": limits, "treasury": treasury }));
    } else {
        say!("{}", config.describe().trim_end());
    }
    Ok(())
}

fn raw_parent(args: &SubmitArgs) -> RawParent {
    RawParent {
        instrument: args.instrument.clone(),
        side: args.side.clone(),
        quantity: args.quantity.clone(),
        schedule: args.schedule.clone(),
        slices: args.slices,
        rate: args.rate.clone(),
        lambda: args.lambda.clone(),
        sigma_daily: args.sigma_daily.clone(),
        eta: args.eta.clone(),
        complete: args.complete.then_some(true),
        curve: args.curve.clone(),
        placement: args.placement.clone(),
        display: args.display.clone(),
        horizon: args.horizon.clone(),
        limit_price: args.limit_price.clone(),
        slippage_bps: args.slippage_bps,
        end: args.end.clone(),
        reduce_only: args.reduce_only,
        note: args.note.clone(),
    }
}

fn explain(journal_dir: &Path, order: &str, json: bool) -> Result<(), Failure> {
    let asked = order.parse::<desk::Asked>().map_err(|e| Failure::new(1, &e))?;
    let unusable = |e: &dyn std::error::Error| Failure::new(exit::JOURNAL_UNUSABLE, e);
    let records = journal::export(journal_dir).map_err(|e| unusable(&e))?;
    let entries: Vec<_> = records.map(|r| r.decode()).collect::<Result<_, _>>().map_err(|e| unusable(&e))?;
    let told = desk::explain(&entries, &asked).map_err(|e| Failure::new(1, &e))?;
    if json {
        say!("{}", serde_json::to_string(&told).map_err(|e| Failure::other(e.to_string()))?);
        return Ok(());
    }
    let instrument = |stamped: &Stamped| if let Entry::Instrument(i) = &stamped.entry { Some((i.id, i.clone())) } else { None };
    let markets = entries.iter().filter_map(instrument).collect();
    show::explain::explain(&told, &markets, show::width()).iter().for_each(|line| say!("{line}"));
    Ok(())
}

/// What a running daemon says, or the journal if there is none.
async fn treasury(config: &Checked, json: bool) -> Result<(), Failure> {
    let journal_dir = config.state_dir.join("journal");
    let socket = config.socket.as_path();
    let path = if json { "/treasury".to_owned() } else { format!("/treasury?width={}", show::width()) };
    match call::<()>(socket, Method::GET, &path, None).await {
        Ok(answer) => {
            say!("{}", String::from_utf8_lossy(&answer));
            return Ok(());
        }
        Err(ClientError::NotRunning { .. }) if journal_dir.exists() => {}
        Err(e) => return Err(failed(&e)),
    }
    let unusable = |e: &dyn std::error::Error| Failure::new(exit::JOURNAL_UNUSABLE, e);
    let records = journal::export(&journal_dir).map_err(|e| unusable(&e))?;
    let entries: Vec<Stamped> = records.map(|r| r.decode()).collect::<Result<_, _>>().map_err(|e| unusable(&e))?;
    let page = views::journaled_treasury(config, &entries).map_err(|e| unusable(&e))?;
    if json {
        say!("{}", serde_json::to_string(&page).map_err(|e| Failure::other(e.to_string()))?);
    } else {
        show::treasury::treasury(&page, show::width()).iter().for_each(|line| say!("{line}"));
    }
    Ok(())
}

/// What a running daemon says of its alerts, or their file if there is none.
async fn alerts(config: &Checked, json: bool) -> Result<(), Failure> {
    let path = if json { "/alerts".to_owned() } else { format!("/alerts?width={}", show::width()) };
    match call::<()>(config.socket.as_path(), Method::GET, &path, None).await {
        Ok(answer) => {
            say!("{}", String::from_utf8_lossy(&answer));
            return Ok(());
        }
        Err(ClientError::NotRunning { .. }) => {}
        Err(e) => return Err(failed(&e)),
    }
    let listing = telling::stored(config)?;
    if json {
        say!("{}", serde_json::to_string(&listing).map_err(|e| Failure::other(e.to_string()))?);
    } else {
        let now = Wall::resume(Stamp::default()).stamp();
        show::alerts::alerts(&listing, now, show::width()).iter().for_each(|line| say!("{line}"));
    }
    Ok(())
}

fn audit(journal_dir: &Path, json: bool) -> Result<ExitCode, Failure> {
    let report = journal::audit::audit(journal_dir).map_err(|e| Failure::new(exit::JOURNAL_UNUSABLE, &e))?;
    if json {
        let findings: Vec<_> = report
            .findings
            .iter()
            .map(|f| serde_json::json!({ "seq": f.seq, "invariant": f.invariant, "what": f.what }))
            .collect();
        let ok = report.ok();
        say!(
            "{}",
            serde_json::json!({ "ok": ok, "records": report.records, "intents": report.intents, "fills": report.fills,
            "late_fills": report.late_fills, "open": report.open, "parents": report.parents, "epochs": report.epochs, "findings": findings })
        );
    } else {
        for finding in &report.findings {
            say!("{} record {}: {}", finding.invariant, finding.seq, finding.what);
        }
        say!(
            "{} records, {} tenures, {} parents, {} intents, {} fills ({} late), {} orders open; {} findings",
            report.records,
            report.epochs,
            report.parents,
            report.intents,
            report.fills,
            report.late_fills,
            report.open,
            report.findings.len() as u64 + report.more
        );
    }
    Ok(if report.ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn export(journal_dir: &Path) -> Result<(), Failure> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for record in journal::export(journal_dir).map_err(|e| Failure::new(exit::JOURNAL_UNUSABLE, &e))? {
        // the payload is JSON already, and its very bytes are what the hash covers
        writeln!(
            out,
            "{{\"seq\":{},\"epoch\":{},\"hash\":\"{}\",\"record\":{}}}",
            record.seq, record.epoch.0, record.hash, record.payload
        )
        .map_err(|e| Failure::other(e.to_string()))?;
    }
    out.flush().map_err(|e| Failure::other(e.to_string()))
}

/// Runs files of known-good cases; the last line is `N passed, M failed`.
///
/// # Errors
/// If a file cannot be read.
pub fn conformance(kind: &Conformance) -> Result<ExitCode, Failure> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|e| Failure::other(format!("{}: {e}", path.display())));
    let (passed, failed) = match kind {
        Conformance::HyperliquidSigning { file } => {
            let outcome = wire::hyperliquid::conformance::signing(&read(file)?);
            for case in outcome.cases.iter().filter(|case| !case.passed()) {
                say!("FAILED {}: {}", case.name, case.faults.join("; "));
            }
            (outcome.passed(), outcome.failed())
        }
        Conformance::HyperliquidPayloads { dir } => payloads(dir)?,
        Conformance::HyperliquidCctp { file } => {
            let outcome = chain::conformance::cctp(&read(file)?);
            outcome.failed.iter().for_each(|f| say!("FAILED {f}"));
            (outcome.passed, outcome.failed.len())
        }
        Conformance::Quant { file } => {
            let outcome = published::quant(file)?;
            outcome.failed.iter().for_each(|f| say!("FAILED {}: {}", f.case, f.why));
            outcome.skipped.iter().for_each(|topic| say!("skipped topic {topic}"));
            (outcome.passed, outcome.failed.len())
        }
    };
    say!("{passed} passed, {failed} failed");
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn payloads(dir: &Path) -> Result<(usize, usize), Failure> {
    let fail = |e: std::io::Error| Failure::other(format!("{}: {e}", dir.display()));
    let mut files: Vec<_> = fs::read_dir(dir).map_err(fail)?.filter_map(|f| f.ok().map(|f| f.path())).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "json"));
    files.sort();
    let (mut passed, mut failed) = (0, 0);
    for path in files {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let faults = match fs::read_to_string(&path) {
            Ok(text) => wire::hyperliquid::conformance::payload(&name, &text).faults,
            Err(e) => vec![e.to_string()],
        };
        if faults.is_empty() {
            passed += 1;
        } else {
            failed += 1;
            say!("FAILED {name}: {}", faults.join("; "));
        }
    }
    Ok((passed, failed))
}

/// Works with recordings.
///
/// # Errors
/// If the capture cannot be read or the tape cannot be written.
pub fn tape(action: &TapeAction) -> Result<ExitCode, Failure> {
    let TapeAction::Convert { capture, out } = action;
    let fail = |path: &Path, e: &dyn std::error::Error| Failure::other(format!("{}: {e}", path.display()));
    let input = File::open(capture).map_err(|e| fail(capture, &e))?;
    let reader: Box<dyn Read> = if capture.extension().is_some_and(|e| e == "gz") {
        Box::new(flate2::read::GzDecoder::new(input))
    } else {
        Box::new(input)
    };
    let output = File::create(out).map_err(|e| fail(out, &e))?;
    let report = paper::tape::convert(BufReader::new(reader), BufWriter::new(output), &paper::tape::Conversion::default())
        .map_err(|e| fail(capture, &e))?;
    say!(
        "{} lines: {} updates and {} trades kept as {} level changes over {} s; {} trades dropped, {} lines without use",
        report.lines,
        report.updates,
        report.trades,
        report.changes,
        report.duration_ms / 1_000,
        report.trades_dropped,
        report.skipped
    );
    Ok(ExitCode::SUCCESS)
}
