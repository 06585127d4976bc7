//! Makes checks and says what came of them.

use proto::domain::schema_change::{
    CheckOutcome, CheckStatus, Expected, Phase, SchemaCheck, Severity,
};
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

use crate::failure::database_error;

/// Makes the checks of a phase, outside of any transaction or inside of one.
///
/// # Errors
/// The connection's. A SELECT that the server refuses (a value that cannot be converted) is a failed check.
pub(super) async fn make(
    connection: &mut PgConnection,
    checks: &[SchemaCheck],
    phase: Phase,
    is_undoing: bool,
) -> Result<Vec<CheckOutcome>, sqlx::Error> {
    let mut outcomes = Vec::new();
    for check in checks.iter().filter(|check| check.phase == phase) {
        outcomes.push(make_one(connection, check, is_undoing).await?);
    }
    Ok(outcomes)
}

async fn make_one(
    connection: &mut PgConnection,
    check: &SchemaCheck,
    is_undoing: bool,
) -> Result<CheckOutcome, sqlx::Error> {
    let begun = Instant::now();
    let observed = text(connection, &check.sql).await?;
    let expected = match &check.expected {
        Expected::Anything => None,
        Expected::Text(text) => Some(text.clone()),
        Expected::Same(sql) => Some(text(connection, sql).await?),
    };
    let is_met = expected
        .as_ref()
        .is_none_or(|expected| *expected == observed);
    let status = match (is_met, check.severity) {
        (true, _) => CheckStatus::Pass,
        (false, Severity::Critical) => CheckStatus::Fail,
        (false, Severity::Info) => CheckStatus::Warn,
    };
    Ok(CheckOutcome {
        check: check.check.clone(),
        phase: check.phase,
        direction: if is_undoing { "rollback" } else { "apply" }.to_owned(),
        status,
        severity: check.severity,
        observed,
        expected,
        sql: check.sql.clone(),
        ms: i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX),
    })
}

/// The one text of a SELECT; the code of its refusal, where the server refuses it.
async fn text(connection: &mut PgConnection, sql: &str) -> Result<String, sqlx::Error> {
    match sqlx::query_scalar::<_, String>(sql)
        .fetch_one(&mut *connection)
        .await
    {
        Ok(text) => Ok(text),
        Err(error) => match database_error(&error).map(|refusal| refusal.code().to_owned()) {
            Some(code) if code.starts_with("22") || code.starts_with("23") => {
                Ok(format!("refused ({code})"))
            }
            Some(_) | None => Err(error),
        },
    }
}

/// What failed, in words; none where nothing did.
pub(super) fn failed(outcomes: &[CheckOutcome]) -> Option<String> {
    let failed: Vec<String> = outcomes
        .iter()
        .filter(|outcome| outcome.status == CheckStatus::Fail)
        .map(|outcome| {
            let name = outcome.check.replace('_', " ");
            match &outcome.expected {
                Some(expected) => {
                    format!("{name}: {} where {expected} was expected", outcome.observed)
                }
                None => format!("{name}: {}", outcome.observed),
            }
        })
        .collect();
    (!failed.is_empty()).then(|| failed.join("; "))
}
