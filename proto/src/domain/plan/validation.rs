//! Checks after the load, and the events of a run, which are not supported yet.

use super::declare::{choice, object, plain_choice};
use super::name::{Decimal, Name, Sql};
use super::share::{Positive, Share};

object! {
    /// One check (the data model's DataValidationResult holds its outcome).
    pub struct Validation {
        /// Kind of the check.
        "validation_type" validation_type: ValidationType,
        /// Entity, or `*`; an entity's own checks leave it out.
        "entity" entity: Option<Name>,
        /// Which check.
        "check" check: Check,
        /// How deep contents are compared: counts, aggregates, sample:N or full.
        "level" level: Option<Name>,
        /// Columns.
        #[schemars(default)]
        "columns" columns: Vec<Name>,
        /// Expression on the source.
        "source" source: Option<Sql>,
        /// Expression on the destination.
        "destination" destination: Option<Sql>,
        /// Largest difference.
        "tolerance" tolerance: Option<Decimal>,
        /// Query; `$sample` in it is a value of the column that it is compared with.
        "sql" sql: Option<Sql>,
        /// Longest time of the query, 95th percentile.
        "p95_ms" p95_ms: Option<Positive>,
        /// How bad it is; high where it is left out.
        "severity" severity: Option<Severity>,
    }
}

choice! {
    /// Kind of a check.
    pub enum ValidationType {
        /// Nothing is missing.
        DataCompleteness = "data_completeness";
        /// References hold.
        ReferentialIntegrity = "referential_integrity";
        /// The business' own rules.
        BusinessRules = "business_rules";
        /// Queries are fast enough.
        Performance = "performance";
    }
}

choice! {
    /// A check.
    pub enum Check {
        /// Numbers of rows.
        RowCount = "row_count";
        /// Contents.
        Content = "content";
        /// Foreign keys.
        ForeignKeys = "foreign_keys";
        /// Columns without duplicates.
        Unique = "unique";
        /// The same aggregate on both sides.
        Aggregate = "aggregate";
        /// A query without rows.
        ZeroRows = "zero_rows";
        /// A query's time.
        MaxMs = "max_ms";
    }
}

choice! {
    /// How bad a failed check is.
    pub enum Severity {
        /// Low.
        Low = "low";
        /// Medium.
        Medium = "medium";
        /// High.
        High = "high";
        /// Critical.
        Critical = "critical";
    }
}

plain_choice!(ValidationType, Check, Severity);

object! {
    /// Who is told what happens.
    pub struct Events {
        /// Addresses.
        #[schemars(default)]
        "webhooks" webhooks: Vec<Webhook>,
        /// Share of bad rows that is worth an event.
        "error_rate" error_rate: Option<Share>,
        /// Time over which it is measured.
        "window_seconds" window_seconds: Option<Positive>,
    }
}

object! {
    /// One address; plans hold no secrets, only where they are.
    pub struct Webhook {
        /// Where the URL is, for instance `env:NAME`.
        "url_from" url_from: Name,
        /// Where the secret is.
        "secret_from" secret_from: Option<Name>,
    }
}
