//! Groups of errors and retries on the wire.

use crate::domain::record::{ErrorGroup, RetryProgress, RetryState};
use crate::pb;

use super::error::error_type;
use super::{WireError, read_time, read_uuid, required, wire_enum, write_time};

wire_enum!(
    RetryState,
    pb::RetryState,
    read_retry_state,
    [Pending, Done, Failed]
);

impl TryFrom<RetryProgress> for pb::Retry {
    type Error = WireError;

    fn try_from(record: RetryProgress) -> Result<Self, WireError> {
        Ok(Self {
            id: record.id.to_string(),
            entity: record.entity,
            row_count: record.row_count,
            state: pb::RetryState::from(record.state).into(),
            rows_written: record.rows_written,
            rows_failed: record.rows_failed,
            rows_gone: record.rows_gone,
            problem: record.problem,
        })
    }
}

impl TryFrom<pb::Retry> for RetryProgress {
    type Error = WireError;

    fn try_from(message: pb::Retry) -> Result<Self, WireError> {
        Ok(Self {
            id: read_uuid("Retry.id", &message.id)?,
            entity: message.entity,
            row_count: message.row_count,
            state: read_retry_state("Retry.state", message.state)?,
            rows_written: message.rows_written,
            rows_failed: message.rows_failed,
            rows_gone: message.rows_gone,
            problem: message.problem,
        })
    }
}

impl TryFrom<ErrorGroup> for pb::ErrorGroup {
    type Error = WireError;

    fn try_from(record: ErrorGroup) -> Result<Self, WireError> {
        Ok(Self {
            entity: record.entity,
            error_code: record.error_code,
            error_type: pb::ErrorType::from(record.error_type).into(),
            place: record.place,
            count: record.count,
            open: record.open,
            example_id: record.example_id.to_string(),
            example_key: record.example_key,
            example_message: record.example_message,
            first_time: Some(write_time(record.first_at)),
            last_time: Some(write_time(record.last_at)),
        })
    }
}

impl TryFrom<pb::ErrorGroup> for ErrorGroup {
    type Error = WireError;

    fn try_from(message: pb::ErrorGroup) -> Result<Self, WireError> {
        let first = required("ErrorGroup.first_time", message.first_time)?;
        let last = required("ErrorGroup.last_time", message.last_time)?;
        Ok(Self {
            entity: message.entity,
            error_code: message.error_code,
            error_type: error_type("ErrorGroup.error_type", message.error_type)?,
            place: message.place,
            count: message.count,
            open: message.open,
            example_id: read_uuid("ErrorGroup.example_id", &message.example_id)?,
            example_key: message.example_key,
            example_message: message.example_message,
            first_at: read_time("ErrorGroup.first_time", first)?,
            last_at: read_time("ErrorGroup.last_time", last)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::ErrorType;
    use chrono::DateTime;
    use uuid::Uuid;

    #[test]
    fn groups_and_retries_travel_as_they_are() {
        let at = DateTime::from_timestamp(9, 0).unwrap();
        let group = ErrorGroup {
            entity: Some("orders".to_owned()),
            error_code: "23502".to_owned(),
            error_type: ErrorType::ConstraintViolation,
            place: None,
            count: 7,
            open: 3,
            example_id: Uuid::from_u128(4),
            example_key: Some("12".to_owned()),
            example_message: "total is null".to_owned(),
            first_at: at,
            last_at: at,
        };
        let sent = pb::ErrorGroup::try_from(group.clone()).unwrap();
        assert_eq!(ErrorGroup::try_from(sent), Ok(group));
        for state in RetryState::ALL {
            let retry = RetryProgress {
                id: Uuid::from_u128(5),
                entity: "orders".to_owned(),
                row_count: 3,
                state: *state,
                rows_written: 1,
                rows_failed: 1,
                rows_gone: 1,
                problem: Some("no agent".to_owned()),
            };
            let sent = pb::Retry::try_from(retry.clone()).unwrap();
            assert_eq!(RetryProgress::try_from(sent), Ok(retry));
        }
    }
}
