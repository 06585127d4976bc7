//! The generator: what follows from a declared change and the facts of its table.

use proptest::prelude::*;

use super::*;
use crate::domain::catalog::TableName;
use crate::domain::frame::Side;
use crate::domain::plan::parse;
use crate::domain::record::{RiskLevel, SchemaOperationType};

fn name(text: &str) -> TableName {
    TableName {
        schema: "public".to_owned(),
        name: text.to_owned(),
    }
}

fn column(text: &str) -> ColumnFacts {
    ColumnFacts {
        name: text.to_owned(),
        ty: "integer".to_owned(),
        collation: None,
        not_null: true,
        default: None,
        generated: None,
        sequence: None,
        extras: Vec::new(),
    }
}

fn constraint(kind: ConstraintKind, table: &str, text: &str, columns: &[&str]) -> ConstraintFacts {
    let index = format!("CREATE UNIQUE INDEX {text} ON public.{table} USING btree (x)");
    ConstraintFacts {
        name: text.to_owned(),
        kind,
        table: name(table),
        columns: columns.iter().map(|one| (*one).to_owned()).collect(),
        references: None,
        referenced: Vec::new(),
        definition: "CHECK (true)".to_owned(),
        is_valid: true,
        index: matches!(kind, ConstraintKind::Primary | ConstraintKind::Unique).then_some(index),
        timing: String::new(),
        extras: Vec::new(),
    }
}

fn facts(table: &str, key: &str, other: &str) -> TableFacts {
    TableFacts {
        name: name(table),
        is_plain: true,
        rows: 10,
        bytes: 1000,
        columns: vec![column(key), column(other)],
        constraints: vec![constraint(ConstraintKind::Primary, table, "t_pkey", &[key])],
        indexes: Vec::new(),
        objects: Vec::new(),
        dependants: Vec::new(),
        update_triggers: Vec::new(),
        publications: Vec::new(),
        has_long_transactions: false,
        written_by: Vec::new(),
        refusal: None,
        ty: None,
        offenders: None,
        values: Some(10),
    }
}

fn change(table: &str, change: Change) -> DeclaredChange {
    DeclaredChange {
        number: 3,
        side: Side::Destination,
        moment: Moment::Cleanup,
        table: name(table),
        change,
    }
}

fn dropping(table: &str, column: &str) -> DeclaredChange {
    let column = column.to_owned();
    change(table, Change::DropColumn { column })
}

fn planned(change: &DeclaredChange, facts: &TableFacts) -> PlannedChange {
    generate(change, Some(facts), ("0123abcd", "clinic"))
}

/// Every statement of a planned change.
fn statements(planned: &PlannedChange) -> Vec<String> {
    let steps = planned.operations.iter().flat_map(|one| {
        let undo = one.undo.iter().flatten();
        one.steps.iter().chain(undo)
    });
    let all = steps.flat_map(|step| {
        let around: Vec<&String> = match &step.run {
            Run::Batches { before, after, .. } => before.iter().chain(after).collect(),
            Run::Instant | Run::Long | Run::Concurrently { .. } => Vec::new(),
        };
        step.sql.iter().chain(&step.abandon).chain(around)
    });
    all.cloned().collect()
}

