//! An account as a ship seen from ahead: how deep it lies in the water, and the marks on its side.
//!
//! Its draught is the load, maintenance margin ÷ equity: empty at 0, under water at 1, where the venue liquidates. The marks
//! are the covers (equity ÷ maintenance) at which something happens, drawn at 1 ÷ cover.

use domain::Ratio;
use rust_decimal::Decimal;

/// Rows from the keel to the deck: the default marks, covers of 4, 3, 2 and 1.4, fall on rows of their own.
const ROWS: u32 = 12;
/// Columns between the sides: a narrower ship is a list of its marks instead, a wider one only takes room.
const BEAM: std::ops::RangeInclusive<usize> = 10..=30;
/// What stands around the beam: the margin, water on both sides, both sides of the hull, and room before the words.
const AROUND: usize = 14;

/// A line on the ship's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What happens there, such as `reduce`.
    pub name: String,
    /// Equity ÷ maintenance at which it does.
    pub cover: Ratio,
    /// Whether it is the load line, beyond which no order may load the account.
    pub load_line: bool,
}

/// How deep a ship lies, and where its marks are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draught {
    /// Equity ÷ maintenance; absent if there is no position, so that the ship is empty, or if equity is not known.
    pub now: Option<Ratio>,
    /// Why it is absent.
    pub why: &'static str,
    /// The same in the worst scenario.
    pub worst: Option<Ratio>,
    /// Its marks.
    pub marks: Vec<Mark>,
}

/// What is written beside a row.
struct Label {
    row: u32,
    cover: Ratio,
    name: String,
}

impl Label {
    fn of(name: String, cover: Ratio) -> Label {
        Label { row: row(cover), cover, name }
    }

    fn load(&self) -> String {
        match Decimal::ONE_HUNDRED.checked_div(self.cover.decimal()) {
            Some(load) if self.cover > Ratio::ZERO => {
                // a light ship's draught would read as none
                format!("{:>5} %", super::grouped(load, if load < Decimal::ONE { 3 } else { 1 }))
            }
            Some(_) | None => "   gone".to_owned(),
        }
    }

    fn alone(&self) -> String {
        format!("{} {}, cover {}", self.load(), self.name, super::floored(self.cover, 2))
    }

    /// Several of one row, in short.
    fn together(all: &[&Label]) -> String {
        match all {
            [] => String::new(),
            [one] => one.alone(),
            [first, ..] => {
                let each = all.iter().map(|l| format!("{} ({})", l.name, super::floored(l.cover, 2)));
                format!("{} {}", first.load(), each.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// Which row from the keel a cover reaches: 0 is empty, [`ROWS`] the deck. Rounded up: water never seems lower than it is.
fn row(cover: Ratio) -> u32 {
    if cover <= Ratio::ONE {
        return ROWS;
    }
    let rows = Decimal::from(ROWS).checked_div(cover.decimal()).unwrap_or_default().ceil();
    u32::try_from(rows).unwrap_or(ROWS).min(ROWS)
}

fn labels(ship: &Draught) -> Vec<Label> {
    let mut all: Vec<Label> = ship.marks.iter().map(|mark| Label::of(mark.name.clone(), mark.cover)).collect();
    all.push(Label::of("liquidation".to_owned(), Ratio::ONE));
    all.extend(ship.worst.iter().map(|cover| Label::of("in the worst case".to_owned(), *cover)));
    all.extend(ship.now.iter().map(|cover| Label::of("now".to_owned(), *cover)));
    all.sort_by_key(|label| label.cover);
    all
}

/// The drawing, at most `width` columns wide; of a narrow terminal, its words alone.
#[must_use]
pub fn draw(ship: &Draught, width: usize) -> Vec<String> {
    let labels = labels(ship);
    // what is so light that it rounds to the keel stands at the lowest row
    let words = |at: u32| Label::together(&labels.iter().filter(|l| l.row.max(1) == at).collect::<Vec<_>>());
    let widest = (1..=ROWS).map(|at| words(at).chars().count()).max().unwrap_or(0);
    let beam = width.saturating_sub(AROUND + widest).min(*BEAM.end());
    if beam < *BEAM.start() {
        return labels.iter().map(|label| format!("  {}", label.alone())).collect();
    }
    let water = ship.now.map_or(0, row);
    let worst = ship.worst.map_or(0, row);
    let mut lines = Vec::new();
    for level in (1..=ROWS).rev() {
        let (left, right) = match level {
            _ if level <= water => ("~~~~", "~~~~"),
            _ if level <= worst => ("- - ", " - -"),
            _ => ("    ", "    "),
        };
        let mut marks = ship.marks.iter().filter(|mark| row(mark.cover) == level);
        let inside = if level == water {
            "~".repeat(beam)
        } else if marks.clone().any(|mark| mark.load_line) {
            format!("{:^beam$}", "--⊖--")
        } else if marks.next().is_some() || level == ROWS {
            format!("{:^beam$}", "---")
        } else {
            " ".repeat(beam)
        };
        lines.push(format!("  {left}|{inside}|{right}  {}", words(level)).trim_end().to_owned());
    }
    let foam = if water > 0 { "~~~~" } else { "    " };
    let why = if ship.now.is_none() { ship.why } else { "" };
    lines.push(format!("  {foam} \\{}/ {foam}  {why}", "_".repeat(beam - 2)).trim_end().to_owned());
    lines
}
