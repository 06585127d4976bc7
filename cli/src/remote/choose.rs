//! Which migration is meant where none is named.

use proto::domain::record::MigrationOrchestration;

use super::Remote;
use crate::stop::Stop;

/// Most migrations that are asked for an entity.
const ASKED: usize = 20;

impl Remote {
    /// The named one, else the only one that has the entity, else the only one.
    pub async fn choose(&self, name: Option<&str>, entity: Option<&str>) -> Result<String, Stop> {
        if let Some(name) = name {
            return Ok(name.to_owned());
        }
        let mut found = self.migrations(1000).await?.items;
        if let (Some(entity), 2..=ASKED) = (entity, found.len()) {
            found = self.holders(found, entity).await?;
            if found.is_empty() {
                return Err(Stop::not_found(format!(
                    "no migration has an entity `{entity}`"
                )));
            }
        }
        only(found)
    }

    async fn holders(
        &self,
        migrations: Vec<MigrationOrchestration>,
        entity: &str,
    ) -> Result<Vec<MigrationOrchestration>, Stop> {
        let mut holders = Vec::new();
        for migration in migrations {
            let id = migration.id.to_string();
            let entities = self.entities(&id, &[], 100_000).await?.items;
            if entities.iter().any(|known| known.entity == entity) {
                holders.push(migration);
            }
        }
        Ok(holders)
    }
}

/// The id of the only one, or the candidates.
fn only(found: Vec<MigrationOrchestration>) -> Result<String, Stop> {
    match found.as_slice() {
        [] => Err(Stop::not_found("there is no migration")),
        [one] => Ok(one.id.to_string()),
        several => {
            let lines = several
                .iter()
                .map(|one| format!("{}  {}", one.id, one.name));
            Err(Stop::ambiguous(
                "which migration? name it with --migration",
                lines.collect(),
            ))
        }
    }
}
