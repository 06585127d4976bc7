//! Scripts that give both roles the rights that a plan needs, and no others. Repeatable: run them again after
//! the plan has changed.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::access::{
    active, is_rebuilt, keys_put_back, moved_sequences, needs_owner, rights_needed, tables_read,
};
use super::facts::Facts;
use crate::domain::catalog::quote_ident;
use crate::domain::compiled::{CompiledPlan, Consistency};

/// Roles that get the rights; none: those of the connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grantees {
    /// At the source.
    pub source: Option<String>,
    /// At the destination.
    pub destination: Option<String>,
}

/// Both scripts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// For the source, as its owner or a superuser runs it.
    pub source: String,
    /// For the destination, likewise.
    pub destination: String,
}

/// The scripts.
pub fn grants(plan: &CompiledPlan, facts: &Facts, to: &Grantees) -> Grants {
    let role =
        |wanted: &Option<String>, present: &str| quote_ident(wanted.as_deref().unwrap_or(present));
    Grants {
        source: source(plan, facts, &role(&to.source, &facts.source.role)),
        destination: destination(plan, facts, &role(&to.destination, &facts.destination.role)),
    }
}

fn head(plan: &CompiledPlan, role: &str, side: &str, connection: &str) -> String {
    format!(
        "-- Rights of {role} at the {side} (connection {connection}) for the plan {}: these and no others.\n\
         -- Run it as a superuser or as the owner of the tables; it can be repeated.\n",
        one_line(&plan.name)
    )
}

/// A comment ends with its line.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

fn source(plan: &CompiledPlan, facts: &Facts, role: &str) -> String {
    let mut sql = head(plan, role, "source", &plan.source);
    let database = quote_ident(&facts.source.database);
    let _ = writeln!(sql, "grant connect on database {database} to {role};");
    let tables = tables_read(plan);
    let schemas: BTreeSet<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    for schema in schemas {
        let _ = writeln!(
            sql,
            "grant usage on schema {} to {role};",
            quote_ident(schema)
        );
    }
    for table in &tables {
        let _ = writeln!(sql, "grant select on {} to {role};", table.quoted());
    }
    let has_policies = tables.iter().any(|table| {
        let found = facts.read(table);
        found.is_some_and(|found| found.is_filtered || found.is_forced)
    });
    if has_policies {
        let _ = writeln!(
            sql,
            "-- Row level security would hide rows.\nalter role {role} bypassrls;"
        );
    }
    let why = match plan.consistency {
        Consistency::Frozen => "whether it is frozen",
        Consistency::Snapshot | Consistency::None => {
            "after a kill, whether the source was written to"
        }
    };
    let _ = writeln!(
        sql,
        "-- Sees what other sessions do, and with that {why}.\ngrant pg_read_all_stats to {role};"
    );
    sql
}

fn destination(plan: &CompiledPlan, facts: &Facts, role: &str) -> String {
    let mut sql = head(plan, role, "destination", &plan.destination);
    let database = quote_ident(&facts.destination.database);
    let _ = writeln!(
        sql,
        "-- Makes schema drover (position, ledger, id map), drover_meta with `drover run`, and temporary tables.\n\
         grant connect, create, temporary on database {database} to {role};"
    );
    let mut statements: BTreeSet<(u8, String)> = BTreeSet::new();
    let (mut owned, mut referred) = (BTreeSet::new(), BTreeSet::new());
    let mut is_bound = false;
    for entity in active(plan) {
        let Some(table) = facts.write(&entity.destination) else {
            continue;
        };
        let (name, schema) = (table.table.quoted(), quote_ident(&table.table.schema));
        let rights = match is_rebuilt(entity, table.has_rows) {
            true => "usage, create",
            false => "usage",
        };
        statements.insert((0, format!("grant {rights} on schema {schema} to {role};")));
        let is_owner = needs_owner(plan, entity, table);
        if is_owner {
            owned.insert((name.clone(), quote_ident(&table.owner)));
        } else {
            // A rollback deletes what was written.
            let mut rights = rights_needed(entity);
            if !rights.contains(&"delete") {
                rights.push("delete");
            }
            statements.insert((
                1,
                format!("grant {} on {name} to {role};", rights.join(", ")),
            ));
        }
        is_bound |= table.is_forced || (table.has_rls && !is_owner);
        for target in keys_put_back(plan, entity, table) {
            referred.insert(target.table.quoted());
        }
        for sequence in moved_sequences(entity, table) {
            let sequence = sequence.sequence.quoted();
            // The sequence of a column follows its table to its owner.
            if !is_owner {
                let grant = format!("grant select, update on sequence {sequence} to {role};");
                statements.insert((3, grant));
            }
        }
    }
    // An owner may refer to its tables.
    for target in referred {
        if !owned.iter().any(|(table, _)| *table == target) {
            statements.insert((2, format!("grant references on {target} to {role};")));
        }
    }
    for (_, statement) in statements {
        let _ = writeln!(sql, "{statement}");
    }
    if is_bound {
        let _ = writeln!(
            sql,
            "-- Row level security refuses COPY.\nalter role {role} bypassrls;"
        );
    }
    if !owned.is_empty() {
        let _ = writeln!(
            sql,
            "-- Only an owner may drop and rebuild keys. Not needed where the plan says `constraints: keep`."
        );
        for (table, _) in &owned {
            let _ = writeln!(sql, "alter table {table} owner to {role};");
        }
        let _ = writeln!(sql, "-- Afterwards, once the migration is finalized:");
        for (table, owner) in owned.iter().filter(|(_, owner)| owner != role) {
            let _ = writeln!(sql, "-- alter table {table} owner to {};", one_line(owner));
        }
    }
    sql
}
