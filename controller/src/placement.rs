//! Which agent gets a piece of work. Pure.
//!
//! Work goes where the most of an agent's capacity is free, so that equal agents share evenly and a
//! small one is never crowded; among equals, to the one with fewer partitions, then by name, so that
//! the choice does not depend on chance.

use std::collections::BTreeSet;

use proto::domain::frame::Connections;
use uuid::Uuid;

use crate::fleet::{Duty, MemberView};

/// What an agent must have to work on a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Both connections of its plan.
    pub connections: Connections,
    /// Regions it may be in; empty: any.
    pub regions: BTreeSet<String>,
}

impl Demand {
    /// The demand in a migration's stored configuration; none where it names no connections.
    pub fn stored(configuration: &serde_json::Value) -> Option<Self> {
        let name = |side: &str| {
            configuration[side]["connection"]
                .as_str()
                .map(str::to_owned)
        };
        let regions = configuration["regions"].as_array();
        Some(Self {
            connections: Connections {
                source: name("source")?,
                destination: name("destination")?,
            },
            regions: regions
                .into_iter()
                .flatten()
                .filter_map(|region| region.as_str().map(str::to_owned))
                .collect(),
        })
    }

    /// Whether an agent that is there can work on the migration.
    pub fn fits(&self, member: &MemberView) -> bool {
        let has = |name: &String| member.connections.contains(name);
        member.is_connected
            && has(&self.connections.source)
            && has(&self.connections.destination)
            && (self.regions.is_empty() || self.regions.contains(&member.region))
    }

    /// Whether it may get new work, too.
    pub fn takes_work(&self, member: &MemberView) -> bool {
        member.duty == Duty::Active && self.fits(member)
    }
}

/// Partitions that an agent can still take.
pub fn free(member: &MemberView) -> usize {
    usize::try_from(member.capacity)
        .unwrap_or(usize::MAX)
        .saturating_sub(member.held.len())
}

/// The agent for the next partition; none when everybody is busy.
pub fn for_partition<'a>(demand: &Demand, members: &'a [MemberView]) -> Option<&'a MemberView> {
    members
        .iter()
        .filter(|member| demand.takes_work(member) && free(member) > 0)
        .min_by(|a, b| compare(a, b))
}

/// The agent for a question or a step that is no partition: any that fits, the least busy first; one
/// that shall get no new work only where nobody else is there.
pub fn for_question<'a>(demand: &Demand, members: &'a [MemberView]) -> Option<&'a MemberView> {
    members
        .iter()
        .filter(|member| demand.fits(member))
        .min_by(|a, b| {
            (a.duty != Duty::Active)
                .cmp(&(b.duty != Duty::Active))
                .then_with(|| compare(a, b))
        })
}

/// Things that can be done at the same time for one migration: its limit, shared out over what the agents
/// have left beside other migrations.
pub fn lanes(demand: &Demand, members: &[MemberView], migration_id: Uuid, limit: u32) -> usize {
    let room: usize = members
        .iter()
        .filter(|member| demand.takes_work(member))
        .map(|member| {
            let own =
                |held: &&proto::domain::frame::HeldPartition| held.migration_id == migration_id;
            free(member) + member.held.iter().filter(own).count()
        })
        .sum();
    room.min(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Busier ones later: shares of capacity are compared without rounding.
fn compare(a: &MemberView, b: &MemberView) -> std::cmp::Ordering {
    let share = |one: &MemberView, other: &MemberView| {
        one.held.len() as u64 * u64::from(other.capacity.max(1))
    };
    share(a, b)
        .cmp(&share(b, a))
        .then_with(|| a.held.len().cmp(&b.held.len()))
        .then_with(|| a.name.cmp(&b.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::domain::frame::HeldPartition;
    use std::collections::BTreeMap;

    fn member(name: &str, region: &str, capacity: u32, held: usize) -> MemberView {
        let held = (0..held).map(|at| HeldPartition {
            migration_id: Uuid::from_u128(1),
            partition_id: Uuid::from_u128(100 + at as u128),
            generation: 1,
        });
        MemberView {
            holder: Uuid::new_v5(&Uuid::nil(), name.as_bytes()),
            name: name.to_owned(),
            region: region.to_owned(),
            labels: BTreeMap::new(),
            connections: vec!["app".to_owned(), "legacy".to_owned()],
            capacity,
            held: held.collect(),
            snapshots: BTreeSet::new(),
            duty: Duty::Active,
            is_connected: true,
            version: String::new(),
            codec_version: 1,
            connected_at: chrono::DateTime::UNIX_EPOCH,
            last_seen_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    fn demand(regions: &[&str]) -> Demand {
        Demand {
            connections: Connections {
                source: "legacy".to_owned(),
                destination: "app".to_owned(),
            },
            regions: regions.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn chosen(demand: &Demand, members: &[MemberView]) -> Option<String> {
        for_partition(demand, members).map(|member| member.name.clone())
    }

    #[test]
    fn partitions_are_spread_by_free_share_and_full_agents_get_none() {
        let mut members = [
            member("a", "eu", 4, 0),
            member("b", "eu", 2, 0),
            member("c", "us", 1, 0),
        ];
        let mut order = Vec::new();
        while let Some(name) = chosen(&demand(&[]), &members) {
            let at = members.iter().position(|one| one.name == name).unwrap();
            members[at] = member(
                &name,
                "eu",
                members[at].capacity,
                members[at].held.len() + 1,
            );
            order.push(name);
        }
        assert_eq!(order, ["a", "b", "c", "a", "b", "a", "a"]);
    }

    #[test]
    fn region_connections_duty_and_stream_decide_who_fits() {
        let mut far = member("far", "us", 4, 0);
        let near = member("near", "eu", 4, 3);
        assert_eq!(
            chosen(&demand(&["eu"]), &[far.clone(), near.clone()]),
            Some("near".into())
        );
        assert_eq!(chosen(&demand(&["ap"]), &[far.clone(), near]), None);
        far.duty = Duty::Cordoned;
        assert_eq!(chosen(&demand(&[]), &[far.clone()]), None);
        assert!(for_question(&demand(&[]), &[far.clone()]).is_some());
        far.connections = vec!["legacy".to_owned()];
        assert!(for_question(&demand(&[]), &[far.clone()]).is_none());
        far.connections.push("app".to_owned());
        far.is_connected = false;
        assert!(for_question(&demand(&[]), &[far]).is_none());
    }

    #[test]
    fn lanes_are_what_the_limit_and_other_migrations_leave() {
        let members = [member("a", "eu", 4, 3), member("b", "eu", 4, 0)];
        let lanes =
            |migration, limit| lanes(&demand(&[]), &members, Uuid::from_u128(migration), limit);
        assert_eq!(lanes(1, 100), 8);
        assert_eq!(lanes(2, 100), 5);
        assert_eq!(lanes(2, 4), 4);
    }
}
