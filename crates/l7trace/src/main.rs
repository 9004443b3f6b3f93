//! The l7trace command.
fn main() {}
