//! `Event` on the wire, where an event about the whole migration has no entity.

use crate::domain::record::{Event, EventData, WHOLE_MIGRATION};
use crate::pb;

use super::{WireError, read_time, read_uuid, required, write_time};

impl TryFrom<Event> for pb::Event {
    type Error = WireError;

    fn try_from(record: Event) -> Result<Self, WireError> {
        let mut entity = record.data.entity;
        if entity == WHOLE_MIGRATION {
            entity.clear();
        }
        Ok(Self {
            id: record.id,
            event_type: record.event_type,
            migration_id: record.migration_id.to_string(),
            timestamp: Some(write_time(record.timestamp)),
            data: Some(pb::EventData {
                entity,
                progress_percentage: record.data.progress_percentage,
                throughput: record.data.throughput,
            }),
        })
    }
}

impl TryFrom<pb::Event> for Event {
    type Error = WireError;

    fn try_from(message: pb::Event) -> Result<Self, WireError> {
        let field = "Event.event_type";
        if message.event_type.is_empty() {
            return Err(WireError::Missing { field });
        }
        let data = required("Event.data", message.data)?;
        let mut entity = data.entity;
        if entity.is_empty() {
            entity.push_str(WHOLE_MIGRATION);
        }
        Ok(Self {
            id: message.id,
            event_type: message.event_type,
            migration_id: read_uuid("Event.migration_id", &message.migration_id)?,
            timestamp: read_time(
                "Event.timestamp",
                required("Event.timestamp", message.timestamp)?,
            )?,
            data: EventData {
                entity,
                progress_percentage: data.progress_percentage,
                throughput: data.throughput,
            },
        })
    }
}
