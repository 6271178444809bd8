//! Progress that a person likes to watch: a live view on a terminal, plain lines when piped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal;

use alerts::Light;
use domain::{InstrumentId, ParentId, ParentOutcome, ParentSpec, Qty, Side, StopLevel, StopScope};
use execution::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::show::{self, money};
use crate::views::{ConfigLine, View};

/// On a pipe, a parent without news is reported this often, in draws.
const PLAIN_EVERY: u32 = 20;

/// What a view shows, already in words: the daemon makes it, a terminal anywhere draws it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Frame {
    /// The daemon: stop level, account, streams.
    pub head: String,
    /// Changes when the daemon's state does, and not with every figure.
    pub head_state: String,
    /// One line per parent, ended ones first.
    pub parents: Vec<Line>,
    /// Positions, frozen markets, the latest alerts.
    pub notes: Vec<String>,
}

/// One parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Which.
    pub id: ParentId,
    /// What it is.
    pub title: String,
    /// Filled, of a thousand.
    pub per_mille: u64,
    /// Where it stands.
    pub details: String,
    /// Changes when its state or reason does.
    pub state: String,
    /// Whether it has ended.
    pub ended: bool,
}

impl Frame {
    /// The frame of `view`.
    #[must_use]
    pub fn new(view: &View) -> Frame {
        let line = |spec: &ParentSpec, progress: &Progress, outcome: Option<&ParentOutcome>| Line {
            id: spec.id,
            title: title(spec, progress),
            per_mille: per_mille(progress.filled, progress.quantity),
            details: details(progress, outcome),
            state: format!("{:?} {}", progress.state, progress.reason),
            ended: outcome.is_some(),
        };
        let ended = view.desk.ended.iter().map(|e| line(&e.spec, &e.progress, Some(&e.outcome)));
        let live = view.desk.parents.iter().map(|p| line(&p.spec, &p.progress, None));
        let mut notes: Vec<String> = view.desk.stops.iter().flat_map(show::stops::words).collect();
        for (instrument, lots) in view.desk.positions.iter().filter(|(_, lots)| lots.0 != 0) {
            if let Some(rules) = view.instruments.get(instrument) {
                notes.push(format!("position {instrument} {}", rules.lots_decimal(*lots).normalize()));
            }
        }
        notes.extend(sizes(view));
        notes.push(view.dead_man.said());
        notes.push(if view.watched { "watchdog: watching".to_owned() } else { "watchdog: NONE watches this daemon".to_owned() });
        notes.extend(view.alerting.why.iter().map(|why| format!("alerting {}: {why}", view.alerting.light.word())));
        notes.extend(configuration(&view.config));
        notes.extend(view.desk.alerts.iter().rev().take(5).rev().map(|a| format!("alert {a}")));
        Frame {
            head: headline(view),
            head_state: format!(
                "{:?} {} {:?} {:?} {:?} {:?}",
                view.desk.stops, view.desk.ready, view.desk.frozen, view.levels, view.transfers, view.alerting.light
            ),
            parents: ended.chain(live).collect(),
            notes,
        }
    }
}

/// Draws [`Frame`]s one after the other.
pub enum Live {
    /// A terminal: one line for the daemon, one per parent, redrawn in place.
    Screen {
        /// All lines.
        lines: MultiProgress,
        /// The daemon's line.
        head: ProgressBar,
        /// Parents' lines.
        parents: BTreeMap<ParentId, ProgressBar>,
    },
    /// A pipe or file: a line when something changes.
    Plain {
        /// What was last said of each parent, and draws since.
        said: BTreeMap<ParentId, (String, u32)>,
        /// What was last said of the daemon.
        head: String,
    },
}

impl Live {
    /// A view that suits standard error.
    #[must_use]
    pub fn new() -> Live {
        if std::io::stderr().is_terminal() {
            let lines = MultiProgress::new();
            let head = lines.add(ProgressBar::no_length());
            head.set_style(style("{msg}"));
            Live::Screen { lines, head, parents: BTreeMap::new() }
        } else {
            Live::Plain { said: BTreeMap::new(), head: String::new() }
        }
    }

