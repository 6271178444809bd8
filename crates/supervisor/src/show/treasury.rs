//! Money that moves by itself: what there is, what is under way, what may be spent, what comes next and why.

use desk::{DrillView, SourceLine, TransferLine, TreasuryView, WalletLine};
use domain::{Span, Stamp, TransferOutcome, TransferState, Usd};
use margin_guard::{Budgets, Spent};
use serde::Serialize;

use super::explain::moment;
use super::{Column, money, table, wrapped};
use crate::carrier::WalletTask;

/// What `plimsoll treasury` shows.
#[derive(Clone, Debug, Serialize)]
pub struct TreasuryPage {
    /// Whether a running daemon says it. Otherwise it is what the journal holds, without balances.
    pub live: bool,
    /// Whether money moves by itself.
    pub enabled: bool,
    /// Accounts, budgets, transfers and the next step; absent if nothing was ever configured.
    #[serde(flatten)]
    pub treasury: Option<TreasuryView>,
    /// The wallet's task, if there is a wallet and a daemon.
    pub wallet_task: Option<WalletTask>,
    /// Drills.
    pub drills: DrillView,
}

/// `page` in lines of at most `width` columns.
#[must_use]
pub fn treasury(page: &TreasuryPage, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if !page.live {
        lines.extend(wrapped("No daemon runs here: this is what the journal holds, and balances are not in it.", width));
    }
    if !page.enabled {
        lines.extend(wrapped("[treasury] is off: no money moves by itself.", width));
    }
    let Some(view) = &page.treasury else { return lines };
    lines.extend(wrapped(&format!("{} {} · {} UTC", view.venue, view.account, moment(view.at)), width));
    if let Some(why) = &view.broken {
        lines.extend(wrapped(&format!("NO MONEY MOVES: {why}"), width));
    }
    let amount = view.amount.map(|amount| format!(" {}", money(amount))).unwrap_or_default();
    let since = view.since.map(|at| format!(" (since {} UTC)", moment(at))).unwrap_or_default();
    if page.enabled {
        let why = if view.why.is_empty() { "not looked at yet" } else { &view.why };
        lines.extend(wrapped(&format!("{}{amount}: {why}{since}", view.action.name().to_uppercase()), width));
    }
    lines.push(String::new());
    lines.extend(table(&[Column::Left, Column::Right, Column::Rest], &balances(view, page), width));
    if !view.sources.is_empty() {
        lines.extend([String::new(), "sources, in the order in which they are taken from".to_owned()]);
        let head = ["", "there", "stays", ""].map(str::to_owned).to_vec();
        let rows: Vec<_> = std::iter::once(head).chain(view.sources.iter().map(source)).collect();
        lines.extend(table(&[Column::Left, Column::Right, Column::Right, Column::Rest], &rows, width));
    }
    lines.extend([String::new(), "budgets, what is under way included".to_owned()]);
    lines.extend(table(&[Column::Left, Column::Right, Column::Right, Column::Right], &budgets(&view.budgets), width));
    if !view.open.is_empty() {
        lines.extend([String::new(), "under way".to_owned()]);
        let task = page.wallet_task.as_ref();
        let rows: Vec<_> = view.open.iter().map(|line| under_way(line, task, view.at)).collect();
        lines.extend(table(&[Column::Left, Column::Right, Column::Left, Column::Left, Column::Rest], &rows, width));
    }
    if !view.ended.is_empty() {
        lines.extend([String::new(), "over, the latest first".to_owned()]);
        let rows: Vec<_> = view.ended.iter().map(over).collect();
        lines.extend(table(&[Column::Left, Column::Right, Column::Left, Column::Rest], &rows, width));
    }
    if !view.refusals.is_empty() {
        lines.extend([String::new(), "refused".to_owned()]);
        let rows: Vec<_> = view.refusals.iter().map(|one| vec![moment(one.at), format!("{}: {}", one.what, one.why)]).collect();
        lines.extend(table(&[Column::Left, Column::Rest], &rows, width));
    }
    for row in &view.surplus {
        let text = format!("the venue shows a deposit of {} that nothing was waiting for: a second credit?", money(row.amount));
        lines.extend(wrapped(&text, width));
    }
    lines.extend(drills(&page.drills, width));
    lines
}

fn ago(seconds: Option<u64>) -> String {
    seconds.map_or_else(|| "not read".to_owned(), |s| format!("{s} s ago"))
}

fn known(amount: Option<Usd>) -> String {
    amount.map_or_else(|| "unknown".to_owned(), money)
}

fn balances(view: &TreasuryView, page: &TreasuryPage) -> Vec<Vec<String>> {
    let row = |name: &str, value: String, why: String| vec![name.to_owned(), value, why];
    let in_flight = row("in flight", money(view.in_flight), "left, and not credited yet".to_owned());
    if !page.live {
        return vec![in_flight];
    }
    let free = format!("of which {} may be withdrawn", known(view.withdrawable));
    let mut rows = vec![row("at the venue", known(view.equity), free), in_flight];
    if let Some(wallet) = &view.wallet {
        rows.push(row("wallet", known(wallet.balance), wallet_words(wallet, page.wallet_task.as_ref())));
    }
    rows
}

