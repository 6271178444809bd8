//! The load line of every account.

use std::collections::BTreeMap;

use desk::StopLine;
use domain::{Instrument, InstrumentId, Ratio, Stamp, StopLevel, Usd};
use margin_guard::{AccountLine, PositionLine, ScenarioLine};
use serde::Serialize;

use super::hull::{Draught, Mark, draw};
use super::{Column, floor, floored, grouped, money, percent, table, wrapped};

/// More hours than this say "does not matter": thirteen months.
const HOURS_SHOWN_MAX: i64 = 10_000;

/// The covers at which something happens, as configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Levels {
    /// An alert.
    pub watch: Ratio,
    /// Margin should be added.
    pub top_up: Ratio,
    /// Positions are reduced.
    pub reduce: Ratio,
    /// Trading stops but for reductions.
    pub kill: Ratio,
    /// No order may load the account beyond it.
    pub load_line: Ratio,
}

/// A liquidation price further away than this many times the mark says the same.
const DISTANCE_SHOWN_MAX: i64 = 9;

/// What `plimsoll margin` shows.
#[derive(Clone, Debug, Serialize)]
pub struct MarginView {
    /// When.
    pub at: Stamp,
    /// Stop level.
    pub stop: StopLevel,
    /// Why it is not `run`.
    pub stop_cause: String,
    /// All that is stopped.
    pub stops: Vec<StopLine>,
    /// Where the marks are.
    pub levels: Levels,
    /// Every account.
    pub accounts: Vec<AccountLine>,
    /// Rules of their markets.
    #[serde(skip)]
    pub instruments: BTreeMap<InstrumentId, Instrument>,
}

/// `view` in lines of at most `width` columns.
#[must_use]
pub fn margin(view: &MarginView, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in &view.stops {
        lines.extend(super::stops::words(line).iter().flat_map(|words| wrapped(words, width)));
    }
    if view.accounts.is_empty() {
        lines.push("no account has been reported, and nothing is held".to_owned());
    }
    for account in &view.accounts {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        of_account(&mut lines, view, account, width);
    }
    lines
}

fn of_account(lines: &mut Vec<String>, view: &MarginView, account: &AccountLine, width: usize) {
    let level = account.level.to_string().to_uppercase();
    lines.push(format!("{} · level {level} · {} UTC", account.venue, super::explain::moment(view.at)));
    if let Some(doubt) = &account.doubt {
        lines.extend(wrapped(&format!("IN DOUBT, no increases meanwhile: {doubt}"), width));
    }
    lines.push(String::new());
    lines.extend(draw(&draught(account, &view.levels), width));
    lines.push(String::new());
    lines.extend(table(&[Column::Left, Column::Right, Column::Rest], &figures(account, &view.levels), width));
    if !account.scenarios.is_empty() {
        lines.extend([String::new(), "if it came to".to_owned()]);
        let head = ["", "", "equity", "maintenance", "cover", "to spare"].map(str::to_owned).to_vec();
        let row = |(n, s): (usize, &ScenarioLine)| scenario(s, account.worst == Some(n), account.venue);
        let rows: Vec<_> = std::iter::once(head).chain(account.scenarios.iter().enumerate().map(row)).collect();
        let columns = [Column::Left, Column::Left, Column::Right, Column::Right, Column::Right, Column::Right];
        lines.extend(table(&columns, &rows, width));
    }
    if !account.positions.is_empty() {
        lines.push(String::new());
        lines.extend(positions(account, view, width));
    }
}

fn draught(account: &AccountLine, levels: &Levels) -> Draught {
    let mark = |name: &str, cover: Ratio| Mark { name: name.to_owned(), cover, load_line: false };
    let mut marks = vec![
        mark("watch", levels.watch),
        mark("top up", levels.top_up),
        mark("reduce", levels.reduce),
        mark("kill", levels.kill),
    ];
    marks.push(Mark { name: "load line".to_owned(), cover: levels.load_line, load_line: true });
    let worst = account.worst.and_then(|n| account.scenarios.get(n));
    let why = if account.positions.is_empty() { "empty: no position" } else { "how deep it lies is not known" };
    Draught { now: account.cover, why, worst: worst.and_then(|s| s.cover), marks }
}

