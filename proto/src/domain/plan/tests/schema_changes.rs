//! Schema changes of a plan: what each needs, and plans that have nothing else.

use super::*;

const HEAD: &str = "version: 1
name: p
namespace: 6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11
source: {connection: a}
destination: {connection: b}
";

/// Problems of a clean-up with one change.
fn of_change(change: &str) -> Vec<String> {
    let text = format!(
        "{HEAD}migration_type: schema_cleanup\nschema_changes:\n- {{{change}, table_name: t, when: before}}\n"
    );
    let problems = problems_of(&text).into_iter();
    problems
        .map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect()
}

#[test]
fn each_operation_says_what_it_needs_and_nothing_else() {
    for (change, words) in [
        ("operation_type: create_backup", ""),
        (
            "operation_type: drop_column",
            "drop_column needs column_name",
        ),
        ("operation_type: drop_column, column_name: c", ""),
        (
            "operation_type: drop_column, column_name: c, type: int",
            "type has no meaning for drop_column",
        ),
        (
            "operation_type: add_column, column_name: c",
            "add_column needs type",
        ),
        (
            "operation_type: add_column, column_name: c, type: int, default: '1', not_null: true",
            "",
        ),
        (
            "operation_type: add_column, column_name: c, type: int, default: '1', identity: always",
            "only one of default",
        ),
        (
            "operation_type: add_column, column_name: c, type: int, identity: sometimes",
            "unknown word",
        ),
        (
            "operation_type: modify_column, column_name: c",
            "says nothing to modify",
        ),
        (
            "operation_type: modify_column, column_name: c, time_zone: UTC",
            "says nothing to modify",
        ),
        (
            "operation_type: modify_column, column_name: c, rename_to: d",
            "",
        ),
        (
            "operation_type: modify_column, column_name: c, default: '1', drop_default: true",
            "only one of default",
        ),
        (
            "operation_type: add_constraint, object_name: k",
            "either check or columns",
        ),
        (
            "operation_type: add_constraint, object_name: k, columns: [a], check: a > 0",
            "either check or columns",
        ),
        (
            "operation_type: add_constraint, object_name: k, columns: [a], references: {table_name: u, columns: [id]}",
            "",
        ),
        (
            "operation_type: drop_constraint",
            "drop_constraint needs object_name",
        ),
        (
            "operation_type: create_index, object_name: i",
            "create_index needs columns",
        ),
        (
            "operation_type: drop_index, object_name: i, unique: true",
            "unique has no meaning for drop_index",
        ),
        ("operation_type: drop_table", "unknown word"),
        (
            "operation_type: drop_column, column_name: c, cascade: true",
            "unknown key",
        ),
    ] {
        let problems = of_change(change);
        match words {
            "" => assert_eq!(problems, Vec::<String>::new(), "{change}"),
            words => assert!(
                problems.iter().any(|one| one.contains(words)),
                "{change}: {problems:?}"
            ),
        }
    }
}

#[test]
fn a_cleanup_has_changes_alone_and_all_others_have_entities() {
    let cleanup = format!("{HEAD}migration_type: schema_cleanup\n");
    for (text, path, words) in [
        (HEAD.to_owned(), "entities", "missing"),
        (
            format!("{HEAD}entities: []\n"),
            "entities",
            "must not be empty",
        ),
        (cleanup.clone(), "schema_changes", "missing"),
        (
            format!("{cleanup}schema_changes: []\n"),
            "schema_changes",
            "must not be empty",
        ),
        (
            format!("{cleanup}entities: [{{}}]\n"),
            "entities",
            "has no entities",
        ),
    ] {
        let problems = problems_of(&text);
        let is_there = problems
            .iter()
            .any(|one| one.path == path && one.message.contains(words));
        assert!(is_there, "{text}: {problems:?}");
    }
}
