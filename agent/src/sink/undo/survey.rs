//! What stands in the way of an undo: rows that others wrote after this migration did, and rows of ours that
//! rows which stay refer to.
//!
//! A row that stays keeps the row it refers to, and that one the next: the search goes on until it finds
//! nothing more. Only keys are looked at and told.

use proto::domain::catalog::quote_ident;
use proto::domain::failure::Failure;
use proto::domain::undo::{ConflictKind, ConflictPolicy, LISTED, UndoConflict};
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use super::reference::{Reference, references};
use super::site::{INSERTED, Site, ours};
use crate::failure::During;

/// The table that conflicts of an undo under way are kept in.
pub const KEPT: &str = "drover.undo_conflict";

/// What was found.
#[derive(Debug, Default)]
pub struct Survey {
    /// Everything in the way.
    pub conflicts: Vec<UndoConflict>,
    /// Foreign keys by which rows that stay refer to ours: they are not dropped.
    pub held: Vec<Reference>,
}

#[derive(Debug, FromRow)]
struct Found {
    count: i64,
    keys: Vec<String>,
}

impl Survey {
    /// It cannot go on like this: nobody has said what becomes of the conflicts, or a foreign key forbids what
    /// was said.
    pub fn is_blocked(&self, policy: Option<ConflictPolicy>) -> bool {
        match policy {
            None => !self.conflicts.is_empty(),
            Some(ConflictPolicy::Keep) => false,
            Some(ConflictPolicy::Force) => self.held.iter().any(|held| !held.yields()),
        }
    }
}

/// Looks for conflicts of all sites and writes their keys into the table `kept`, which is empty for them.
pub async fn survey(
    connection: &mut PgConnection,
    sites: &[Site],
    (kept, policy): (&str, Option<ConflictPolicy>),
) -> Result<Survey, Failure> {
    let mut survey = Survey::default();
    for site in sites {
        // Most tables hold nothing but rows as they were written: one look at them tells.
        if !has_others(connection, site).await? {
            continue;
        }
        for select in changed(site, kept) {
            let found = collect(connection, &select).await?;
            survey.add(site, found, None);
        }
    }
    let references = references(connection, sites).await?;
    loop {
        let mut is_new = false;
        for reference in &references {
            let parents = sites.iter().filter(|site| site.table == reference.parent);
            for site in parents {
                let mut of_child = sites.iter().filter(|it| it.table == reference.child);
                let is_kept = of_child.any(|it| survey.concerns(it));
                let select = referred(site, reference, sites, (kept, policy, is_kept));
                let found = collect(connection, &select).await?;
                if found.count > 0 {
                    is_new = true;
                    survey.add(site, found, Some(reference));
                }
            }
        }
        if !is_new {
            return Ok(survey);
        }
    }
}

impl Survey {
    /// Rows of the site are among the conflicts.
    pub fn concerns(&self, site: &Site) -> bool {
        self.conflicts
            .iter()
            .any(|conflict| conflict.entity == site.entity)
    }

    fn add(&mut self, site: &Site, found: Found, by: Option<&Reference>) {
        if found.count == 0 {
            return;
        }
        if let Some(reference) = by
            && !self
                .held
                .iter()
                .any(|held| held.name == reference.name && held.child == reference.child)
        {
            self.held.push(reference.clone());
        }
        let constraint = by.map(|reference| reference.name.clone());
        let referrer = by.map(|reference| reference.child.to_string());
        let known = self.conflicts.iter_mut().find(|known| {
            known.entity == site.entity
                && known.constraint == constraint
                && known.referrer == referrer
        });
        match known {
            Some(known) => {
                known.count += found.count;
                let room = LISTED.saturating_sub(known.keys.len());
                known.keys.extend(found.keys.into_iter().take(room));
            }
            None => self.conflicts.push(UndoConflict {
                entity: site.entity.clone(),
                table: site.table.to_string(),
                kind: match by {
                    Some(_) => ConflictKind::Referred,
                    None => ConflictKind::Changed,
                },
                constraint,
                referrer,
                count: found.count,
                keys: found.keys,
            }),
        }
    }
}

/// Whether the table has a row that this migration did not write last.
async fn has_others(connection: &mut PgConnection, site: &Site) -> Result<bool, Failure> {
    let sql = format!(
        "select exists (select from {} t where t.xmin not in {})",
        site.table.quoted(),
        site.ours()
    );
    sqlx::query_scalar(&sql)
        .fetch_one(connection)
        .await
        .during("look for rows that are not as they were written")
}

async fn collect(connection: &mut PgConnection, insert: &str) -> Result<Found, Failure> {
    let sql = format!(
        "with kept as ({insert}) \
         select count(*), coalesce((array_agg(row_key #>> '{{}}' order by row_key #>> '{{}}'))[1:{LISTED}], '{{}}') as keys \
         from kept"
    );
    sqlx::query_as(&sql)
        .fetch_one(connection)
        .await
        .during("look for rows that are not as they were written")
}

/// Rows that we inserted or changed and that others have written since.
pub(super) fn changed(site: &Site, kept: &str) -> Vec<String> {
    let insert = |from: String| {
        format!(
            "insert into {kept} (entity_no, row_key, kind) \
             select distinct {}, {}, 'changed' from {from} and t.xmin not in {} \
             on conflict do nothing returning row_key",
            site.entity_no,
            site.row_key("t"),
            site.ours()
        )
    };
    let mut all = Vec::new();
    if site.is_mapped() {
        all.push(insert(format!(
            "{} m join {} t on {} where m.xmin in {} and {INSERTED}",
            site.map(),
            site.table.quoted(),
            site.is_entry(),
            site.open()
        )));
    }
    if !site.changed.is_empty() {
        all.push(insert(format!(
            "({}) i join {} t on {} where true",
            site.images(),
            site.table.quoted(),
            site.has_key("i.row_key")
        )));
    }
    all
}

