//! What may be held, and why: the formulas behind the load line.
//!
//! Statistics of prices and funding, the sizing rule with its caps, buffers and runway, drawdown budgets and the trust in a
//! venue. Every function is a formula of the quant reference: inputs in, figures and reasons out. This crate decides nothing;
//! `margin-guard` holds orders against what is computed here. Floats live in `stats` alone and leave it as decimals.

pub mod buffer;
pub mod conformance;
pub mod deleverage;
pub mod drawdown;
mod exact;
pub mod scorecard;
pub mod sizing;
pub mod stats;
pub mod topup;
