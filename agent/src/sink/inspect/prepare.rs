//! Prepares the plan's own checks without running them: what is wrong with one is said before a row moves.

use proto::domain::compiled::{CheckRule, CompiledPlan};
use proto::domain::failure::Failure;
use proto::domain::key::RunConstants;
use sqlx::Executor;
use sqlx::postgres::PgConnection;

use crate::failure::{During, database_error};

/// Problems as (entity, words).
pub async fn check_rules(
    source: &mut PgConnection,
    destination: &mut PgConnection,
    plan: &CompiledPlan,
) -> Result<Vec<(String, String)>, Failure> {
    let run = RunConstants {
        now: "2000-01-01T00:00:00Z".to_owned(),
        migration_id: uuid::Uuid::nil().to_string(),
    };
    let mut problems = Vec::new();
    for check in &plan.checks {
        let Some(entity) = plan.entity(&check.entity) else {
            continue;
        };
        let table = entity.destination.quoted();
        let (of_source, of_destination) = match &check.rule {
            CheckRule::Aggregate {
                source,
                destination,
                ..
            } => (
                Some(
                    entity
                        .read
                        .select_over(&format!("({source}\n)::text"), &run, &[]),
                ),
                Some(format!("select ({destination}\n)::text from {table}")),
            ),
            CheckRule::ZeroRows { sql } => (
                None,
                Some(format!("select count(*) from ({sql}\n) as found")),
            ),
            CheckRule::MaxMs { sql, .. } => (None, Some(sql.clone())),
            CheckRule::RowCount
            | CheckRule::Content { .. }
            | CheckRule::ForeignKeys
            | CheckRule::IdMap
            | CheckRule::Unique { .. } => continue,
        };
        for (side, connection, sql) in [
            ("source", &mut *source, of_source),
            ("destination", &mut *destination, of_destination),
        ] {
            let Some(sql) = sql else { continue };
            if let Some(refused) = refusal(connection, &sql).await? {
                let word = check.rule.word();
                let words = format!("the {side} refuses the check {word}: {refused}");
                problems.push((check.entity.clone(), words));
            }
        }
    }
    Ok(problems)
}

/// What the server has against a statement.
async fn refusal(connection: &mut PgConnection, sql: &str) -> Result<Option<String>, Failure> {
    match connection.prepare(sql).await {
        Ok(_) => Ok(None),
        Err(error) => match database_error(&error) {
            Some(refusal) => Ok(Some(refusal.message().to_owned())),
            None => Err(error).during("prepare a check"),
        },
    }
}
