use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// A moment as the desk sees it. The supervisor makes these; nothing in a pure crate reads a clock.
///
/// `mono` orders events and drives every decision. It never runs backwards, across restarts included: at boot the
/// supervisor continues from the journal's last stamp. `wall_ms` is only for venue fields (nonces, expiries) and reports (I39).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// Nanoseconds of desk time since the journal was created.
    pub mono: u64,
    /// UTC, milliseconds since 1970.
    pub wall_ms: u64,
}

/// A length of desk time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub u64);

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// `n` milliseconds.
    #[must_use]
    pub const fn millis(n: u64) -> Span {
        Span(n.saturating_mul(1_000_000))
    }

    /// `n` seconds.
    #[must_use]
    pub const fn secs(n: u64) -> Span {
        Span(n.saturating_mul(1_000_000_000))
    }

    /// Whole milliseconds, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// This span times `num / den`, rounded down. `den` must not be zero.
    #[must_use]
    pub fn scale(self, num: u64, den: u64) -> Span {
        assert!(den > 0, "invariant: a span is scaled by a fraction with a positive denominator");
        let scaled = u128::from(self.0) * u128::from(num) / u128::from(den);
        Span(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

impl Stamp {
    /// Time passed since `earlier`; zero if `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Stamp) -> Span {
        Span(self.mono.saturating_sub(earlier.mono))
    }
}

impl Add<Span> for Stamp {
    type Output = Stamp;
    fn add(self, span: Span) -> Stamp {
        Stamp { mono: self.mono.saturating_add(span.0), wall_ms: self.wall_ms.saturating_add(span.as_millis()) }
    }
}

impl Sub<Span> for Stamp {
    type Output = Stamp;
    fn sub(self, span: Span) -> Stamp {
        Stamp { mono: self.mono.saturating_sub(span.0), wall_ms: self.wall_ms.saturating_sub(span.as_millis()) }
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.as_millis();
        match ms {
            0..1_000 => write!(f, "{ms}ms"),
            1_000..60_000 => write!(f, "{}.{:03}s", ms / 1_000, ms % 1_000),
            _ => write!(f, "{}m{:02}s", ms / 60_000, ms / 1_000 % 60),
        }
    }
}
