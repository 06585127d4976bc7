//! Validation: rows are read and transformed again by the code of the load, and compared with the
//! destination's. Nothing here writes a row.
//!
//! [`form`] and [`rows`] say what of a row is compared, [`judgement`] what a difference means; both are pure.
//! [`answer`] is the page to read first.

pub mod answer;
pub mod decimal;
pub mod explain;
pub mod form;
pub mod json_form;
pub mod judgement;
pub mod rows;
pub mod sketching;

pub use answer::answer;
