//! The language of rules against two real databases: what each word makes of rows.

mod shapes;
mod values;
