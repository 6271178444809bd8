//! Automatic deleveraging: when an account's cover falls below its reduce level, the desk admits reduce-only parents of its own.

use domain::ParentSpec;

/// How the note of every reduction that the desk admits begins. Operators' notes may not.
pub(crate) const NOTE: &str = "deleverage:";

/// Whether the desk itself admitted the parent to bring cover back.
pub(crate) fn is_reduction(spec: &ParentSpec) -> bool {
    spec.reduce_only && spec.note.starts_with(NOTE)
}
