//! Servers, sessions and connections.

use super::facts::{Facts, LeaseFacts, ServerFacts};
use super::{Check, Place, Verdict};
use crate::domain::catalog::quote_ident;
use crate::domain::compiled::{CompiledPlan, Consistency};

/// Oldest source: generated columns in the catalog.
const OLDEST_SOURCE: u32 = 120_000;
/// Oldest destination: `pg_terminate_backend` that waits.
const OLDEST_DESTINATION: u32 = 140_000;
/// Newest version that was tried.
const NEWEST: u32 = 190_000;
/// Connections beside the lanes: the snapshot and questions at the source, questions and the rebuild at the
/// destination.
const BESIDE: i64 = 4;
/// A session that waits to be used again lasts so long at most, in milliseconds.
const IDLE_MS: i64 = 60_000;
/// The session that holds the snapshot shows up this often, in milliseconds.
const PING_MS: i64 = 30_000;
/// Shorter timeouts of a writing session end batches, in milliseconds.
const BATCH_MS: i64 = 120_000;
/// A slower lease store slows every claim, in microseconds.
const SLOW_LEASE_US: u64 = 100_000;

/// Checks of both servers.
pub(super) fn checks(plan: &CompiledPlan, facts: &Facts) -> Vec<Check> {
    let sides = [
        (Place::Source, &facts.source, OLDEST_SOURCE),
        (Place::Destination, &facts.destination, OLDEST_DESTINATION),
    ];
    let checks = sides.into_iter().flat_map(|(place, server, oldest)| {
        [
            version(place, server, oldest),
            encoding(place, server),
            pooler(place, server),
            timeouts(place, server, plan),
            connections(place, server, plan),
        ]
    });
    checks.collect()
}

fn version(place: Place, server: &ServerFacts, oldest: u32) -> Check {
    let (number, words) = (server.version, version_words(server.version));
    if number < oldest {
        let mend = format!(
            "upgrade the server to PostgreSQL {} or newer, or migrate from a replica that is",
            oldest / 10_000
        );
        let found = format!("{words} is older than Drover can work with");
        return Check::block(place, "server_version", found, vec![mend]);
    }
    if number >= NEWEST {
        let found = format!("{words} is newer than any that Drover was tried with");
        let mend = "try the plan on a copy first".to_owned();
        return Check::warn(place, "server_version", found, vec![mend]);
    }
    Check::pass(place, "server_version", words)
}

fn version_words(number: u32) -> String {
    format!("PostgreSQL {}.{}", number / 10_000, number % 10_000)
}

fn encoding(place: Place, server: &ServerFacts) -> Check {
    let name = "encoding";
    let encoding = &server.encoding;
    match (place, encoding.as_str()) {
        (_, "UTF8") => Check::pass(place, name, "UTF8"),
        (Place::Source, "SQL_ASCII") => Check::warn(
            place,
            name,
            "SQL_ASCII: nobody checked its bytes, those that are no UTF-8 are one error row each, and stop their entity in a key",
            vec!["look at the sample's errors with code 22021, mend those rows at the source, or convert the database to UTF8".to_owned()],
        ),
        (Place::Source | Place::LeaseStore, _) => {
            Check::pass(place, name, format!("{encoding}: the server converts to UTF-8"))
        }
        (Place::Destination, _) => Check::warn(
            place,
            name,
            format!("{encoding}: a character that it does not have is one error row (22P05)"),
            vec!["make the destination with encoding UTF8".to_owned()],
        ),
    }
}

fn pooler(place: Place, server: &ServerFacts) -> Check {
    let name = "pooler";
    if !server.keeps_session {
        return Check::block(
            place,
            name,
            "sessions share backends: a pooler in transaction mode is in between, settings, locks and temporary tables do not last",
            vec!["connect to the server itself, or to the pooler's session mode (on Supabase port 5432 and not 6543)".to_owned()],
        );
    }
    if !server.keeps_login {
        return Check::block(
            place,
            name,
            "settings that a session asks for at its login are not in force: a pooler drops them",
            vec!["connect to the server itself; with PgBouncer, session mode and without `options` among ignore_startup_parameters".to_owned()],
        );
    }
    Check::pass(place, name, "every session has a backend of its own")
}

