//! A private PostgreSQL server per test process, and databases in it.
//!
//! The server ends with the test process, however that ends: a small shell waits for its standard
//! input to close, then stops the server and removes its directory.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use uuid::Uuid;

/// Password of the superuser `postgres`; connections over TCP must give it.
pub const PASSWORD: &str = "drover-test";

static SERVER: OnceCell<Server> = OnceCell::const_new();

/// A running server.
pub struct Server {
    /// Its port on 127.0.0.1.
    pub port: u16,
    _watcher: std::process::Child,
}

/// The server of this test process.
pub async fn server() -> &'static Server {
    SERVER
        .get_or_try_init(Server::start)
        .await
        .expect("invariant: a private PostgreSQL starts")
}

impl Server {
    async fn start() -> Result<Self> {
        let bin = find_binaries()?;
        let dir = std::env::temp_dir().join(format!("drover-test-{}", Uuid::new_v4()));
        let port = free_port()?;
        let as_user = if is_root()? {
            "runuser -u postgres -- "
        } else {
            ""
        };
        let (bin, dir) = (bin.display(), dir.display());
        let script = format!(
            r#"set -eu
            mkdir -m 0700 {dir}
            printf '%s' '{PASSWORD}' > {dir}.pw
            [ -z "{as_user}" ] || chown -R postgres {dir} {dir}.pw
            {as_user}{bin}/initdb -D {dir}/data -U postgres -A scram-sha-256 --pwfile={dir}.pw -E UTF8 --locale=C.UTF-8 --no-sync >{dir}.log 2>&1
            rm -f {dir}.pw
            {as_user}{bin}/postgres -D {dir}/data -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
                -c max_connections=200 -c fsync=off -c full_page_writes=off -c max_wal_size=4GB -c log_min_messages=fatal \
                -c shared_buffers=256MB -c autovacuum=off >>{dir}.log 2>&1 </dev/null &
            pid=$!
            cat >/dev/null || true
            [ -z "{as_user}" ] || pid=$(head -n 1 {dir}/data/postmaster.pid)
            kill -INT $pid 2>/dev/null || true
            wait || true
            rm -rf {dir} {dir}.log"#
        );
        let watcher = Command::new("setsid")
            .args(["sh", "-c", &script])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start the watching shell")?;
        let server = Self {
            port,
            _watcher: watcher,
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while server.options("postgres").connect().await.is_err() {
            ensure!(
                Instant::now() < deadline,
                "PostgreSQL did not start in time"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }

    /// Options for a database of this server, as superuser.
    pub fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username("postgres")
            .password(PASSWORD)
            .database(database)
            .disable_statement_logging()
    }
}

/// A database of its own, dropped with the server.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    /// Its name.
    pub name: String,
    port: u16,
}

impl TestDatabase {
    /// An empty database.
    pub async fn new() -> Result<Self> {
        Self::create("template1").await
    }

    /// A copy of another database, to which nobody may be connected.
    pub async fn copy_of(template: &Self) -> Result<Self> {
        Self::create(&template.name).await
    }

    async fn create(template: &str) -> Result<Self> {
        let server = server().await;
        let name = format!("t_{}", Uuid::new_v4().simple());
        let mut admin = server.options("postgres").connect().await?;
        // Two copies of one template wait for each other; a try that met the other is repeated.
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let sql = format!("create database {name} template {template}");
            match sqlx::query(&sql).execute(&mut admin).await {
                Ok(_) => break,
                Err(error) if Instant::now() > deadline => bail!(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        admin.close().await?;
        Ok(Self {
            name,
            port: server.port,
        })
    }

    /// Its URL, with the password.
    pub fn url(&self) -> String {
        format!(
            "postgres://postgres:{PASSWORD}@127.0.0.1:{}/{}",
            self.port, self.name
        )
    }

    /// Options to connect.
    pub async fn options(&self) -> PgConnectOptions {
        server().await.options(&self.name)
    }

    /// A connection.
    pub async fn connect(&self) -> PgConnection {
        self.options()
            .await
            .connect()
            .await
            .expect("invariant: the private server answers")
    }

    /// Runs statements.
    pub async fn run(&self, sql: &str) -> Result<()> {
        use sqlx::Executor;
        let mut connection = self.connect().await;
        connection.execute(sqlx::raw_sql(sql)).await?;
        connection.close().await?;
        Ok(())
    }

    /// One number.
    pub async fn number(&self, sql: &str) -> Result<i64> {
        let mut connection = self.connect().await;
        let number = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(number)
    }

    /// Drops it, with everybody in it: large ones need not wait for the server's end.
    pub async fn discard(&self) -> Result<()> {
        let mut admin = server().await.options("postgres").connect().await?;
        let sql = format!("drop database if exists {} with (force)", self.name);
        sqlx::query(&sql).execute(&mut admin).await?;
        Ok(())
    }

    /// The one text that the last statement of a script gives.
    pub async fn script_text(&self, sql: &str) -> Result<String> {
        use sqlx::{Executor, Row};
        let mut connection = self.connect().await;
        let rows = connection.fetch_all(sqlx::raw_sql(sql)).await?;
        connection.close().await?;
        Ok(rows.last().context("the script gave no row")?.try_get(0)?)
    }

    /// One column of texts.
    pub async fn texts(&self, sql: &str) -> Result<Vec<String>> {
        let mut connection = self.connect().await;
        let texts = sqlx::query_scalar(sql).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok(texts)
    }
}

fn is_root() -> Result<bool> {
    let output = Command::new("id")
        .arg("-u")
        .output()
        .context("ask who we are")?;
    Ok(output.stdout.starts_with(b"0\n"))
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port())
}

fn find_binaries() -> Result<PathBuf> {
    let mut places: Vec<PathBuf> = std::env::var_os("DROVER_POSTGRES_BIN")
        .map(PathBuf::from)
        .into_iter()
        .chain(
            std::env::var_os("PATH")
                .iter()
                .flat_map(std::env::split_paths),
        )
        .collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        places.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    places
        .into_iter()
        .find(|place| place.join("initdb").exists() && place.join("postgres").exists())
        .context("no PostgreSQL server is installed: run deploy/setup.sh")
}