    /// Shows `frame`.
    pub fn draw(&mut self, frame: &Frame) {
        match self {
            Live::Screen { lines, head, parents } => {
                head.set_message(frame.head.clone());
                for line in &frame.parents {
                    let bar = parents.entry(line.id).or_insert_with(|| {
                        let bar = lines.add(ProgressBar::new(1_000));
                        bar.set_style(style("{prefix} [{bar:24}] {msg}").progress_chars("=> "));
                        bar.set_prefix(line.title.clone());
                        bar
                    });
                    if bar.is_finished() {
                        continue;
                    }
                    bar.set_position(line.per_mille);
                    bar.set_message(line.details.clone());
                    if line.ended {
                        bar.abandon();
                    }
                }
            }
            Live::Plain { said, head } => {
                if *head != frame.head_state {
                    eprintln!("{}", frame.head);
                    head.clone_from(&frame.head_state);
                }
                for line in &frame.parents {
                    let key = format!("{} {}", line.state, line.ended);
                    let (last, draws) = said.entry(line.id).or_default();
                    *draws += 1;
                    let told_its_end = line.ended && *last == key;
                    if !told_its_end && (*last != key || *draws >= PLAIN_EVERY) {
                        eprintln!("{}  {}", line.title, line.details);
                        (*last, *draws) = (key, 0);
                    }
                }
            }
        }
    }

    /// Leaves the last state on the screen.
    pub fn close(&self) {
        if let Live::Screen { head, parents, .. } = self {
            parents.values().for_each(ProgressBar::abandon);
            head.abandon();
        }
    }
}

#[expect(clippy::expect_used, reason = "a programmer's error: the templates are constants")]
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("invariant: the template is valid")
}

fn per_mille(part: Qty, whole: Qty) -> u64 {
    u64::try_from(i128::from(part.0) * 1_000 / i128::from(whole.0.max(1))).unwrap_or(0)
}

fn percent(part: Qty, whole: Qty) -> String {
    let mille = per_mille(part, whole);
    format!("{}.{}%", mille / 10, mille % 10)
}

/// One line for the daemon: stop level, readiness, account and streams.
#[must_use]
pub fn headline(view: &View) -> String {
    let mut text = format!("plimsoll epoch {}", view.desk.epoch.0);
    match (view.desk.stop, view.desk.ready) {
        (StopLevel::Run, true) => text.push_str(" · trading"),
        (StopLevel::Run, false) => text.push_str(" · reading the venue"),
        (level, _) => {
            write_to(&mut text, format_args!(" · STOPPED ({}: {})", level, view.desk.stop_cause));
        }
    }
    for line in view.desk.stops.iter().filter(|line| line.stop.scope != StopScope::All) {
        write_to(&mut text, format_args!(" · STOPPED {} ({}: {})", line.stop.scope, line.stop.level, line.stop.cause));
    }
    for venue in &view.desk.venues {
        write_to(&mut text, format_args!(" · {}", venue.venue));
        if let Some(equity) = venue.equity {
            write_to(&mut text, format_args!(" equity {}", equity.round(2)));
        }
        if let Some(cover) = venue.equity.zip(venue.maintenance).and_then(|(e, m)| e.over(m)) {
            write_to(&mut text, format_args!(" cover {}", cover.decimal().round_dp(1)));
        }
        if let Some((_, level, doubt)) = view.levels.iter().find(|(of, ..)| *of == venue.venue) {
            let doubt = if doubt.is_some() { "?" } else { "" };
            write_to(&mut text, format_args!(" level {level}{doubt}"));
        }
        write_to(&mut text, format_args!(" market {:?} account {:?}", venue.market_stream, venue.account_stream));
    }
    for (instrument, why) in &view.desk.frozen {
        write_to(&mut text, format_args!(" · {instrument} FROZEN ({why})"));
    }
    for moving in &view.transfers {
        let late = if moving.overdue.is_some() { " OVERDUE" } else { "" };
        write_to(&mut text, format_args!(" · {} {} {} {}{late}", moving.id, money(moving.amount), moving.route, moving.state));
    }
    match view.alerting.light {
        Light::Off | Light::Green => {}
        light @ (Light::Yellow | Light::Red) => write_to(&mut text, format_args!(" · alerting {}", light.word())),
    }
    write_to(&mut text, format_args!(" · journal {}", view.journal_records));
    text
}

