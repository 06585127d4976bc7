//! One broken place each: the path and the words of its problem.

use super::*;

/// Replaces a text of the small plan and expects exactly these problems.
pub(super) fn check(cases: &[(&str, &str, &str, &str)]) {
    for (from, to, path, words) in cases {
        assert!(SMALL.contains(from), "{from}");
        let problems = problems_of(&SMALL.replacen(from, to, 1));
        let found = problems
            .iter()
            .any(|problem| problem.path == *path && problem.message.contains(words));
        assert!(
            found,
            "{from} -> {to}: expected {path}: {words}, found {problems:#?}"
        );
        assert!(
            problems.iter().all(|problem| problem.line.is_some()),
            "{problems:#?}"
        );
    }
}

#[test]
fn heads() {
    check(&[
        ("version: 1", "version: 2", "version", "expected 1"),
        ("version: 1\n", "", "version", "missing"),
        ("name: small", "nam: small", "nam", "did you mean \"name\"?"),
        ("name: small", "nam: small", "name", "missing"),
        ("name: small", "name: a b", "name", "letters, digits"),
        ("name: small", "name: 5", "name", "expected a text"),
        (
            "name: small",
            "name: small\nname: other",
            "name",
            "written twice, first in line 2",
        ),
        (
            "6f1b6c0e-6b3e",
            "6f1b6c0e6b3e",
            "namespace",
            "expected a uuid",
        ),
        (
            "6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11",
            "00000000-0000-0000-0000-000000000000",
            "namespace",
            "expected a uuid",
        ),
        (
            "connection: legacy",
            "conection: legacy",
            "source.conection",
            "did you mean",
        ),
        (
            "source: {connection: legacy}",
            "source: legacy",
            "source",
            "expected a mapping",
        ),
        (
            "connection: legacy",
            "connection: \"postgres://x\"",
            "source.connection",
            "letters",
        ),
        (
            "connection: app",
            "connection: app, mode: mysql",
            "destination.mode",
            "unknown word",
        ),
        (
            "connection: app",
            "connection: app, mode: supabase",
            "destination.mode",
            "not supported yet",
        ),
        (
            "name: small",
            "name: small\nmigration_type: incremental",
            "migration_type",
            "not supported yet",
        ),
        (
            "entities:",
            "entitys:",
            "entitys",
            "did you mean \"entities\"?",
        ),
    ]);
}

#[test]
fn defaults_and_limits() {
    let defaults = "timezone: America/Chicago";
    check(&[
        (
            defaults,
            "timezone: null",
            "defaults.timezone",
            "leave the key out",
        ),
        (
            defaults,
            "time_zone: x",
            "defaults.time_zone",
            "did you mean \"timezone\"?",
        ),
        (
            defaults,
            "unmapped_columns: drop",
            "defaults.unmapped_columns",
            "known: error, ignore",
        ),
        (
            defaults,
            "on_row_error: set_null",
            "defaults.on_row_error",
            "unknown word",
        ),
        (
            "0.1%",
            "101%",
            "defaults.max_quarantined",
            "expected a number of rows",
        ),
        (
            "0.1%",
            "-1",
            "defaults.max_quarantined",
            "expected a number of rows",
        ),
        (
            "0.1%",
            "0.5",
            "defaults.max_quarantined",
            "expected a number of rows",
        ),
        (
            defaults,
            "batch_size: 0",
            "defaults.batch_size",
            "from 1 on",
        ),
        (
            defaults,
            "batch_size: 20k",
            "defaults.batch_size",
            "found a text",
        ),
        (
            defaults,
            "constraints: drop",
            "defaults.constraints",
            "unknown word",
        ),
        (
            defaults,
            "consistency: thawed",
            "defaults.consistency",
            "unknown word",
        ),
        (
            "version: 1",
            "version: 1\nlimits: {parallel: 1}",
            "limits.parallel",
            "unknown key",
        ),
        (
            "version: 1",
            "version: 1\nlimits: {source_max_lag_seconds: 0}",
            "limits.source_max_lag_seconds",
            "from 1",
        ),
        (
            "version: 1",
            "version: 1\nlimits: {max_rows_per_second: fast}",
            "limits.max_rows_per_second",
            "expected a whole number",
        ),
        (
            "version: 1",
            "version: 1\nlimits: {parallel_partitions: 0}",
            "limits.parallel_partitions",
            "from 1 on",
        ),
    ]);
}

#[test]
fn entities() {
    let office = "entity_type: office";
    check(&[
        (
            "entity: users",
            "entity: offices",
            "entities[1].entity",
            "already the name",
        ),
        (
            "entity: users",
            "entity: my-users",
            "entities[1].entity",
            "letters, digits and _",
        ),
        (
            "entity: users\n",
            "entity: \"\"\n",
            "entities[1].entity",
            "letters, digits and _",
        ),
        (
            "entity: users\n",
            "entity: [a]\n",
            "entities[1].entity",
            "found a list",
        ),
        (
            "[offices]",
            "[office]",
            "entities[1].dependency_entities[0]",
            "mean \"offices\"?",
        ),
        (
            "[offices]",
            "offices",
            "entities[1].dependency_entities",
            "expected a list",
        ),
        (
            "  source_entity: dispatch_office\n",
            "",
            "entities[0].source_entity",
            "missing",
        ),
        (
            office,
            "entity_type: \"\"",
            "entities[0].entity_type",
            "must not be empty",
        ),
        (
            office,
            "entity_type: office\n  wehre: x",
            "entities[0].wehre",
            "mean \"where\"?",
        ),
        (
            office,
            "entity_type: office\n  where: \" \"",
            "entities[0].where",
            "must not be empty",
        ),
        (
            office,
            "entity_type: office\n  where:",
            "entities[0].where",
            "leave the key out",
        ),
        (
            office,
            "entity_type: office\n  is_active: yes",
            "entities[0].is_active",
            "true or false",
        ),
        (
            office,
            "entity_type: office\n  version: 1",
            "entities[0].version",
            "in quotes",
        ),
        (
            office,
            "entity_type: office\n  id: uuid5",
            "entities[0].id",
            "expected a mapping",
        ),
        (
            office,
            "entity_type: office\n  id: {kind: uuid}",
            "entities[0].id.kind",
            "unknown word",
        ),
        (
            office,
            "entity_type: office\n  id: {like: nobody}",
            "entities[0].id.like",
            "no entity \"nobody\"",
        ),
        (
            office,
            "entity_type: office\n  id: {kind: natural}",
            "entities[0].id.kind",
            "unknown word",
        ),
        (
            office,
            "entity_type: office\n  on_conflict: replace",
            "entities[0].on_conflict",
            "unknown word",
        ),
        (
            office,
            "entity_type: office\n  joins: [{alias: r, table: t, on: x, kind: outer}]",
            "entities[0].joins[0].kind",
            "unknown word",
        ),
        (
            office,
            "entity_type: office\n  sensitive: [\"$run_now$\"]",
            "entities[0].sensitive[0]",
            "reserved",
        ),
    ]);
}

#[test]
fn every_problem_is_told_at_once() {
    let text = SMALL
        .replace("version: 1", "version: 3")
        .replace("trim]", "trimm]")
        .replace("entity: users", "entity: offices")
        .replace("orphan: set_null", "orphan: null");
    let problems = problems_of(&text);
    assert_eq!(problems.len(), 4, "{problems:#?}");
    let lines: Vec<Option<usize>> = problems.iter().map(|problem| problem.line).collect();
    assert!(lines.is_sorted(), "{lines:?}");
}
