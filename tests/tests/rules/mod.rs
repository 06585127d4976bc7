//! The language of rules against two real databases: what each word makes of rows.

mod homes;
mod texts;
mod values;
