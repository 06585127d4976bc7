//! A migration as it is known by now. Pure.

use crate::remote::Update;
use crate::render::migration::Report;

/// What the updates so far come to.
#[derive(Debug, Default)]
pub struct Picture(Option<Report>);

impl Picture {
    /// The migration with its entities, once a snapshot came.
    pub fn report(&self) -> Option<&Report> {
        self.0.as_ref()
    }

    /// Adds what happened.
    pub fn apply(&mut self, update: &Update) {
        match (update, &mut self.0) {
            (Update::Snapshot(report), _) => self.0 = Some((**report).clone()),
            (Update::Migration(migration), Some(known)) => known.migration = (**migration).clone(),
            (Update::Entity(entity), Some(known)) => {
                let place = known
                    .entities
                    .iter()
                    .position(|one| one.entity == entity.entity);
                match place.and_then(|at| known.entities.get_mut(at)) {
                    Some(old) => *old = (**entity).clone(),
                    None => {
                        known.entities.push((**entity).clone());
                        known.entities.sort_by_key(|one| one.dependency_order);
                    }
                }
            }
            (Update::Migration(_) | Update::Entity(_), None)
            | (Update::Event(_) | Update::Ended | Update::Deleted | Update::Lost(_), _) => {}
        }
    }
}
