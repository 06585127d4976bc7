//! The few statements that `drover dev` runs itself.

use proto::domain::catalog::quote_ident;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor};

use crate::exit::Code;
use crate::stop::Stop;

/// Whether a server lets us in and answers.
pub async fn answers(options: &PgConnectOptions) -> bool {
    match PgConnection::connect_with(options).await {
        Ok(connection) => connection.close().await.is_ok(),
        Err(_) => false,
    }
}

/// Makes a database, if it is not there.
pub async fn create(server: &PgConnectOptions, name: &str) -> Result<(), Stop> {
    let mut connection = open(server).await?;
    let is_there: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await
            .map_err(|error| failed("look for databases", &error))?;
    if !is_there {
        let statement = format!("create database {}", quote_ident(name));
        connection
            .execute(statement.as_str())
            .await
            .map_err(|error| failed("create a database", &error))?;
    }
    connection
        .close()
        .await
        .map_err(|error| failed("leave a database", &error))
}

/// Runs scripts one after the other in a single transaction, unless `marker`, a table that the first
/// one makes, is there already.
pub async fn load(
    options: &PgConnectOptions,
    setting: Option<(&str, &str)>,
    marker: &str,
    scripts: &[&str],
) -> Result<(), Stop> {
    let mut connection = open(options).await?;
    let is_there: bool = sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(marker)
        .fetch_one(&mut connection)
        .await
        .map_err(|error| failed("look for the demo", &error))?;
    if !is_there {
        if let Some((name, value)) = setting {
            sqlx::query("select set_config($1, $2, false)")
                .bind(name)
                .bind(value)
                .execute(&mut connection)
                .await
                .map_err(|error| failed("set up the demo", &error))?;
        }
        let mut work = connection
            .begin()
            .await
            .map_err(|error| failed("load the demo", &error))?;
        for script in scripts {
            sqlx::raw_sql(script)
                .execute(&mut *work)
                .await
                .map_err(|error| failed("load the demo", &error))?;
        }
        work.commit()
            .await
            .map_err(|error| failed("load the demo", &error))?;
        connection
            .execute("analyze")
            .await
            .map_err(|error| failed("analyze the demo", &error))?;
    }
    connection
        .close()
        .await
        .map_err(|error| failed("leave a database", &error))
}

async fn open(options: &PgConnectOptions) -> Result<PgConnection, Stop> {
    let options = options
        .clone()
        .application_name("drover dev")
        .disable_statement_logging();
    PgConnection::connect_with(&options)
        .await
        .map_err(|error| failed("reach the private server", &error))
}

/// The private server holds no secrets: its words can be shown.
fn failed(action: &str, error: &sqlx::Error) -> Stop {
    Stop::new(
        Code::Failed,
        "DEV_SERVER",
        format!("cannot {action}: {error}"),
    )
}
