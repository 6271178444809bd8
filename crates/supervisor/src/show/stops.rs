//! What is stopped.

use desk::StopLine;
use domain::Stamp;

use super::explain::moment;

/// `line` in two lines: what, why and since when; then what to do.
#[must_use]
pub fn words(line: &StopLine) -> [String; 2] {
    let StopLine { stop, since_ms, next } = line;
    let since =
        if *since_ms == 0 { String::new() } else { format!(", since {} UTC", moment(Stamp { mono: 0, wall_ms: *since_ms })) };
    let numbers: Vec<String> = stop.inputs.iter().map(|(name, value)| format!("{name} {value}")).collect();
    let numbers = if numbers.is_empty() { String::new() } else { format!(" ({})", numbers.join(", ")) };
    [
        format!("STOPPED {}: {} by {}{since}: {}{numbers}", stop.scope, stop.level, stop.trigger, stop.cause),
        format!("  next: {next}"),
    ]
}