fn figures(account: &AccountLine, levels: &Levels) -> Vec<Vec<String>> {
    let row = |name: &str, value: String, why: String| vec![name.to_owned(), value, why];
    let amount = |amount: Option<Usd>| amount.map_or_else(|| "unknown".to_owned(), money);
    let cover = account
        .cover
        .map_or_else(|| "nothing needs margin".to_owned(), |c| format!("cover {}: equity / maintenance", floored(c, 2)));
    let mut buffer = "must stay free while a refill is on its way".to_owned();
    for why in &account.buffer_why {
        buffer.push_str("; ");
        buffer.push_str(why);
    }
    vec![
        row("equity", amount(account.equity), "as the venue reports it".to_owned()),
        row("maintenance", money(account.maintenance), cover),
        row("free", amount(account.free), format!("may be lost before cover falls to {}, the kill level", levels.kill)),
        row("buffer", money(account.buffer), buffer),
        row("runway", hours(account.runway_hours), "until the market alone may have used up what is free".to_owned()),
        row("funding", money(account.funding_hourly), "paid an hour at the rates now".to_owned()),
        row("", hours(account.funding_hours), "until funding alone has used up what is free".to_owned()),
    ]
}

fn scenario(line: &ScenarioLine, worst: bool, venue: domain::Venue) -> Vec<String> {
    // the account's venue stands above it
    let venue = format!("{venue}:");
    let cover = line.cover.map_or_else(|| "-".to_owned(), |cover| floored(cover, 2));
    let mark = if worst { ">" } else { "" };
    vec![mark.to_owned(), line.name.replace(&venue, ""), money(line.equity), money(line.maintenance), cover, money(line.margin)]
}

/// One line per position where it fits, otherwise one block each.
fn positions(account: &AccountLine, view: &MarginView, width: usize) -> Vec<String> {
    const HEAD: [&str; 9] = ["position", "size", "value", "mark", "liquidation", "distance", "margin", "funding/h", "lasts"];
    let rows: Vec<Vec<String>> = account.positions.iter().map(|p| position(p, view)).collect();
    let head = HEAD.map(str::to_owned).to_vec();
    let mut columns = vec![Column::Right; HEAD.len()];
    columns[0] = Column::Left;
    let all: Vec<_> = std::iter::once(head.clone()).chain(rows.iter().cloned()).collect();
    let whole = table(&columns, &all, width);
    if whole.iter().all(|line| line.chars().count() <= width) {
        return whole;
    }
    let block = |row: &Vec<String>| {
        head.iter().cloned().zip(row.iter().cloned()).map(|(name, value)| vec![name, value]).collect::<Vec<_>>()
    };
    rows.iter().flat_map(|row| table(&[Column::Left, Column::Right], &block(row), width)).collect()
}

fn position(line: &PositionLine, view: &MarginView) -> Vec<String> {
    let rules = view.instruments.get(&line.instrument);
    let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    let size = rules.map_or_else(|| format!("{} lots", line.lots.0), |r| r.lots_decimal(line.lots).normalize().to_string());
    let mark = rules
        .zip(line.mark)
        .map(|(rules, px)| grouped(rules.px_decimal(px).normalize(), rules.px_decimal(px).normalize().scale()));
    let known = line.mark.is_some();
    let liquidation = if known { line.liquidation.map_or_else(|| "none".to_owned(), money) } else { "unknown".to_owned() };
    let distance = if known { line.distance.map_or_else(|| "-".to_owned(), distance) } else { "unknown".to_owned() };
    vec![
        line.instrument.name().to_owned(),
        size,
        or_unknown(line.value.map(money)),
        or_unknown(mark),
        liquidation,
        distance,
        or_unknown(line.maintenance.map(money)),
        or_unknown(line.funding_hourly.map(money)),
        if line.funding_hourly.is_some() { hours(line.funding_hours) } else { "unknown".to_owned() },
    ]
}

fn distance(share: Ratio) -> String {
    if share > Ratio::scaled(DISTANCE_SHOWN_MAX, 0) { format!("> {DISTANCE_SHOWN_MAX}00 %") } else { percent(floor(share, 3), 1) }
}

fn hours(hours: Option<Ratio>) -> String {
    match hours {
        None => "-".to_owned(),
        Some(hours) if hours.decimal() > HOURS_SHOWN_MAX.into() => format!("> {} h", grouped(HOURS_SHOWN_MAX.into(), 0)),
        Some(hours) => format!("{} h", floored(hours, 1)),
    }
}
