//! A number per hour.

use std::collections::BTreeMap;

use super::HOURS_KEPT;

/// Values by hour (hours since 1970, each named by its end). At most [`HOURS_KEPT`], the newest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HourSeries {
    values: BTreeMap<u64, f64>,
}

impl HourSeries {
    /// Notes the value of `hour`; says whether that changed anything.
    pub fn put(&mut self, hour: u64, value: f64) -> bool {
        let full = self.values.len() >= HOURS_KEPT && !self.values.contains_key(&hour);
        if full && self.values.first_key_value().is_some_and(|(oldest, _)| hour < *oldest) {
            return false;
        }
        let changed = self.values.insert(hour, value) != Some(value);
        if full {
            self.values.pop_first();
        }
        changed
    }

    /// The value of `hour`.
    #[must_use]
    pub fn at(&self, hour: u64) -> Option<f64> {
        self.values.get(&hour).copied()
    }

    /// The newest hour and its value.
    #[must_use]
    pub fn last(&self) -> Option<(u64, f64)> {
        self.values.last_key_value().map(|(hour, value)| (*hour, *value))
    }

    /// The values of the `length` hours up to and including `until`, oldest first; missing hours are missing.
    pub fn window(&self, until: u64, length: u64) -> impl Iterator<Item = f64> {
        self.values.range((until + 1).saturating_sub(length)..=until).map(|(_, value)| *value)
    }

    /// All hours, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, f64)> {
        self.values.iter().map(|(hour, value)| (*hour, *value))
    }
}
