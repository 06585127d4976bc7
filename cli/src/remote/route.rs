//! Which controller is asked next. Pure.

use proto::runtime::channel::Address;

/// Most addresses that are learned from controllers beside those that were given.
const LEARNED: usize = 16;

/// The addresses and the one whose turn it is.
#[derive(Debug, Clone)]
pub struct Route {
    addresses: Vec<Address>,
    given: usize,
    at: usize,
    /// Failures since the last answer, or since the last whole round.
    failures: usize,
}

impl Route {
    /// A route over at least one address, the first one's turn.
    pub fn new(addresses: Vec<Address>) -> Self {
        Self {
            given: addresses.len(),
            addresses,
            at: 0,
            failures: 0,
        }
    }

    /// Whose turn it is; none only where no address was given.
    pub fn current(&self) -> Option<&Address> {
        self.addresses.get(self.at)
    }

    /// It answered: it stays its turn.
    pub fn answered(&mut self) {
        self.failures = 0;
    }

    /// It cannot answer; the leader that it names is next, else the one after it. True when every
    /// address has failed once more: time to wait.
    pub fn failed(&mut self, leader: Option<Address>) -> bool {
        self.failures += 1;
        self.at = match leader.and_then(|leader| self.find(leader)) {
            Some(at) if at != self.at => at,
            _ => (self.at + 1) % self.addresses.len().max(1),
        };
        let is_round = self.failures >= self.addresses.len();
        if is_round {
            self.failures = 0;
        }
        is_round
    }

    fn find(&mut self, leader: Address) -> Option<usize> {
        let same = |known: &Address| known.to_string() == leader.to_string();
        let known = self.addresses.iter().position(same);
        if known.is_none() && self.addresses.len() < self.given + LEARNED {
            self.addresses.push(leader);
            return Some(self.addresses.len() - 1);
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(names: &[&str]) -> Route {
        Route::new(names.iter().map(|name| address(name)).collect())
    }

    fn address(name: &str) -> Address {
        Address::parse(name, 7420).unwrap()
    }

    fn at(route: &Route) -> String {
        route.current().unwrap().to_string()
    }

    #[test]
    fn each_failure_moves_on_and_a_whole_round_waits() {
        let mut route = route(&["a", "b", "c"]);
        let waits: Vec<bool> = (0..6).map(|_| route.failed(None)).collect();
        assert_eq!(waits, [false, false, true, false, false, true]);
        assert_eq!(at(&route), "a:7420");
    }

    #[test]
    fn an_answer_keeps_the_turn_and_begins_a_new_round() {
        let mut route = route(&["a", "b"]);
        assert!(!route.failed(None));
        route.answered();
        assert_eq!(at(&route), "b:7420");
        assert!(!route.failed(None));
    }

    #[test]
    fn the_leader_is_next_even_if_nobody_named_it_before() {
        let mut route = route(&["a", "b"]);
        assert!(!route.failed(Some(address("c"))));
        assert_eq!(at(&route), "c:7420");
        assert!(!route.failed(Some(address("b"))));
        assert_eq!(at(&route), "b:7420");
        assert!(route.failed(None));
    }

    #[test]
    fn who_names_himself_as_leader_and_does_not_lead_is_left() {
        let mut route = route(&["a", "b"]);
        route.failed(Some(address("a")));
        assert_eq!(at(&route), "b:7420");
    }

    #[test]
    fn liars_do_not_make_the_list_grow_for_ever() {
        let mut route = route(&["a"]);
        for number in 0..100 {
            route.failed(Some(address(&format!("liar{number}"))));
        }
        assert_eq!(route.addresses.len(), 1 + LEARNED);
    }
}
