//! The order of entities: dependencies first, else as the plan has them; cycles by name.

use std::fmt;

/// Entities that wait for one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// Indices in the order of the edges; the last depends on the first.
    pub members: Vec<usize>,
}

impl Cycle {
    /// The cycle in words: `a → b → a`.
    pub fn describe<'a>(&'a self, names: &'a [&'a str]) -> impl fmt::Display + 'a {
        let closed = self.members.iter().chain(self.members.first());
        let words: Vec<&str> = closed.map(|index| names[*index]).collect();
        words.join(" → ")
    }
}

/// A topological order of `0..dependencies.len()`, stable by index, or one cycle per knot.
///
/// `dependencies[i]` are the nodes that come before `i`. Edges of a node to itself are cycles too:
/// leave self references out.
pub fn order(dependencies: &[Vec<usize>]) -> Result<Vec<usize>, Vec<Cycle>> {
    let count = dependencies.len();
    let mut is_placed = vec![false; count];
    let mut placed = Vec::with_capacity(count);
    // Smallest index first; plans are small, so a scan per node is enough.
    while let Some(next) = (0..count).find(|node| {
        !is_placed[*node] && dependencies[*node].iter().all(|before| is_placed[*before])
    }) {
        is_placed[next] = true;
        placed.push(next);
    }
    if placed.len() == count {
        return Ok(placed);
    }
    Err(cycles(dependencies, &is_placed))
}

/// For every node the nodes that reach it and that it reaches, itself among them, in order.
pub fn knots(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let reached: Vec<Vec<bool>> = (0..edges.len())
        .map(|node| reached_from(edges, node))
        .collect();
    let is_tied = |one: usize, other: usize| reached[one][other] && reached[other][one];
    (0..edges.len())
        .map(|node| {
            let others = 0..edges.len();
            others
                .filter(|other| *other == node || is_tied(node, *other))
                .collect()
        })
        .collect()
}

fn reached_from(edges: &[Vec<usize>], start: usize) -> Vec<bool> {
    let mut is_reached = vec![false; edges.len()];
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        for &next in &edges[node] {
            if !std::mem::replace(&mut is_reached[next], true) {
                open.push(next);
            }
        }
    }
    is_reached
}

/// One cycle for every group of unplaced nodes that reach each other.
fn cycles(dependencies: &[Vec<usize>], is_placed: &[bool]) -> Vec<Cycle> {
    let mut is_told = vec![false; dependencies.len()];
    let mut found = Vec::new();
    for start in 0..dependencies.len() {
        if is_placed[start] || is_told[start] {
            continue;
        }
        if let Some(members) = path_back(dependencies, start) {
            members.iter().for_each(|member| is_told[*member] = true);
            found.push(Cycle { members });
        }
    }
    found
}

/// The shortest way from a node along its dependencies back to it.
fn path_back(dependencies: &[Vec<usize>], start: usize) -> Option<Vec<usize>> {
    let mut came_from = vec![None; dependencies.len()];
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for &before in &dependencies[node] {
            if before == start {
                let mut path = vec![node];
                while let Some(previous) = came_from[path[path.len() - 1]] {
                    path.push(previous);
                }
                path.reverse();
                return Some(path);
            }
            if came_from[before].is_none() {
                came_from[before] = Some(node);
                queue.push_back(before);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_plans_order_stays_where_it_can() {
        assert_eq!(order(&[vec![], vec![], vec![]]).unwrap(), [0, 1, 2]);
        assert_eq!(order(&[vec![2], vec![], vec![1]]).unwrap(), [1, 2, 0]);
    }

    #[test]
    fn cycles_are_named() {
        let names = ["a", "b", "c", "d", "e"];
        let found = order(&[vec![1], vec![2], vec![0], vec![0], vec![4]]).unwrap_err();
        let words: Vec<String> = found
            .iter()
            .map(|cycle| cycle.describe(&names).to_string())
            .collect();
        assert_eq!(words, ["a → b → c → a", "e → e"]);
    }

    #[test]
    fn nodes_that_reach_each_other_are_tied() {
        let tied = knots(&[vec![1], vec![2], vec![0], vec![0], vec![4], vec![]]);
        let (knot, alone) = (vec![0, 1, 2], |node| vec![node]);
        assert_eq!(
            tied,
            [
                knot.clone(),
                knot.clone(),
                knot,
                alone(3),
                alone(4),
                alone(5)
            ]
        );
    }

    proptest! {
        #[test]
        fn an_order_has_every_node_behind_its_dependencies(
            edges in proptest::collection::vec(proptest::collection::vec(0usize..8, 0..3), 8)
        ) {
            match order(&edges) {
                Ok(order) => {
                    let at = |node: usize| order.iter().position(|placed| *placed == node).unwrap();
                    for (node, before) in edges.iter().enumerate() {
                        for &before in before {
                            prop_assert!(at(before) < at(node));
                        }
                    }
                }
                Err(cycles) => {
                    prop_assert!(!cycles.is_empty());
                    for cycle in cycles {
                        let next = cycle.members.iter().cycle().skip(1);
                        for (node, before) in cycle.members.iter().zip(next) {
                            prop_assert!(edges[*node].contains(before));
                        }
                    }
                }
            }
        }
    }
}
