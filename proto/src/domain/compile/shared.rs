//! Tables that several entities write, and tables whose rows are looked at before they are written.

use super::super::compiled::ConstraintMode;
use super::Context;
use super::conflict::has_policy;
use super::resolve::Resolved;

/// Makes every entity of one table treat its constraints alike; what cannot be is noted.
pub(super) fn settle(context: &Context<'_>, all: &mut [Resolved<'_>]) {
    for at in 0..all.len() {
        let one = &all[at];
        let Some(table) = one.destination.filter(|_| is_active(one)) else {
            continue;
        };
        let is_kept = all.iter().any(|other| {
            is_active(other)
                && has_policy(other.entity)
                && other
                    .destination
                    .is_some_and(|known| known.name == table.name)
        });
        let path = format!("{}.constraints", one.path);
        if is_kept {
            if one.settings.constraints == ConstraintMode::Rebuild {
                let message = format!(
                    "on_conflict looks at the keys of {}, which rebuild would drop; say keep or auto",
                    table.name
                );
                context.log.add(path, message);
            }
            all[at].settings.constraints = ConstraintMode::Keep;
            continue;
        }
        let earlier = all[..at].iter().find(|other| {
            is_active(other)
                && other
                    .destination
                    .is_some_and(|known| known.name == table.name)
        });
        if let Some(other) = earlier
            && other.settings.constraints != one.settings.constraints
        {
            let message = format!(
                "{} is written by {} too, which treats its constraints in another way",
                table.name,
                other.name()
            );
            context.log.add(path, message);
        }
    }
}

fn is_active(entity: &Resolved<'_>) -> bool {
    entity.entity.is_active.unwrap_or(true)
}
