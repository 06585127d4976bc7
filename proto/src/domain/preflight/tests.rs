use super::*;
use crate::domain::catalog::TableName;
use crate::domain::compile::tests::clinic;
use crate::domain::compiled::{CompiledEntity, ConflictRule, Consistency, ConstraintMode, Warning};

fn server(place: Place) -> ServerFacts {
    ServerFacts {
        version: 150_018,
        encoding: "UTF8".to_owned(),
        database: "db".to_owned(),
        role: match place {
            Place::Source => "reader",
            Place::Destination | Place::LeaseStore => "writer",
        }
        .to_owned(),
        keeps_login: true,
        keeps_session: true,
        max_connections: 100,
        reserved_connections: 3,
        used_connections: 10,
        role_connections: -1,
        database_connections: -1,
        sees_activity: true,
        can_stage: true,
        can_create: true,
        timeouts: [("statement_timeout".to_owned(), 600_000)].into(),
        ..ServerFacts::default()
    }
}

/// Facts in which nothing is wrong.
fn sound(plan: &CompiledPlan) -> Facts {
    let reads = access::tables_read(plan)
        .into_iter()
        .map(|table| ReadFacts {
            table: table.clone(),
            can_use: true,
            can_select: true,
            is_filtered: false,
            is_forced: false,
            rows: 1000,
            bytes: 100_000,
        });
    let writes = plan.entities.iter().map(|entity| WriteFacts {
        table: entity.destination.clone(),
        owner: "boss".to_owned(),
        can_use: true,
        can_index: true,
        is_owner: true,
        rights: ["select", "insert", "update", "delete"]
            .map(str::to_owned)
            .into(),
        is_filtered: false,
        has_rls: false,
        is_forced: false,
        has_rows: false,
        bytes: 0,
        indexes: 1,
        refers_to: Vec::new(),
        sequences: Vec::new(),
        locks: Vec::new(),
    });
    Facts {
        source: server(Place::Source),
        destination: server(Place::Destination),
        reads: reads.collect(),
        writes: writes.collect(),
        ..Facts::default()
    }
}

fn all(plan: &CompiledPlan, facts: &Facts) -> Vec<Check> {
    judge(
        plan,
        facts,
        &LeaseFacts::OneProcess,
        &load(plan, facts, &[]),
    )
}

#[track_caller]
fn check(plan: &CompiledPlan, facts: &Facts, place: Place, name: &str) -> Check {
    let checks = all(plan, facts);
    let mut found = checks
        .into_iter()
        .filter(|check| check.place == place && check.name == name);
    let check = found
        .next()
        .unwrap_or_else(|| panic!("no check {place} {name}"));
    assert!(found.next().is_none(), "{place} {name} is there twice");
    check
}

/// What changes in the plan or the facts, and what the check then says.
type Case<'a> = (
    &'a str,
    Place,
    &'a str,
    Verdict,
    &'a str,
    fn(&mut CompiledPlan, &mut Facts),
);

