//! The one vocabulary for what does not fit, and its two extensions.

use super::declare::{choice, plain_choice};
use super::scalar::Value;

choice! {
    /// What happens to a row whose value does not fit.
    pub enum Unfit {
        /// The run stops.
        Fail = "fail";
        /// The row becomes an error, the others go on.
        Quarantine = "quarantine";
        /// NULL is written.
        SetNull = "set_null";
        /// This value takes its place.
        Default(Value) = "default";
    }
}

choice! {
    /// What happens to a row that fails where no rule says more.
    pub enum OnRowError {
        /// The row becomes an error, the others go on (default).
        Quarantine = "quarantine";
        /// The run stops.
        Fail = "fail";
    }
}

choice! {
    /// What happens to a value that a `map` does not list.
    pub enum MapElse {
        /// The value stays as it is.
        Keep = "keep";
        /// The run stops.
        Fail = "fail";
        /// The row becomes an error, the others go on.
        Quarantine = "quarantine";
        /// NULL is written.
        SetNull = "set_null";
        /// This value takes its place.
        Default(Value) = "default";
    }
}

choice! {
    /// Which moment is meant by a local time that came twice.
    pub enum Ambiguous {
        /// The first of the two.
        Earliest = "earliest";
        /// The second of the two.
        Latest = "latest";
        /// The run stops.
        Fail = "fail";
        /// The row becomes an error, the others go on.
        Quarantine = "quarantine";
        /// NULL is written.
        SetNull = "set_null";
        /// This local time takes its place.
        Default(Value) = "default";
    }
}

plain_choice!(Unfit, OnRowError, MapElse, Ambiguous);