/// Timeouts that would end sessions of ours.
fn timeouts(place: Place, server: &ServerFacts, plan: &CompiledPlan) -> Check {
    let in_force = |setting: &str| {
        let limit = server.timeouts.get(setting).copied();
        limit.filter(|limit| *limit > 0)
    };
    let off = |setting: &str| {
        format!(
            "alter role {} set {setting} = 0;",
            quote_ident(&server.role)
        )
    };
    let mut found = Vec::new();
    if let Some(limit) = in_force("transaction_timeout") {
        let holds = place == Place::Source && plan.consistency == Consistency::Snapshot;
        let (verdict, why) = match holds {
            true => (
                Verdict::Block,
                "ends the transaction that holds the snapshot",
            ),
            false if limit < BATCH_MS => (Verdict::Block, "ends batches and rebuilds of keys"),
            false => (Verdict::Warn, "may end a rebuild of keys or a long read"),
        };
        let words = format!("transaction_timeout of {limit} ms {why}");
        found.push((verdict, words, off("transaction_timeout")));
    }
    if let Some(limit) = in_force("idle_in_transaction_session_timeout") {
        let least = match place {
            Place::Source => PING_MS * 2,
            Place::Destination | Place::LeaseStore => BATCH_MS,
        };
        if limit < least {
            let words =
                format!("idle_in_transaction_session_timeout of {limit} ms ends our sessions");
            let mend = off("idle_in_transaction_session_timeout");
            found.push((Verdict::Block, words, mend));
        }
    }
    if let Some(limit) = in_force("idle_session_timeout").filter(|limit| *limit < IDLE_MS) {
        let words = format!(
            "idle_session_timeout of {limit} ms ends sessions that wait to be used again: they are made anew"
        );
        found.push((Verdict::Warn, words, off("idle_session_timeout")));
    }
    if let Some(limit) = in_force("statement_timeout").filter(|limit| *limit < BATCH_MS) {
        let words = format!("statement_timeout of {limit} ms ends reads and batches");
        found.push((Verdict::Block, words, off("statement_timeout")));
    }
    let well = "no timeout ends our sessions";
    Check::worst(place, "timeouts", found, well)
}

fn connections(place: Place, server: &ServerFacts, plan: &CompiledPlan) -> Check {
    let name = "connections";
    let lanes = i64::from(plan.limits.parallel_partitions);
    let reserved = match server.is_superuser {
        true => 0,
        false => server.reserved_connections,
    };
    let limits = [
        (
            server.max_connections - reserved - server.used_connections,
            "of the server",
        ),
        (unlimited(server.role_connections), "of the role"),
        (unlimited(server.database_connections), "of the database"),
    ];
    let (free, whose) = limits
        .into_iter()
        .min_by_key(|(free, _)| *free)
        .unwrap_or_default();
    let needed = lanes + BESIDE;
    let words = format!(
        "{} of max_connections {} are in use, {reserved} reserved: {} free {whose}, {needed} needed for {lanes} lanes",
        server.used_connections,
        server.max_connections,
        free.max(0),
    );
    let mend = || {
        let role = quote_ident(&server.role);
        let first = match whose {
            "of the role" => format!("alter role {role} connection limit {needed};"),
            "of the database" => format!(
                "alter database {} connection limit -1;",
                quote_ident(&server.database)
            ),
            _ => "end sessions that nobody needs, or raise max_connections".to_owned(),
        };
        vec![
            first,
            "or lower limits.parallel_partitions in the plan".to_owned(),
        ]
    };
    if free <= BESIDE {
        Check::block(place, name, words, mend())
    } else if free < needed {
        Check::warn(place, name, words, mend())
    } else {
        Check::pass(place, name, words)
    }
}

fn unlimited(limit: i64) -> i64 {
    if limit < 0 { i64::MAX } else { limit }
}

/// Whether the lease store can be reached.
pub(super) fn lease_check(lease: &LeaseFacts) -> Check {
    let (place, name) = (Place::LeaseStore, "reachable");
    match lease {
        LeaseFacts::OneProcess => Check::pass(
            place,
            name,
            "one process: no etcd is needed until a second machine works",
        ),
        LeaseFacts::Answered(us) if *us >= SLOW_LEASE_US => Check::warn(
            place,
            name,
            format!(
                "etcd answers in {} ms: every claim and every keep-alive waits for it",
                us / 1000
            ),
            vec!["run etcd near controller and agents, on a disk of its own".to_owned()],
        ),
        LeaseFacts::Answered(us) => {
            let words = format!("etcd answers in {}.{} ms", us / 1000, us % 1000 / 100);
            Check::pass(place, name, words)
        }
        LeaseFacts::Silent(why) => Check::block(
            place,
            name,
            format!("etcd does not answer: {why}"),
            vec!["start etcd, or mend etcd.endpoints in the controller's settings".to_owned()],
        ),
    }
}
