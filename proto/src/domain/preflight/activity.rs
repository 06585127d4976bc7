//! What others do at this moment: transactions that last, prepared ones, locks, a replica's replay.

use super::access::{needs_owner, tables_read};
use super::facts::{Facts, LockFact, ServerFacts};
use super::{Check, Place, Verdict, list};
use crate::domain::compiled::{CompiledPlan, Consistency};

/// A transaction that holds a lock on a target is told once it is older, in seconds.
const LOCK_SECONDS: i64 = 5;
/// The longest transactions that are named.
const NAMED: usize = 5;

/// Checks of activity.
pub(super) fn checks(plan: &CompiledPlan, facts: &Facts) -> Vec<Check> {
    vec![
        transactions(Place::Source, &facts.source, plan),
        prepared(Place::Source, &facts.source, plan),
        replica(plan, facts),
        transactions(Place::Destination, &facts.destination, plan),
        prepared(Place::Destination, &facts.destination, plan),
        locks(plan, facts),
    ]
}

fn transactions(place: Place, server: &ServerFacts, plan: &CompiledPlan) -> Check {
    let name = "long_transactions";
    let unseen = match server.sees_activity {
        true => "",
        false => {
            "; those of other roles cannot be seen (grant pg_read_all_stats to the role for that)"
        }
    };
    if server.long_transactions.is_empty() {
        return Check::pass(place, name, format!("none is there{unseen}"));
    }
    let shown: Vec<String> = server
        .long_transactions
        .iter()
        .take(NAMED)
        .map(|one| {
            let what = match one.application.as_str() {
                "" => String::new(),
                application => format!(" ({application})"),
            };
            format!(
                "backend {} of {}{what} for {} s",
                one.pid, one.role, one.seconds
            )
        })
        .collect();
    let what = match (place, plan.consistency) {
        (Place::Source, Consistency::Snapshot) => {
            "a run that is killed and started again waits for it, to prove that nothing was written, and vacuum cannot clean behind it"
        }
        (Place::Source, Consistency::Frozen) => {
            "as long as it lasts nobody can tell that the source is frozen"
        }
        (Place::Source, Consistency::None) => "vacuum cannot clean behind it",
        (Place::Destination | Place::LeaseStore, _) => {
            "vacuum cannot clean behind it, and what it locks is waited for"
        }
    };
    let pids = server.long_transactions.iter().take(NAMED);
    let mend = pids.map(|one| format!("select pg_terminate_backend({});", one.pid));
    let found = format!(
        "{} in all: {}; {what}{unseen}",
        server.long_transactions.len(),
        list(&shown)
    );
    Check::warn(place, name, found, mend.collect())
}

fn prepared(place: Place, server: &ServerFacts, plan: &CompiledPlan) -> Check {
    let name = "prepared_transactions";
    if server.prepared.is_empty() {
        return Check::pass(place, name, "none is there");
    }
    let gids: Vec<String> = server
        .prepared
        .iter()
        .map(|one| format!("{:?} for {} s", one.gid, one.seconds))
        .collect();
    let found = format!(
        "{}: they end by nobody's exit, and keep locks and old rows until then",
        list(&gids)
    );
    let mend = server.prepared.iter().take(NAMED).map(|one| {
        let gid = crate::domain::catalog::quote_literal(&one.gid);
        format!("rollback prepared {gid};")
    });
    let is_blocking = place == Place::Source && plan.consistency == Consistency::Frozen;
    let of = if is_blocking {
        Check::block
    } else {
        Check::warn
    };
    of(place, name, found, mend.collect())
}

/// Locks on targets that a load or a rebuild would wait for.
fn locks(plan: &CompiledPlan, facts: &Facts) -> Check {
    let name = "locks";
    let mut found = Vec::new();
    for entity in super::access::active(plan) {
        let Some(table) = facts.write(&entity.destination) else {
            continue;
        };
        let is_rebuilt = needs_owner(plan, entity, table);
        for lock in table.locks.iter().filter(|lock| lasts(lock)) {
            let refuses_all = lock.mode == "AccessExclusiveLock";
            let refuses_rows = refuses_all
                || matches!(
                    lock.mode.as_str(),
                    "ExclusiveLock" | "ShareLock" | "ShareRowExclusiveLock"
                );
            if !refuses_rows && !is_rebuilt {
                continue;
            }
            let (who, mend) = match lock.pid {
                Some(pid) => (
                    format!("backend {pid}"),
                    format!("select pg_terminate_backend({pid});"),
                ),
                None => (
                    "a prepared transaction".to_owned(),
                    "commit or roll back the prepared transaction".to_owned(),
                ),
            };
            let since = match lock.seconds {
                Some(seconds) => format!(" for {seconds} s"),
                None => String::new(),
            };
            let verdict = match lock.pid {
                None => Verdict::Block,
                Some(_) => Verdict::Warn,
            };
            let words = format!("{who} holds {} on {}{since}", lock.mode, entity.destination);
            if !found.iter().any(|(_, known, _)| *known == words) {
                found.push((verdict, words, mend));
            }
        }
    }
    let well = "nobody keeps a target locked";
    Check::worst(Place::Destination, name, found, well)
}

/// Old enough to be no passing statement, or nobody can tell.
fn lasts(lock: &LockFact) -> bool {
    lock.seconds.is_none_or(|seconds| seconds >= LOCK_SECONDS)
}

fn replica(plan: &CompiledPlan, facts: &Facts) -> Check {
    let (place, name) = (Place::Source, "replica");
    let Some(replica) = &facts.source.replica else {
        return Check::pass(place, name, "the source is no replica");
    };
    let mut found = Vec::new();
    if plan.consistency == Consistency::Frozen {
        found.push((
            Verdict::Block,
            "the source is a replica, where replay counts as a write: consistency frozen cannot be shown".to_owned(),
            "consistency: snapshot in the plan, or read from the primary".to_owned(),
        ));
    }
    if !replica.has_feedback && replica.cancel_after_ms >= 0 {
        let words = format!(
            "replay cancels reads that are in its way after {} ms (max_standby_streaming_delay), and with them the snapshot of {} tables",
            replica.cancel_after_ms,
            tables_read(plan).len()
        );
        let mend = "alter system set hot_standby_feedback = on;".to_owned();
        found.push((Verdict::Warn, words, mend));
    }
    let limit = plan.limits.source_max_lag_seconds.map_or(60, i64::from);
    if replica.lag_seconds > limit {
        let words = format!(
            "the replica is {} s behind its primary",
            replica.lag_seconds
        );
        let mend = "wait until it has caught up: what it lacks is not migrated".to_owned();
        found.push((Verdict::Warn, words, mend));
    }
    Check::worst(place, name, found, "a replica that keeps what is read")
}
