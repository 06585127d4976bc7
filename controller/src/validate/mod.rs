//! Validation: which questions are asked ([`units`]), how the answers are judged ([`judge`]), both pure; and who
//! asks them ([`drive`]), for a leader ([`watch`]) and in a process of its own ([`alone`]).

pub mod alone;
pub mod drive;
pub mod judge;
pub mod units;
pub mod watch;