/// Rows of ours that a row refers to which stays: it is of a table outside, others wrote it, or it is kept.
pub(super) fn referred(
    site: &Site,
    by: &Reference,
    sites: &[Site],
    (kept, policy, is_kept): (&str, Option<ConflictPolicy>, bool),
) -> String {
    let writers: Vec<&Site> = sites.iter().filter(|it| it.table == by.child).collect();
    let stays = match writers.first() {
        None => "true".to_owned(),
        Some(first) => {
            let xids = ours(first.migration_id, first.attempt, &by.child);
            // Where all is forced, what others changed goes, too; only what they added stays.
            let (word, kinds) = match policy {
                Some(ConflictPolicy::Force) => ("and not", " and x.kind = 'changed'"),
                Some(ConflictPolicy::Keep) | None => ("or", ""),
            };
            let kept: Vec<String> = writers
                .iter()
                .filter(|_| is_kept)
                .map(|writer| {
                    format!(
                        " {word} exists (select from {kept} x where x.entity_no = {} and x.row_key = {}{kinds})",
                        writer.entity_no,
                        writer.row_key("c")
                    )
                })
                .collect();
            format!("(c.xmin not in {xids}{})", kept.concat())
        }
    };
    let ours = match site.is_mapped() {
        true => format!(
            "exists (select from {} m where {} and m.xmin in {} and {INSERTED})",
            site.map(),
            site.is_entry(),
            site.open()
        ),
        false => "true".to_owned(),
    };
    let columns: Vec<String> = by
        .columns
        .iter()
        .map(|name| format!("c.{}", quote_ident(name)))
        .collect();
    // Those that stay first: mostly there are none.
    format!(
        "insert into {kept} (entity_no, row_key, kind) \
         with stays as materialized (select distinct {columns} from {child} c where {stays}) \
         select distinct {no}, {key}, 'referred' from stays c join {table} t on {on} \
         where t.xmin in {xids} and {ours} \
         on conflict do nothing returning row_key",
        columns = columns.join(", "),
        no = site.entity_no,
        key = site.row_key("t"),
        child = by.child.quoted(),
        table = site.table.quoted(),
        on = by.refers("c", "t"),
        xids = site.ours(),
    )
}

#[cfg(test)]
mod tests {
    use proto::domain::catalog::TableName;
    use proto::domain::compiled::IdRule;

    use super::super::site::tests::site;
    use super::*;

    fn orders() -> Site {
        let column = "id".to_owned();
        site(IdRule::Keep { column }, &[("id", "bigint")], &[])
    }

    fn from(child: &str) -> Reference {
        Reference {
            name: "f".to_owned(),
            child: TableName::parse(child),
            columns: vec!["order_id".to_owned()],
            parent: TableName::parse("orders"),
            parent_columns: vec!["id".to_owned()],
            on_delete: "a".to_owned(),
            is_live: true,
        }
    }

    #[test]
    fn every_row_of_a_table_outside_stays() {
        let sites = [orders()];
        let sql = referred(&sites[0], &from("reviews"), &sites, (KEPT, None, true));
        let all = "select distinct c.\"order_id\" from \"public\".\"reviews\" c where true)";
        assert!(sql.contains(all), "{sql}");
    }

    #[test]
    fn of_a_table_inside_those_stay_that_others_wrote_and_forced_only_what_they_added() {
        let sites = [orders()];
        let own = from("orders");
        let kept = referred(
            &sites[0],
            &own,
            &sites,
            (KEPT, Some(ConflictPolicy::Keep), true),
        );
        assert!(
            kept.contains(" or exists (select from drover.undo_conflict x"),
            "{kept}"
        );
        let forced = referred(
            &sites[0],
            &own,
            &sites,
            (KEPT, Some(ConflictPolicy::Force), true),
        );
        let spared = " and not exists (select from drover.undo_conflict x where x.entity_no = 7 \
                      and x.row_key = to_jsonb(c.\"id\"::text) and x.kind = 'changed')";
        assert!(forced.contains(spared), "{forced}");
        let free = referred(&sites[0], &own, &sites, (KEPT, None, false));
        assert!(!free.contains("drover.undo_conflict x"), "{free}");
    }

    #[test]
    fn only_a_foreign_key_that_yields_lets_force_go_on() {
        let conflict = UndoConflict {
            entity: "orders".to_owned(),
            table: "orders".to_owned(),
            kind: ConflictKind::Referred,
            constraint: None,
            referrer: None,
            count: 1,
            keys: Vec::new(),
        };
        for (on_delete, policy, expected) in [
            ("a", None, true),
            ("a", Some(ConflictPolicy::Keep), false),
            ("a", Some(ConflictPolicy::Force), true),
            ("c", Some(ConflictPolicy::Force), false),
        ] {
            let held = Reference {
                on_delete: on_delete.to_owned(),
                ..from("reviews")
            };
            let survey = Survey {
                conflicts: vec![conflict.clone()],
                held: vec![held],
            };
            assert_eq!(
                survey.is_blocked(policy),
                expected,
                "{on_delete} {policy:?}"
            );
        }
        assert!(!Survey::default().is_blocked(None));
    }
}
