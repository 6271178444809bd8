//! The duels: our side against the limit, in turn, within one run.

fn main() {}
