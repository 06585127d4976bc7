//! Every record survives the wire; a message that is not whole is refused by the field's name.

use prost::Message;
use prost_types::FileDescriptorSet;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::domain::record::samples::{self, ATTRIBUTES};
use crate::domain::record::*;
use crate::pb;

use super::WireError;

/// Record to bytes and back.
fn assert_round_trip<R, M>(sample: Value)
where
    R: DeserializeOwned + Clone + PartialEq + std::fmt::Debug + TryFrom<M, Error = WireError>,
    M: Message + Default + TryFrom<R, Error = WireError>,
{
    let record: R = serde_json::from_value(sample).expect("the sample is a record");
    let message = M::try_from(record.clone()).expect("a record has a message");
    let bytes = message.encode_to_vec();
    let read = M::decode(bytes.as_slice()).expect("what was encoded is decoded");
    assert_eq!(R::try_from(read), Ok(record));
}

#[test]
fn every_record_comes_back_as_it_was() {
    assert_round_trip::<MigrationOrchestration, pb::MigrationOrchestration>(
        samples::migration_orchestration(),
    );
    assert_round_trip::<EntityMigrationStatus, pb::EntityMigrationStatus>(
        samples::entity_migration_status(),
    );
    assert_round_trip::<MigrationCheckpoint, pb::MigrationCheckpoint>(
        samples::migration_checkpoint(),
    );
    assert_round_trip::<MigrationMapping, pb::MigrationMapping>(samples::migration_mapping());
    assert_round_trip::<BatchProcessingStatus, pb::BatchProcessingStatus>(
        samples::batch_processing_status(),
    );
    assert_round_trip::<MigrationError, pb::MigrationError>(samples::migration_error());
    assert_round_trip::<SchemaChangeOperation, pb::SchemaChangeOperation>(
        samples::schema_change_operation(),
    );
    assert_round_trip::<LegacyEntityMapping, pb::LegacyEntityMapping>(
        samples::legacy_entity_mapping(),
    );
    assert_round_trip::<DataValidationResult, pb::DataValidationResult>(
        samples::data_validation_result(),
    );
}

#[test]
fn events_and_agents_come_back_as_they_were() {
    let id = "018f2f6e-0000-7000-8000-000000000001";
    let at = "2026-01-02T03:04:05.678901Z";
    let event = |entity: &str| {
        json!({
            "id": 7, "event_type": "migration_progress", "migration_id": id, "timestamp": at,
            "data": {"entity": entity, "progress_percentage": 12.5, "throughput": 1000.0},
        })
    };
    assert_round_trip::<Event, pb::Event>(event("offices"));
    assert_round_trip::<Event, pb::Event>(event(WHOLE_MIGRATION));
    for state in AgentState::ALL {
        assert_round_trip::<AgentStatus, pb::Agent>(json!({
            "id": id, "name": "eu-1", "region": "eu", "labels": {"tier": "gold"},
            "connections": ["legacy", "app"], "capacity": 4, "partitions": 1, "state": state,
            "version": "0.1.0", "codec_version": 1, "connected_at": at, "last_seen_at": at,
        }));
    }
}

#[test]
fn an_event_about_the_whole_migration_has_no_entity_on_the_wire() {
    let whole = pb::Event {
        event_type: "migration_started".to_owned(),
        migration_id: uuid::Uuid::nil().to_string(),
        timestamp: Some(prost_types::Timestamp::default()),
        data: Some(pb::EventData::default()),
        ..pb::Event::default()
    };
    let record = Event::try_from(whole.clone()).expect("whole");
    assert_eq!(record.data.entity, WHOLE_MIGRATION);
    assert_eq!(pb::Event::try_from(record), Ok(whole.clone()));
    let nameless = pb::Event {
        event_type: String::new(),
        ..whole
    };
    assert_eq!(
        Event::try_from(nameless).map_err(|error| error.to_string()),
        Err("Event.event_type is missing".to_owned())
    );
}

#[test]
fn every_message_has_every_attribute() {
    let set = FileDescriptorSet::decode(pb::FILE_DESCRIPTOR_SET).expect("descriptors");
    let messages: Vec<_> = set
        .file
        .iter()
        .flat_map(|file| &file.message_type)
        .collect();
    for (entity, attributes) in ATTRIBUTES {
        let message = messages
            .iter()
            .find(|message| message.name() == *entity)
            .expect(entity);
        for attribute in *attributes {
            let is_there = message.field.iter().any(|field| field.name() == *attribute);
            assert!(is_there, "{entity}.{attribute}");
        }
    }
}

fn checkpoint() -> pb::MigrationCheckpoint {
    let record: MigrationCheckpoint =
        serde_json::from_value(samples::migration_checkpoint()).expect("the sample is a record");
    record.try_into().expect("a record has a message")
}

fn refusal(message: pb::MigrationCheckpoint) -> String {
    MigrationCheckpoint::try_from(message)
        .expect_err("not whole")
        .to_string()
}

#[test]
fn what_cannot_be_understood_is_refused_by_name() {
    let named = |field: &str, rest: &str| format!("MigrationCheckpoint.{field} {rest}");
    let mut message = checkpoint();
    message.id = "42".to_owned();
    assert_eq!(refusal(message), named("id", "is no uuid"));

    let mut message = checkpoint();
    message.migration_id.clear();
    assert_eq!(refusal(message), named("migration_id", "is missing"));

    let mut message = checkpoint();
    message.checkpoint_type = 0;
    assert_eq!(refusal(message), named("checkpoint_type", "is missing"));

    let mut message = checkpoint();
    message.checkpoint_type = 99;
    assert_eq!(
        refusal(message),
        named("checkpoint_type", "has the unknown value 99")
    );

    let mut message = checkpoint();
    message.created_at = None;
    assert_eq!(refusal(message), named("created_at", "is missing"));

    let mut message = checkpoint();
    message.created_at = Some(prost_types::Timestamp {
        seconds: 0,
        nanos: -1,
    });
    assert_eq!(refusal(message), named("created_at", "is no time"));

    let mut message = checkpoint();
    let token = prost_types::Value {
        kind: Some(prost_types::value::Kind::NumberValue(7.0)),
    };
    let state = message.system_state.as_mut().expect("a state");
    state.fields.insert("token".to_owned(), token);
    assert_eq!(refusal(message), named("system_state", "is no token"));
}

#[test]
fn a_record_whose_object_is_none_has_no_message() {
    let mut sample = samples::migration_error();
    sample["context"] = json!([1]);
    let record: MigrationError = serde_json::from_value(sample).expect("the sample is a record");
    let refused = pb::MigrationError::try_from(record).expect_err("an array is no object");
    assert_eq!(
        refused.to_string(),
        "MigrationError.context is no JSON object"
    );
}

#[test]
fn integers_that_a_double_cannot_hold_become_text() {
    let mut sample = samples::migration_error();
    sample["source_data"] = json!({"id": u64::MAX, "small": 1_u64 << 53});
    let record: MigrationError = serde_json::from_value(sample).expect("the sample is a record");
    let message = pb::MigrationError::try_from(record).expect("a record has a message");
    let back = MigrationError::try_from(message).expect("whole");
    assert_eq!(back.source_data["id"], json!(u64::MAX.to_string()));
    assert_eq!(back.source_data["small"], json!(1_u64 << 53));
}
