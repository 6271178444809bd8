//! An account as a ship seen from ahead: how deep it lies in the water, and the marks on its side.
//!
//! Its draught is the load, maintenance margin ÷ equity: empty at 0, under water at 1, where the venue liquidates. The marks
//! are the covers (equity ÷ maintenance) at which something happens, drawn at 1 ÷ cover.

use domain::Ratio;
use rust_decimal::Decimal;

/// Rows from the keel to the deck: the default marks, covers of 4, 3, 2 and 1.4, fall on rows of their own.
const ROWS: u32 = 12;
/// Columns of the hull inside its sides, where the line is wide enough.
const BEAM_MAX: usize = 34;
/// What words and figures beside the hull take.
const LABEL: usize = 40;

/// A line on the ship's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What happens there, such as `reduce`.
    pub name: String,
    /// Equity ÷ maintenance at which it does.
    pub cover: Ratio,
}

/// How deep a ship lies, and where its marks are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draught {
    /// Equity ÷ maintenance; absent if there is no position, so that the ship is empty.
    pub now: Option<Ratio>,
    /// The same in the worst scenario with every working order filled against us, and that scenario's name.
    pub worst: Option<(String, Ratio)>,
    /// Where its marks are.
    pub marks: Vec<Mark>,
}

/// Which row from the keel a cover reaches: 0 is empty, [`ROWS`] the deck. Rounded up, so that water never seems lower than it is.
fn row(cover: Ratio) -> u32 {
    let cover = cover.decimal();
    if cover <= Decimal::ONE {
        return ROWS;
    }
    let rows = Decimal::from(ROWS).checked_div(cover).unwrap_or_default().ceil();
    u32::try_from(rows).unwrap_or(ROWS).min(ROWS)
}

/// Load in percent of a cover.
fn load(cover: Ratio) -> String {
    if cover.decimal() <= Decimal::ZERO {
        return "100+ %".to_owned();
    }
    let percent = Decimal::ONE_HUNDRED.checked_div(cover.decimal()).unwrap_or_default();
    format!("{} %", super::grouped(percent, 1))
}

/// The drawing, at most `width` columns wide.
#[must_use]
pub fn draw(ship: &Draught, width: usize) -> Vec<String> {
    let beam = width.saturating_sub(LABEL + 10).clamp(10, BEAM_MAX);
    let water = ship.now.map_or(0, row);
    let worst = ship.worst.as_ref().map(|(name, cover)| (name.as_str(), *cover, row(*cover)));
    let mut lines = Vec::new();
    for level in (1..=ROWS).rev() {
        let mut words: Vec<String> = Vec::new();
        if level == ROWS {
            words.push(label("liquidation", Ratio::ONE));
        }
        words.extend(ship.marks.iter().filter(|mark| row(mark.cover) == level).map(|mark| label(&mark.name, mark.cover)));
        let marked = !words.is_empty();
        if let Some((name, cover, at)) = worst
            && at == level
        {
            words.push(label(&format!("worst: {name}"), cover));
        }
        if water == level
            && let Some(cover) = ship.now
        {
            words.push(label("now", cover));
        }
        let outside = match worst {
            _ if level <= water => "~~~~",
            Some((_, _, at)) if level <= at => "- - ",
            _ => "    ",
        };
        let inside = match (marked, level == water) {
            (_, true) => "~".repeat(beam),
            (true, false) => centred("-(-)-", beam),
            (false, false) => " ".repeat(beam),
        };
        let right = if outside == "- - " { " - -" } else { outside };
        lines.push(format!("  {outside}|{inside}|{right}  {}", words.join(" · ")).trim_end().to_owned());
    }
    let foam = if water > 0 { "~~~~" } else { "    " };
    let keel = "_".repeat(beam.saturating_sub(2));
    let empty = if ship.now.is_none() { "  empty: no position" } else { "" };
    lines.push(format!("  {foam} \\{keel}/ {foam}{empty}").trim_end().to_owned());
    lines
}

fn label(name: &str, cover: Ratio) -> String {
    format!("{:>7} {name}, cover {}", load(cover), super::grouped(cover.decimal(), 2))
}

fn centred(text: &str, width: usize) -> String {
    format!("{text:^width$}")
}