#[test]
fn what_hangs_on_a_column_goes_before_it_and_nothing_cascades() {
    let mut facts = facts("t", "id", "c");
    let mut inbound = constraint(ConstraintKind::ForeignKey, "child", "child_fk", &["c"]);
    inbound.references = Some(name("t"));
    inbound.referenced = vec!["c".to_owned()];
    let mut outbound = constraint(ConstraintKind::ForeignKey, "t", "a_fk", &["c"]);
    outbound.references = Some(name("p"));
    outbound.referenced = vec!["id".to_owned()];
    facts.constraints.extend([
        constraint(ConstraintKind::Unique, "t", "t_c_key", &["c"]),
        outbound,
        inbound,
    ]);
    facts.indexes.push(IndexFacts {
        name: "t_ix".to_owned(),
        columns: vec!["c".to_owned()],
        definition: "CREATE INDEX t_ix ON public.t USING btree (c)".to_owned(),
        extras: Vec::new(),
    });
    let planned = planned(&dropping("t", "c"), &facts);
    assert_eq!(planned.refusals, Vec::<String>::new());
    let made: Vec<(SchemaOperationType, Option<&str>)> = planned
        .operations
        .iter()
        .map(|one| {
            (
                one.operation_type,
                one.object.as_deref().or(one.column.as_deref()),
            )
        })
        .collect();
    assert_eq!(
        made,
        [
            (SchemaOperationType::CreateBackup, None),
            (SchemaOperationType::DropConstraint, Some("child_fk")),
            (SchemaOperationType::DropConstraint, Some("a_fk")),
            (SchemaOperationType::DropConstraint, Some("t_c_key")),
            (SchemaOperationType::DropIndex, Some("t_ix")),
            (SchemaOperationType::DropColumn, Some("c")),
        ]
    );
    assert_eq!(planned.risk(), Some(RiskLevel::Critical));
    for sql in statements(&planned) {
        assert!(!sql.to_lowercase().contains("cascade"), "{sql}");
    }
}

#[test]
fn what_surrounds_a_table_makes_it_worse_by_one_level_each() {
    let rewrite = || {
        change(
            "t",
            Change::AddColumn(NewColumn {
                name: "n".to_owned(),
                ty: "uuid".to_owned(),
                not_null: false,
                default: Some("gen_random_uuid()".to_owned()),
                generated: None,
                identity: None,
            }),
        )
    };
    let facts = || TableFacts {
        ty: Some(TypeFacts {
            ty: "uuid".to_owned(),
            rewrites: true,
            is_automatic: true,
            fit: Fit::default(),
        }),
        ..facts("t", "id", "c")
    };
    let level = |change: &DeclaredChange, facts: &TableFacts| planned(change, facts).risk();
    assert_eq!(level(&rewrite(), &facts()), Some(RiskLevel::Medium));
    let published = TableFacts {
        publications: vec!["all".to_owned()],
        ..facts()
    };
    assert_eq!(level(&rewrite(), &published), Some(RiskLevel::High));
    let busy = TableFacts {
        has_long_transactions: true,
        ..published
    };
    assert_eq!(level(&rewrite(), &busy), Some(RiskLevel::Critical));
    let large = TableFacts {
        bytes: 2 << 30,
        ..busy
    };
    assert_eq!(level(&rewrite(), &large), Some(RiskLevel::Critical));
    let at_source = DeclaredChange {
        side: Side::Source,
        ..rewrite()
    };
    assert_eq!(level(&at_source, &facts()), Some(RiskLevel::High));
    let reasons = &planned(&rewrite(), &large).operations[0].risk.reasons;
    assert_eq!(reasons.len(), 4, "{reasons:?}");
}

#[test]
fn rows_of_the_own_migration_are_not_written_anew() {
    let mut facts = facts("t", "id", "c");
    facts.ty = Some(TypeFacts {
        ty: "bigint".to_owned(),
        rewrites: true,
        is_automatic: true,
        fit: Fit::default(),
    });
    let ty = ColumnType {
        sql: "bigint".to_owned(),
        time_zone: None,
    };
    let change = change(
        "t",
        Change::SetType {
            column: "c".to_owned(),
            ty,
        },
    );
    facts.written_by = vec!["other".to_owned()];
    assert_eq!(planned(&change, &facts).risk(), Some(RiskLevel::Critical));
    facts.written_by = vec!["clinic".to_owned()];
    assert!(planned(&change, &facts).refusals[0].contains("when: before"));
}

#[test]
fn not_null_and_foreign_keys_never_look_at_rows_under_a_strong_lock() {
    let mut facts = facts("t", "id", "c");
    facts.columns[1].not_null = false;
    facts.offenders = Some(0);
    let set = change(
        "t",
        Change::SetNotNull {
            column: "c".to_owned(),
            not_null: true,
        },
    );
    let runs: Vec<Run> = planned(&set, &facts).operations[0]
        .steps
        .iter()
        .map(|step| step.run.clone())
        .collect();
    assert_eq!(runs, [Run::Instant, Run::Long, Run::Instant]);
    let all = statements(&planned(&set, &facts));
    assert!(
        all[0].ends_with("not valid") && all.iter().any(|sql| sql.contains("validate constraint"))
    );
}

