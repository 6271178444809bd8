//! Published cases against the formulas of this crate.
