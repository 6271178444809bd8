//! Figures as a person reads them on a terminal: amounts with separators, columns that line up, words that wrap.
//!
//! Nothing here depends on colour, and no line is wider than asked for as long as that is at least [`WIDTH_MIN`].

pub mod alerts;
pub mod drill;
pub mod explain;
pub mod hull;
pub mod margin;
pub mod size;
pub mod stops;
pub mod treasury;

use std::io::IsTerminal;

use domain::{Ratio, Usd};
use rust_decimal::{Decimal, RoundingStrategy};

/// Narrower than this, figures and their names do not stand side by side; lines are then longer than the terminal.
pub const WIDTH_MIN: usize = 48;
/// Wider than this, the eye loses the line.
pub const WIDTH_MAX: usize = 120;
/// On a pipe or in a file.
const WIDTH_UNKNOWN: usize = 96;

/// How wide lines on standard output may be.
#[must_use]
pub fn width() -> usize {
    let out = std::io::stdout();
    let screen = if out.is_terminal() { rustix::termios::tcgetwinsize(&out).ok() } else { None };
    let columns = screen.map_or(WIDTH_UNKNOWN, |size| usize::from(size.ws_col));
    fit(if columns == 0 { WIDTH_UNKNOWN } else { columns })
}

/// `width` inside its bounds.
#[must_use]
pub fn fit(width: usize) -> usize {
    width.clamp(WIDTH_MIN, WIDTH_MAX)
}

/// An amount rounded to cents, with separators: `1,234,567.80`.
#[must_use]
pub fn money(amount: Usd) -> String {
    grouped(amount.decimal(), 2)
}

/// A decimal with exactly `decimals` places and separators between thousands.
#[must_use]
pub fn grouped(value: Decimal, decimals: u32) -> String {
    let mut value = value.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero);
    value.rescale(decimals);
    let text = value.abs().to_string();
    let (whole, rest) = text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut out = String::from(if value.is_sign_negative() && !value.is_zero() { "-" } else { "" });
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if let Some(rest) = rest {
        out.push('.');
        out.push_str(rest);
    }
    out
}

/// A share as a percentage: `12.5 %`.
#[must_use]
pub fn percent(share: Ratio, decimals: u32) -> String {
    let hundredfold = share.decimal().checked_mul(Decimal::ONE_HUNDRED).unwrap_or(Decimal::MAX);
    format!("{} %", grouped(hundredfold, decimals))
}

/// Rounded down to `decimals` places: cover and distance are never shown better than they are.
#[must_use]
pub fn floor(value: Ratio, decimals: u32) -> Ratio {
    Ratio::new(value.decimal().round_dp_with_strategy(decimals, RoundingStrategy::ToNegativeInfinity)).unwrap_or(value)
}

/// [`floor`] in words.
#[must_use]
pub fn floored(value: Ratio, decimals: u32) -> String {
    grouped(floor(value, decimals).decimal(), decimals)
}

/// How a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Words.
    Left,
    /// Figures.
    Right,
    /// Words in what room is left, on several lines if need be. Only as the last column.
    Rest,
}

/// Rows in columns that line up, each row indented by two. A row's missing cells are empty.
#[must_use]
pub fn table(columns: &[Column], rows: &[Vec<String>], width: usize) -> Vec<String> {
    let widest = |n: usize| rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(widest).collect();
    let mut lines = Vec::new();
    for row in rows {
        let mut line = String::from(" ");
        let mut more = Vec::new();
        for (n, column) in columns.iter().enumerate() {
            let cell = row.get(n).map_or("", String::as_str);
            let pad = " ".repeat(widths[n].saturating_sub(cell.chars().count()));
            line.push(' ');
            match column {
                Column::Left => line.extend([cell, &pad]),
                Column::Right => line.extend([pad.as_str(), cell]),
                Column::Rest => {
                    let at = line.chars().count() + 1;
                    let mut words = wrapped(cell, width.saturating_sub(at).max(WIDTH_MIN / 2)).into_iter();
                    line.push(' ');
                    line.push_str(&words.next().unwrap_or_default());
                    more.extend(words.map(|words| format!("{}{words}", " ".repeat(at))));
                }
            }
            line.push(' ');
        }
        lines.push(line.trim_end().to_owned());
        lines.extend(more);
    }
    lines
}

/// `text` in lines of at most `width` characters, broken between words; a longer word stands alone.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests;
