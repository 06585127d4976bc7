//! Tests of the parser: whole plans in, problems out.

use super::*;

const FULL: &str = include_str!("fixtures/full.yaml");

fn problems(text: &str) -> Vec<Problem> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0,
    }
}

#[test]
fn the_whole_language_is_recognised() {
    for problem in problems(FULL) {
        assert_eq!(problem.message, "not supported yet", "{problem}");
    }
}
