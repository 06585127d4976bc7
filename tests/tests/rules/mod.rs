//! The language of rules against two real databases: what each word makes of rows.

mod arrays;
mod conflicts;
mod documents;
mod homes;
mod ids;
mod late;
mod shapes;
mod texts;
mod values;

use anyhow::Result;
use drover_tests::pair::Pair;

/// The rows that failed: entity, key, code and whether it is held.
pub(crate) async fn errors(pair: &Pair) -> Result<Vec<String>> {
    pair.app
        .texts(
            "select concat_ws(' ', n.entity, e.source_record_id, e.error_code, e.is_held::text) from drover.error e \
             join drover.entity n using (entity_no) order by n.entity, e.source_record_id",
        )
        .await
}