#[track_caller]
fn judged(cases: &[Case<'_>]) {
    for (what, place, name, verdict, words, change) in cases {
        let mut plan = clinic();
        let mut facts = sound(&plan);
        change(&mut plan, &mut facts);
        let check = check(&plan, &facts, *place, name);
        assert_eq!(check.verdict, *verdict, "{what}: {check:?}");
        assert!(check.found.contains(words), "{what}: {check:?}");
        assert_eq!(
            check.mend.is_empty(),
            *verdict == Verdict::Pass,
            "{what}: {check:?}"
        );
    }
}

#[test]
fn where_nothing_is_wrong_every_check_passes_and_has_its_own_name() {
    let plan = clinic();
    let checks = all(&plan, &sound(&plan));
    let wrong: Vec<&Check> = checks
        .iter()
        .filter(|check| check.verdict != Verdict::Pass)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut names: Vec<(u8, &str)> = checks
        .iter()
        .map(|check| (check.place as u8, check.name.as_str()))
        .collect();
    let count = names.len();
    assert!(names.is_sorted_by_key(|(place, _)| *place), "{names:?}");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(refusal(&plan, &sound(&plan)).is_none());
}

#[test]
fn servers_and_sessions_are_judged() {
    use Place::{Destination, Source};
    use Verdict::{Block, Pass, Warn};
    judged(&[
        (
            "old source",
            Source,
            "server_version",
            Block,
            "PostgreSQL 11.22",
            |_, facts| {
                facts.source.version = 110_022;
            },
        ),
        (
            "13 reads",
            Source,
            "server_version",
            Pass,
            "13.9",
            |_, facts| {
                facts.source.version = 130_009;
            },
        ),
        (
            "13 is not written to",
            Destination,
            "server_version",
            Block,
            "13.9",
            |_, facts| {
                facts.destination.version = 130_009;
            },
        ),
        (
            "new",
            Destination,
            "server_version",
            Warn,
            "newer",
            |_, facts| {
                facts.destination.version = 190_000;
            },
        ),
        (
            "unchecked bytes",
            Source,
            "encoding",
            Warn,
            "SQL_ASCII",
            |_, facts| {
                facts.source.encoding = "SQL_ASCII".to_owned();
            },
        ),
        (
            "latin source",
            Source,
            "encoding",
            Pass,
            "LATIN1",
            |_, facts| {
                facts.source.encoding = "LATIN1".to_owned();
            },
        ),
        (
            "latin destination",
            Destination,
            "encoding",
            Warn,
            "22P05",
            |_, facts| {
                facts.destination.encoding = "LATIN1".to_owned();
            },
        ),
        (
            "shared backends",
            Source,
            "pooler",
            Block,
            "transaction mode",
            |_, facts| {
                facts.source.keeps_session = false;
            },
        ),
        (
            "dropped settings",
            Destination,
            "pooler",
            Block,
            "at its login",
            |_, facts| {
                facts.destination.keeps_login = false;
            },
        ),
        (
            "snapshot cut off",
            Source,
            "timeouts",
            Block,
            "holds the snapshot",
            |_, facts| {
                facts
                    .source
                    .timeouts
                    .insert("transaction_timeout".to_owned(), 3_600_000);
            },
        ),
        (
            "long enough",
            Destination,
            "timeouts",
            Warn,
            "may end a rebuild",
            |_, facts| {
                facts
                    .destination
                    .timeouts
                    .insert("transaction_timeout".to_owned(), 3_600_000);
            },
        ),
        (
            "short idle",
            Source,
            "timeouts",
            Block,
            "idle_in_transaction",
            |_, facts| {
                let timeouts = &mut facts.source.timeouts;
                timeouts.insert("idle_in_transaction_session_timeout".to_owned(), 10_000);
            },
        ),
        (
            "short sessions",
            Destination,
            "timeouts",
            Warn,
            "idle_session_timeout",
            |_, facts| {
                facts
                    .destination
                    .timeouts
                    .insert("idle_session_timeout".to_owned(), 5_000);
            },
        ),
        (
            "short statements",
            Destination,
            "timeouts",
            Block,
            "statement_timeout",
            |_, facts| {
                facts
                    .destination
                    .timeouts
                    .insert("statement_timeout".to_owned(), 8_000);
            },
        ),
        (
            "few places",
            Source,
            "connections",
            Warn,
            "5 free of the server",
            |_, facts| {
                facts.source.used_connections = 92;
            },
        ),
        (
            "no place",
            Destination,
            "connections",
            Block,
            "2 free of the server",
            |_, facts| {
                facts.destination.used_connections = 95;
            },
        ),
        (
            "bound role",
            Source,
            "connections",
            Block,
            "3 free of the role",
            |_, facts| {
                facts.source.role_connections = 3;
            },
        ),
    ]);
}

#[test]
fn what_others_do_is_judged() {
    use Place::{Destination, Source};
    use Verdict::{Block, Pass, Warn};
    fn long() -> Vec<LongTransaction> {
        vec![LongTransaction {
            pid: 4711,
            role: "app".to_owned(),
            application: "psql".to_owned(),
            seconds: 90,
        }]
    }
    fn prepared() -> Vec<Prepared> {
        vec![Prepared {
            gid: "it's".to_owned(),
            seconds: 7,
        }]
    }
    fn lock(pid: Option<i32>, mode: &str, seconds: Option<i64>) -> Vec<LockFact> {
        vec![LockFact {
            pid,
            mode: mode.to_owned(),
            seconds,
        }]
    }
    judged(&[
        (
            "long read",
            Source,
            "long_transactions",
            Warn,
            "backend 4711 of app (psql) for 90 s",
            |_, facts| {
                facts.source.long_transactions = long();
            },
        ),
        (
            "unseen",
            Source,
            "long_transactions",
            Pass,
            "cannot be seen",
            |_, facts| {
                facts.source.sees_activity = false;
            },
        ),
        (
            "prepared",
            Source,
            "prepared_transactions",
            Warn,
            "\"it's\" for 7 s",
            |_, facts| {
                facts.source.prepared = prepared();
            },
        ),
        (
            "never frozen",
            Source,
            "prepared_transactions",
            Block,
            "nobody's exit",
            |plan, facts| {
                plan.consistency = Consistency::Frozen;
                facts.source.prepared = prepared();
            },
        ),
        (
            "writer",
            Destination,
            "locks",
            Warn,
            "backend 9 holds RowExclusiveLock on offices for 60 s",
            |_, facts| {
                facts.writes[0].locks = lock(Some(9), "RowExclusiveLock", Some(60));
            },
        ),
        (
            "a passing statement",
            Destination,
            "locks",
            Pass,
            "",
            |_, facts| {
                facts.writes[0].locks = lock(Some(9), "RowExclusiveLock", Some(1));
            },
        ),
        (
            "a reader of what keeps its keys",
            Destination,
            "locks",
            Pass,
            "",
            |plan, facts| {
                plan.entities[0].settings.constraints = ConstraintMode::Keep;
                facts.writes[0].locks = lock(Some(9), "AccessShareLock", Some(60));
            },
        ),
        (
            "nobody's",
            Destination,
            "locks",
            Block,
            "a prepared transaction holds",
            |_, facts| {
                facts.writes[0].locks = lock(None, "RowExclusiveLock", Some(60));
            },
        ),
        (
            "cancelled reads",
            Source,
            "replica",
            Warn,
            "after 30000 ms",
            |_, facts| {
                facts.source.replica = Some(ReplicaFacts {
                    cancel_after_ms: 30_000,
                    ..ReplicaFacts::default()
                });
            },
        ),
        ("kept reads", Source, "replica", Pass, "", |_, facts| {
            facts.source.replica = Some(ReplicaFacts {
                has_feedback: true,
                cancel_after_ms: 30_000,
                lag_seconds: 2,
            });
        }),
        (
            "a frozen replica",
            Source,
            "replica",
            Block,
            "replay counts as a write",
            |plan, facts| {
                plan.consistency = Consistency::Frozen;
                facts.source.replica = Some(ReplicaFacts {
                    has_feedback: true,
                    ..ReplicaFacts::default()
                });
            },
        ),
        (
            "a late replica",
            Source,
            "replica",
            Warn,
            "300 s behind",
            |_, facts| {
                facts.source.replica = Some(ReplicaFacts {
                    has_feedback: true,
                    cancel_after_ms: -1,
                    lag_seconds: 300,
                });
            },
        ),
    ]);
}

#[test]
fn every_missing_right_is_named_with_its_grant_and_refuses_a_start_in_the_same_words() {
    let plan = clinic();
    let mut facts = sound(&plan);
    facts
        .reads
        .iter_mut()
        .for_each(|read| read.can_select = false);
    facts.source.role = "re\"ader".to_owned();
    let source = check(&plan, &facts, Place::Source, "grants");
    assert_eq!(source.verdict, Verdict::Block);
    assert_eq!(source.mend.len(), facts.reads.len(), "{source:?}");
    for read in &facts.reads {
        assert!(source.found.contains(&read.table.to_string()), "{source:?}");
        let grant = format!("grant select on {} to \"re\"\"ader\";", read.table.quoted());
        assert!(source.mend.contains(&grant), "{source:?}");
    }
    let refused = refusal(&plan, &facts).unwrap();
    assert_eq!(refused.kind, FailureKind::Denied);
    assert_eq!(refused.message, source.found);
    assert!(
        source.found.starts_with("the source's role may not read "),
        "{source:?}"
    );

    let mut facts = sound(&plan);
    facts.writes.iter_mut().for_each(|write| {
        write.rights.clear();
        write.is_owner = false;
        write.can_index = false;
    });
    facts.destination.can_create = false;
    let destination = check(&plan, &facts, Place::Destination, "grants");
    for words in [
        "may not create schema drover",
        "may not insert into jaws, members, offices, orders, products, users;",
        "may not select jaws",
        "must own jaws, members, offices, orders, products, users to rebuild keys, or the plan says `constraints: keep`",
        "must be granted create on schema public",
    ] {
        assert!(
            destination.found.contains(words),
            "{words}: {destination:?}"
        );
    }
}

#[test]
fn a_plan_that_keeps_constraints_needs_no_owner_but_for_late_references() {
    let mut plan = clinic();
    plan.entities
        .iter_mut()
        .for_each(|entity| entity.settings.constraints = ConstraintMode::Keep);
    let mut facts = sound(&plan);
    facts.writes.iter_mut().for_each(|write| {
        write.is_owner = false;
        write.can_index = false;
    });
    assert_eq!(
        check(&plan, &facts, Place::Destination, "grants").verdict,
        Verdict::Pass
    );
    // A foreign key to itself is away during the load all the same.
    let own = facts.writes[0].table.clone();
    facts.writes[0].refers_to.push(ForeignTarget {
        table: own,
        can_reference: false,
    });
    let found = check(&plan, &facts, Place::Destination, "grants");
    assert!(
        found.found.contains("must own offices, whose foreign keys"),
        "{found:?}"
    );
    assert!(
        found
            .found
            .contains("may not put back foreign keys to offices"),
        "{found:?}"
    );
}

#[test]
fn row_level_security_that_hides_or_refuses_rows_blocks_and_names_its_entities() {
    let plan = clinic();
    let mut facts = sound(&plan);
    facts.reads[0].is_filtered = true;
    facts.writes[0].is_filtered = true;
    let hidden = check(&plan, &facts, Place::Source, "row_level_security");
    assert_eq!(
        (hidden.verdict, hidden.mend),
        (
            Verdict::Block,
            vec!["alter role \"reader\" bypassrls;".to_owned()]
        )
    );
    let refused = check(&plan, &facts, Place::Destination, "row_level_security");
    assert_eq!(refused.verdict, Verdict::Block);
    let by_entity = facts.filtered(&plan);
    assert!(
        by_entity
            .iter()
            .any(|(_, words)| words.starts_with("row level security would hide rows of"))
    );
    assert!(by_entity.contains(&(
        "offices".to_owned(),
        "COPY into offices needs a role that bypasses row level security".to_owned()
    )));
    // Both are told as problems of the plan, not as a failure of the start.
    assert!(refusal(&plan, &facts).is_none());
}

#[test]
fn hazards_full_targets_and_disks_are_told() {
    let mut plan = clinic();
    plan.warnings.push(Warning {
        entity: "offices".to_owned(),
        message: "its triggers fire for every row: audit".to_owned(),
    });
    let mut facts = sound(&plan);
    facts.writes[0].has_rows = true;
    facts.reads.iter_mut().for_each(|read| {
        read.rows = 100_000_000;
        read.bytes = 20 << 30;
    });
    let hazards = check(
        &plan,
        &facts,
        Place::Destination,
        "triggers_and_publications",
    );
    assert!(
        hazards.verdict == Verdict::Warn && hazards.found.contains("audit"),
        "{hazards:?}"
    );
    let rows = check(&plan, &facts, Place::Destination, "target_rows");
    assert!(
        rows.verdict == Verdict::Warn && rows.found.starts_with("offices have rows"),
        "{rows:?}"
    );
    let disk = check(&plan, &facts, Place::Destination, "disk");
    assert!(
        disk.verdict == Verdict::Warn && disk.found.contains("cannot be seen"),
        "{disk:?}"
    );
    let undone = inverse(&plan, &facts);
    let of_offices = undone
        .iter()
        .find(|one| one.action == "load" && one.entity.as_deref() == Some("offices"));
    let of_offices = of_offices.unwrap();
    assert!(
        of_offices.class == InverseClass::Irreversible && of_offices.why.contains("audit"),
        "{of_offices:?}"
    );
}

#[test]
fn a_lease_store_is_reachable_slow_silent_or_not_needed() {
    let plan = clinic();
    let facts = sound(&plan);
    for (lease, verdict, words) in [
        (LeaseFacts::OneProcess, Verdict::Pass, "no etcd is needed"),
        (LeaseFacts::Answered(1_250), Verdict::Pass, "1.2 ms"),
        (LeaseFacts::Answered(250_000), Verdict::Warn, "250 ms"),
        (
            LeaseFacts::Silent("refused".to_owned()),
            Verdict::Block,
            "refused",
        ),
    ] {
        let checks = judge(&plan, &facts, &lease, &Load::default());
        let last = checks.last().unwrap();
        assert_eq!(
            (last.place, last.verdict),
            (Place::LeaseStore, verdict),
            "{last:?}"
        );
        assert!(last.found.contains(words), "{last:?}");
    }
}

#[test]
fn steps_follow_the_plan_and_their_inverse_runs_backwards() {
    let plan = clinic();
    let facts = sound(&plan);
    let forward = steps(&plan, &facts);
    let of = |action: &str| -> Vec<&str> {
        let steps = forward.iter().filter(|step| step.action == action);
        steps.filter_map(|step| step.entity.as_deref()).collect()
    };
    let active: Vec<&str> = access::active(&plan)
        .map(|entity| entity.entity.as_str())
        .collect();
    assert_eq!(of("load"), active);
    assert_eq!(of("drop_keys"), active);
    assert_eq!(forward[0].action, "prepare");
    let last: Vec<&str> = forward[forward.len() - 3..]
        .iter()
        .map(|step| step.action.as_str())
        .collect();
    assert_eq!(last, ["foreign_keys", "finish", "finalize"]);
    let backward = inverse(&plan, &facts);
    let loads: Vec<&str> = backward
        .iter()
        .filter(|step| step.action == "load")
        .filter_map(|step| step.entity.as_deref())
        .collect();
    assert_eq!(loads, active.into_iter().rev().collect::<Vec<_>>());
    assert_eq!(backward.last().unwrap().action, "prepare");
    let lost = backward
        .iter()
        .filter(|step| step.class == InverseClass::Irreversible);
    let lost: Vec<&str> = lost.map(|step| step.action.as_str()).collect();
    assert_eq!(lost, ["finalize"]);
}

#[test]
fn what_overwrites_rows_needs_its_backup_to_be_undone() {
    let mut plan = clinic();
    plan.entities[0].on_conflict = ConflictRule::Overwrite;
    let mut facts = sound(&plan);
    facts.writes[0].bytes = 1000;
    let undone = inverse(&plan, &facts);
    let first = undone
        .iter()
        .find(|one| one.action == "load" && one.entity == Some(plan.entities[0].entity.clone()));
    assert_eq!(first.unwrap().class, InverseClass::NeedsBackup);
    assert_eq!(load(&plan, &facts, &[]).backup_bytes, 2000);
}

fn only(plan: &mut CompiledPlan) -> &mut CompiledEntity {
    plan.entities.truncate(1);
    &mut plan.entities[0]
}

#[test]
fn a_sample_is_scaled_to_the_whole_table() {
    let mut plan = clinic();
    plan.limits.parallel_partitions = 2;
    let name = only(&mut plan).entity.clone();
    let mut facts = sound(&plan);
    facts.reads.iter_mut().for_each(|read| read.rows = 100_000);
    let mut trial = Trial {
        entity: name.clone(),
        sampled: 800,
        filtered: 200,
        fit: 720,
        bytes: 72_000,
        read_us: 60_000,
        write_us: 20_000,
        ..Trial::default()
    };
    for key in 0..80 {
        trial.add("23514", "refused", "positive".to_owned(), || {
            key.to_string()
        });
    }
    assert_eq!(trial.errors.len(), 1);
    assert_eq!(
        (trial.errors[0].rows, trial.errors[0].example_key.as_str()),
        (80, "0")
    );
    let load = load(&plan, &facts, &[trial]);
    assert_eq!(
        (load.rows, load.failing, load.data_bytes),
        (72_000, Some(8_000), 7_200_000)
    );
    // 80,000 rows at 100 µs over two lanes.
    assert_eq!(load.seconds, Some(4));
    assert_eq!(load.sampled, [name]);
}

#[test]
fn a_table_that_was_never_analyzed_is_measured_by_its_bytes() {
    let mut plan = clinic();
    only(&mut plan);
    let mut facts = sound(&plan);
    facts
        .reads
        .iter_mut()
        .for_each(|read| (read.rows, read.bytes) = (-1, 50_000));
    let load = load(&plan, &facts, &[]);
    assert_eq!((load.rows, load.failing, load.seconds), (500, None, None));
    assert!(load.data_bytes > 50_000, "{load:?}");
}

#[test]
fn scripts_quote_every_name_and_give_what_is_needed_only() {
    let mut plan = clinic();
    plan.name = "evil\ndrop table x;".to_owned();
    let strange = TableName {
        schema: "Weird \"s".to_owned(),
        name: "t\"; drop".to_owned(),
    };
    let entity = only(&mut plan);
    entity.destination = strange.clone();
    entity.read.source = strange.clone();
    entity.read.also.clear();
    let mut facts = sound(&plan);
    let to = Grantees {
        source: Some("r\"1".to_owned()),
        destination: None,
    };
    let found = grants(&plan, &facts, &to);
    assert!(
        found
            .source
            .contains("grant select on \"Weird \"\"s\".\"t\"\"; drop\" to \"r\"\"1\";"),
        "{}",
        found.source
    );
    let lines: Vec<&str> = found.source.lines().collect();
    assert!(
        !lines.iter().any(|line| line.starts_with("drop")),
        "{lines:?}"
    );
    assert!(!found.source.contains("bypassrls"), "{}", found.source);
    assert!(
        found
            .destination
            .contains("alter table \"Weird \"\"s\".\"t\"\"; drop\" owner to \"writer\";"),
        "{}",
        found.destination
    );
    assert!(
        found
            .destination
            .contains("-- alter table \"Weird \"\"s\".\"t\"\"; drop\" owner to \"boss\";"),
        "{}",
        found.destination
    );
    assert!(
        !found.destination.contains("grant select"),
        "{}",
        found.destination
    );

    plan.entities[0].settings.constraints = ConstraintMode::Keep;
    facts.writes[0].has_rls = true;
    facts.reads[0].is_filtered = true;
    let found = grants(&plan, &facts, &Grantees::default());
    assert!(
        found.source.contains("alter role \"reader\" bypassrls;"),
        "{}",
        found.source
    );
    assert!(
        !found.destination.contains("owner to"),
        "{}",
        found.destination
    );
    assert!(
        found
            .destination
            .contains("alter role \"writer\" bypassrls;"),
        "{}",
        found.destination
    );
    assert!(
        found.destination.contains("grant select, insert"),
        "{}",
        found.destination
    );
    assert!(
        found.destination.contains("grant usage on schema"),
        "{}",
        found.destination
    );
}