#[test]
fn consent_grows_with_the_risk() {
    let change = dropping("orders", "to'tal");
    let consent = |yes, names: &[&str]| Consent {
        yes,
        names: names.iter().map(|one| (*one).to_owned()).collect(),
    };
    for (level, consent, is_enough) in [
        (RiskLevel::Low, consent(false, &[]), true),
        (RiskLevel::Medium, consent(false, &["orders"]), false),
        (RiskLevel::Medium, consent(true, &[]), true),
        (RiskLevel::High, consent(true, &["orders"]), false),
        (RiskLevel::High, consent(false, &["orders.to'tal"]), false),
        (RiskLevel::High, consent(true, &["orders.to'tal"]), true),
        (
            RiskLevel::Critical,
            consent(true, &["orders.to'tal"]),
            false,
        ),
        (RiskLevel::Critical, consent(true, &["orders"]), true),
    ] {
        assert_eq!(
            consent.covers(&change, level).is_ok(),
            is_enough,
            "{level} {consent:?}"
        );
    }
    let missing = Consent::default()
        .covers(&change, RiskLevel::High)
        .unwrap_err();
    assert_eq!(missing.flags, r"--yes --confirm 'orders.to'\''tal'");
}

#[test]
fn entries_of_several_aspects_are_several_changes() {
    let plan = "version: 1
name: p
migration_type: schema_cleanup
namespace: 6f1b6c0e-6b3e-5d0a-9a53-0c7d3b5f9e11
source: {connection: a}
destination: {connection: b}
schema_changes:
- {operation_type: modify_column, table_name: s.t, column_name: c, type: int, not_null: true, default: '1', rename_to: d, when: before}
- {operation_type: add_constraint, on: source, table_name: t, object_name: k, columns: [a], when: after}
";
    let all = declared(&parse(plan).unwrap());
    let numbers: Vec<u32> = all.iter().map(|one| one.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    assert!(matches!(all[0].change, Change::SetType { .. }));
    assert!(matches!(all[3].change, Change::RenameColumn { .. }));
    assert_eq!((all[4].side, all[4].moment), (Side::Source, Moment::After));
    assert_eq!(all[0].label(), "s.t.c");
}

/// What is left of a statement without quoted names and literals.
fn bare(sql: &str) -> String {
    let mut left = String::new();
    let mut quote: Option<char> = None;
    for letter in sql.chars() {
        match quote {
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None => left.push(letter),
            Some(open) if open == letter => quote = None,
            Some(_) => {}
        }
    }
    assert!(quote.is_none(), "{sql}");
    left
}

proptest! {
    #[test]
    fn names_stay_within_their_quotes(
        table in "[a-zé\"'; .\\\\-]{1,70}", key in "[k\"'é]{1,9}", other in "[a-z\"'; \\\\\u{1F404}]{1,20}"
    ) {
        prop_assume!(key != other);
        let mut facts = facts(&table, &key, &other);
        facts.columns[1].default = Some("7".to_owned());
        let planned = planned(&dropping(&table, &other), &facts);
        prop_assert!(planned.refusals.is_empty());
        for sql in statements(&planned) {
            let left = bare(&sql);
            let is_plain = |c: char| c.is_ascii_alphanumeric() || " _().,=<>:;*".contains(c);
            prop_assert!(left.chars().all(is_plain) && !left.contains(';'), "{left}\n{sql}");
        }
        let backup = planned.operations[0].backup.clone().unwrap();
        prop_assert!(backup.table.name.len() <= 63);
        // The same facts come to the same operations.
        prop_assert_eq!(&super::generate(&dropping(&table, &other), Some(&facts), ("0123abcd", "clinic")), &planned);
        // And they come back from the journal as they were.
        for operation in &planned.operations {
            let text = serde_json::to_string(operation).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Operation>(&text).unwrap(), operation);
        }
    }
}
