//! Drills in words.

use std::time::{Duration, UNIX_EPOCH};

use desk::{DrillLine, DrillView, OpenDrill};
use domain::{DrillId, DrillOutcome, DrillReceipt, HopReceipt, Stamp};

fn span(seconds: u64) -> String {
    // beyond a day nobody asks for the seconds
    let rounded = if seconds >= 86_400 { seconds / 3_600 * 3_600 } else { seconds };
    humantime::format_duration(Duration::from_secs(rounded)).to_string()
}

fn when(at: Stamp) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(at.wall_ms)).to_string()
}

/// One hop that is over.
#[must_use]
pub fn hop(hop: &HopReceipt) -> String {
    let (route, transfer) = (&hop.route, hop.transfer.to_string());
    let (name, amount, fee) = (hop.hop.name(), hop.amount.to_string(), hop.fee.to_string());
    format!("  {name:<5}{route:<16}{transfer:<5}{amount:>8} USDC  fee {fee:<6}{}", hop.took())
}

/// The last line about a drill that is over.
#[must_use]
pub fn ended(id: DrillId, receipt: &DrillReceipt) -> String {
    let took = receipt.ended.since(receipt.began);
    match (&receipt.outcome, receipt.delay()) {
        (DrillOutcome::Passed, Some(delay)) => {
            format!("{id} of {} passed in {took}, fees {}; its slower hop took {delay}", receipt.path, receipt.fees())
        }
        (DrillOutcome::Passed, None) => format!("{id} of {} passed in {took}", receipt.path),
        (DrillOutcome::Failed { why }, _) => format!("{id} of {} FAILED after {took}: {why}", receipt.path),
    }
}

/// A drill under way.
#[must_use]
pub fn open(drill: &OpenDrill, now: Stamp) -> String {
    let waits = drill.hop.as_ref().map_or_else(String::new, |hop| {
        format!(": {} ({} {} of {}) since {}", hop.hop.name(), hop.route, hop.transfer, hop.amount, hop.elapsed(now))
    });
    format!("{} of {} is under way{waits}", drill.id, drill.path)
}

fn path(line: &DrillLine) -> Vec<String> {
    let last = match &line.last {
        None => "never tried".to_owned(),
        Some(last) => match (&last.outcome, last.delay()) {
            (DrillOutcome::Passed, Some(delay)) => format!("passed {}, slower hop {delay}", when(last.ended)),
            (DrillOutcome::Passed, None) => format!("passed {}", when(last.ended)),
            (DrillOutcome::Failed { why }, _) => format!("FAILED {}: {why}", when(last.ended)),
        },
    };
    let due = match (line.overdue_s, line.due_in_s) {
        (Some(late), _) => format!("OVERDUE for {}", span(late)),
        (None, Some(0)) => "due".to_owned(),
        (None, Some(left)) => format!("due in {}", span(left)),
        (None, None) => "not due before the treasury runs".to_owned(),
    };
    let name = line.path.to_string();
    let head = format!("{name:<6} {} USDC out and back; {last}; {due}", line.amount);
    let waits = line.waits.as_ref().map(|why| format!("       waits: {why}"));
    std::iter::once(head).chain(waits).collect()
}

/// All about drills.
#[must_use]
pub fn drills(view: &DrillView) -> Vec<String> {
    let mut lines = Vec::new();
    if !view.configured {
        lines.push("no drills are configured: see [treasury.drill]".to_owned());
    } else if view.paths.is_empty() {
        lines.push("no way out is in use: see plimsoll check".to_owned());
    }
    lines.extend(view.paths.iter().flat_map(path));
    if let Some((drill, now)) = &view.open {
        lines.push(open(drill, *now));
        lines.extend(drill.done.iter().map(hop));
        lines.extend(view.back.iter().map(|why| format!("       the way back waits: {why}")));
    }
    lines.extend(view.recent.iter().rev().map(|(id, receipt)| ended(*id, receipt)));
    if view.exit.delay_min > 0 {
        lines
            .push(format!("the buffer counts an exit of {} minutes, or what is configured if that is more", view.exit.delay_min));
    }
    lines
}

#[cfg(test)]
mod tests;