fn wallet_words(wallet: &WalletLine, task: Option<&WalletTask>) -> String {
    let mut said = format!("{} on chain {}", wallet.address, wallet.chain_id);
    if let Some(gas) = wallet.gas {
        said.push_str(&format!(", {gas} ether for gas, {}", ago(wallet.age_s)));
    }
    if let Some(doubt) = &wallet.doubt {
        said.push_str(&format!("; NOTHING IS SENT FROM IT: {doubt}"));
    }
    for (endpoint, why) in task.iter().flat_map(|task| &task.out) {
        said.push_str(&format!("; endpoint {endpoint} is left out: {why}"));
    }
    said
}

fn source(line: &SourceLine) -> Vec<String> {
    let why = line.skipped.as_ref().map_or_else(|| ago(line.age_s), |why| format!("not taken: {why}"));
    vec![line.name.clone(), known(line.balance), money(line.floor), why]
}

fn budgets(budgets: &Budgets) -> Vec<Vec<String>> {
    let row = |name: &str, spent: &Spent| vec![name.to_owned(), money(spent.spent), money(spent.max), money(spent.room())];
    let one = |name: &str, max: Usd| vec![name.to_owned(), String::new(), money(max), String::new()];
    let gas_left = budgets.gas_max.minus(budgets.gas_spent);
    vec![
        ["", "spent", "of", "left"].map(str::to_owned).to_vec(),
        one("one transfer from or to a chain", budgets.transfer_max),
        row("within an hour", &budgets.hour),
        row("within a day", &budgets.day),
        row("within a week", &budgets.week),
        one("one transfer inside the venue", budgets.inside_transfer_max),
        row("within a day", &budgets.inside_day),
        vec![
            "gas within a day, ether".to_owned(),
            budgets.gas_spent.to_string(),
            budgets.gas_max.to_string(),
            gas_left.to_string(),
        ],
    ]
}

fn under_way(line: &TransferLine, task: Option<&WalletTask>, now: Stamp) -> Vec<String> {
    let transfer = &line.transfer;
    let mut why = format!("for {}", brief(now.since(transfer.since)));
    if let Some((_, waits)) = task.and_then(|task| task.open.as_ref()).filter(|(id, waits)| *id == line.id && !waits.is_empty()) {
        why.push_str(&format!("; {waits}"));
    }
    if let Some(late) = &transfer.overdue {
        why.push_str(&format!("; OVERDUE: {late}"));
    }
    if let Some(last) = transfer.attempts.last() {
        why.push_str(&format!("; transaction {}", last.hash));
        if transfer.attempts.len() > 1 {
            why.push_str(&format!(", number {} with its nonce", transfer.attempts.len()));
        }
    }
    vec![line.id.to_string(), money(line.amount), line.route.name().to_owned(), line.state.to_owned(), why]
}

fn over(line: &TransferLine) -> Vec<String> {
    let transfer = &line.transfer;
    let how = match &transfer.state {
        TransferState::Ended(outcome) => outcome_words(outcome, transfer.credited),
        TransferState::Intended
        | TransferState::Signed
        | TransferState::Sent
        | TransferState::Included(_)
        | TransferState::Confirmed(_)
        | TransferState::Landed => line.state.to_owned(),
    };
    vec![line.id.to_string(), money(line.amount), line.route.name().to_owned(), format!("{} UTC, {how}", moment(transfer.since))]
}

/// How a transfer ended, in words.
#[must_use]
pub fn outcome_words(outcome: &TransferOutcome, credited: Option<Usd>) -> String {
    match (outcome, credited) {
        (TransferOutcome::Arrived, Some(amount)) => format!("arrived, {} credited", money(amount)),
        (TransferOutcome::Arrived, None) => "arrived".to_owned(),
        (TransferOutcome::Refused { why }, _) => format!("refused before anything left: {why}"),
        (TransferOutcome::Rejected { why }, _) => format!("refused by the venue: {why}"),
        (TransferOutcome::Reverted, _) => "mined and reverted: only gas was spent".to_owned(),
        (TransferOutcome::Burnt, _) => "given up, its nonce burnt: only gas was spent".to_owned(),
        (TransferOutcome::Foreign, _) => "its nonce was used by a transaction that is not ours".to_owned(),
        (TransferOutcome::WrittenOff { reason }, _) => format!("written off: {reason}"),
    }
}

fn drills(view: &DrillView, width: usize) -> Vec<String> {
    let mut rows = Vec::new();
    for (id, receipt) in view.recent.iter().rev() {
        let took = brief(receipt.ended.since(receipt.began));
        let how = if receipt.passed() { format!("out and back in {took}") } else { format!("FAILED after {took}") };
        rows.push(vec![id.to_string(), receipt.path.to_string(), format!("{} UTC, {how}", moment(receipt.ended))]);
    }
    for line in view.paths.iter().filter(|line| line.overdue_s.is_some() || line.waits.is_some()) {
        let late = line.overdue_s.map_or("due", |_| "OVERDUE");
        let why = line.waits.as_deref().unwrap_or("plimsoll drill --list says more");
        rows.push(vec![late.to_owned(), line.path.to_string(), why.to_owned()]);
    }
    if rows.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), "drills, the latest first".to_owned()];
    lines.extend(table(&[Column::Left, Column::Left, Column::Rest], &rows, width));
    lines
}

/// A span in whole seconds, minutes or hours.
fn brief(span: Span) -> String {
    let seconds = span.as_millis() / 1_000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

#[cfg(test)]
mod tests;