/// What of the configuration file is not in force.
fn configuration(config: &ConfigLine) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(last) = config.last.as_ref().filter(|last| last.outcome == "refused") {
        notes.push(format!("configuration file refused: {}", last.why.join("; ")));
    }
    notes.extend(config.held.iter().map(|change| format!("held until plimsoll apply: {change}")));
    notes.extend(config.fixed.iter().map(|change| format!("waits for a restart: {change}")));
    notes
}

/// How large a position may be in each market, and what binds; one line per market.
fn sizes(view: &View) -> Vec<String> {
    let mut lines: BTreeMap<InstrumentId, String> = BTreeMap::new();
    for size in &view.sizes {
        let line = lines.entry(size.instrument).or_insert_with(|| format!("size {}", size.instrument));
        let side = match size.side {
            Side::Buy => "long",
            Side::Sell => "short",
        };
        write_to(line, format_args!(" · {side} at most {} ({})", money(size.notional), size.binding));
        if size.side == Side::Sell {
            size.no_increase.iter().for_each(|why| write_to(line, format_args!(" · NO INCREASE: {why}")));
        }
    }
    lines.into_values().collect()
}

/// What a parent is: number, side, quantity, market.
#[must_use]
pub fn title(spec: &ParentSpec, progress: &Progress) -> String {
    let side = match spec.side {
        Side::Buy => "buy ",
        Side::Sell => "sell",
    };
    let quantity = Decimal::from(progress.quantity.0) * progress.lot;
    format!("{:>4} {side} {:>9} {:<5}", spec.id.to_string(), quantity.normalize(), spec.instrument.name())
}

/// Where a parent stands: done against schedule, price against arrival, maker share, state and reason.
#[must_use]
pub fn details(progress: &Progress, outcome: Option<&ParentOutcome>) -> String {
    let mut text = format!(
        "{:>6} of {:>6} due",
        percent(progress.filled, progress.quantity),
        percent(progress.target_now, progress.quantity)
    );
    if let (Some(average), Some(slippage)) = (progress.average_price, progress.slippage_bps) {
        write_to(&mut text, format_args!(" · {} vs {}", average.round_dp(2), progress.arrival_price.round_dp(2)));
        write_to(&mut text, format_args!(" ({}{} bp)", if slippage.is_sign_negative() { "" } else { "+" }, slippage.round_dp(2)));
    }
    if let Some(maker) = progress.maker_share {
        write_to(&mut text, format_args!(" · maker {}%", (maker.decimal() * Decimal::ONE_HUNDRED).round_dp(0)));
    }
    match outcome {
        Some(ParentOutcome::Filled) => text.push_str(" · done"),
        Some(ParentOutcome::Expired { residual, why }) => {
            write_to(
                &mut text,
                format_args!(" · ended with {} left: {why}", (Decimal::from(residual.0) * progress.lot).normalize()),
            );
        }
        Some(ParentOutcome::Canceled { residual }) => {
            write_to(
                &mut text,
                format_args!(" · cancelled with {} left", (Decimal::from(residual.0) * progress.lot).normalize()),
            );
        }
        None => {
            write_to(&mut text, format_args!(" · {}", format!("{:?}", progress.state).to_lowercase()));
            if !progress.unknown.is_zero() {
                write_to(
                    &mut text,
                    format_args!(" · {} unknown", (Decimal::from(progress.unknown.0) * progress.lot).normalize()),
                );
            }
            if !progress.reason.is_empty() {
                write_to(&mut text, format_args!(": {}", progress.reason));
            }
        }
    }
    text
}

/// Writing to a string cannot fail.
fn write_to(text: &mut String, args: std::fmt::Arguments<'_>) {
    if text.write_fmt(args).is_err() {
        text.push('?');
    }
}
