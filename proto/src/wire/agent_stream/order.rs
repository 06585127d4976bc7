//! Orders as messages and back: one message each.

use prost::Message;
use uuid::Uuid;

use crate::domain::frame::{
    Assignment, Connections, ControllerFrame, DatabaseIdentity, Order, Query, QueryCall, RunOrder,
};
use crate::domain::key::KeyRange;
use crate::pb::agent_stream as pb;
use crate::wire::{WireError, read_time, read_uuid, required, write_time};

use super::hello::{check_version, given};
use super::value::{read_key, read_text, write_key, write_text};
use super::{MAX_ORDER_BYTES, PROTOCOL_VERSION};
use pb::session_response::Frame;

/// The message of an order.
///
/// # Errors
/// `TooLarge` for a plan or question that leaves no room within [`MAX_ORDER_BYTES`].
pub fn write_order(order: &Order) -> Result<pb::SessionResponse, WireError> {
    let epoch = order.epoch;
    let frame = match &order.frame {
        ControllerFrame::Welcome {
            controller_id,
            credits,
        } => Frame::Welcome(pb::Welcome {
            protocol_version: PROTOCOL_VERSION,
            controller_id: controller_id.to_string(),
            epoch,
            credits: *credits,
        }),
        ControllerFrame::Run(run) => Frame::RunOrder(write_run(epoch, run)?),
        ControllerFrame::Assign(assignment) => Frame::Assign(write_assignment(epoch, assignment)),
        ControllerFrame::Drain { migration_id } => Frame::Drain(pb::Drain {
            epoch,
            migration_id: migration_id.as_ref().map(Uuid::to_string),
        }),
        ControllerFrame::Forget { migration_id } => Frame::Forget(pb::Forget {
            epoch,
            migration_id: migration_id.to_string(),
        }),
        ControllerFrame::Query(call) => Frame::Query(write_query(epoch, call)?),
        ControllerFrame::Acknowledge { credits } => Frame::Acknowledge(pb::Acknowledge {
            epoch,
            credits: *credits,
        }),
    };
    let message = pb::SessionResponse { frame: Some(frame) };
    if message.encoded_len() > MAX_ORDER_BYTES {
        return Err(WireError::TooLarge {
            field: "SessionResponse.frame",
            limit: MAX_ORDER_BYTES,
        });
    }
    Ok(message)
}

/// The order of a message.
///
/// # Errors
/// Names the field that is missing, malformed or of another version.
pub fn read_order(message: pb::SessionResponse) -> Result<Order, WireError> {
    let (epoch, frame) = match required("SessionResponse.frame", message.frame)? {
        Frame::Welcome(welcome) => {
            check_version("Welcome.protocol_version", welcome.protocol_version)?;
            let frame = ControllerFrame::Welcome {
                controller_id: read_uuid("Welcome.controller_id", &welcome.controller_id)?,
                credits: welcome.credits,
            };
            (welcome.epoch, frame)
        }
        Frame::RunOrder(run) => (run.epoch, ControllerFrame::Run(Box::new(read_run(run)?))),
        Frame::Assign(assign) => (
            assign.epoch,
            ControllerFrame::Assign(read_assignment(assign)?),
        ),
        Frame::Drain(drain) => {
            let migration_id = drain
                .migration_id
                .map(|id| read_uuid("Drain.migration_id", &id))
                .transpose()?;
            (drain.epoch, ControllerFrame::Drain { migration_id })
        }
        Frame::Forget(forget) => {
            let migration_id = read_uuid("Forget.migration_id", &forget.migration_id)?;
            (forget.epoch, ControllerFrame::Forget { migration_id })
        }
        Frame::Query(query) => (query.epoch, ControllerFrame::Query(read_query(query)?)),
        Frame::Acknowledge(acknowledge) => {
            let credits = acknowledge.credits;
            (acknowledge.epoch, ControllerFrame::Acknowledge { credits })
        }
    };
    Ok(Order { epoch, frame })
}

/// What a query asks, in words for logs and spans.
pub const fn query_name(query: &Query) -> &'static str {
    match query {
        Query::Identify => "identify",
        Query::ReadCatalog { .. } => "read catalog",
        Query::CheckPlan(_) => "check plan",
        Query::Preflight { .. } => "preflight",
        Query::TryRows(_) => "try rows",
        Query::ReadState { .. } => "read state",
        Query::Prepare(_) => "prepare",
        Query::HoldSnapshot { .. } => "hold snapshot",
        Query::ShareSnapshot { .. } => "share snapshot",
        Query::WatchSource { .. } => "watch source",
        Query::Sample { .. } => "sample",
        Query::BeginLoad { .. } => "begin load",
        Query::Settle { .. } => "settle",
        Query::RebuildKeys { .. } => "rebuild keys",
        Query::RebuildForeignKeys => "rebuild foreign keys",
        Query::ReadLedger { .. } => "read ledger",
        Query::FinishRun { .. } => "finish run",
        Query::Seal { .. } => "seal",
        Query::Undo(_) => "undo",
        Query::Uninstall => "uninstall",
        Query::Retry(_) => "retry",
        Query::CloseEntity { .. } => "close entity",
        Query::LookupMapping { .. } => "lookup mapping",
        Query::ReverseMapping { .. } => "reverse mapping",
        Query::Validate(_) => "validate",
        Query::Schema(_) => "schema",
    }
}

fn write_run(epoch: i64, run: &RunOrder) -> Result<pb::RunOrder, WireError> {
    Ok(pb::RunOrder {
        epoch,
        migration_id: run.migration_id.to_string(),
        attempt: run.attempt,
        run_now: Some(write_time(run.run_now)),
        compiled_plan: write_text("RunOrder.compiled_plan", &run.plan)?,
        snapshot: run.snapshot.clone(),
        source_identity: Some(write_identity(&run.source)),
        destination_identity: Some(write_identity(&run.destination)),
    })
}

fn write_identity(identity: &DatabaseIdentity) -> pb::DatabaseIdentity {
    pb::DatabaseIdentity {
        system_identifier: identity.system_identifier.clone(),
        database: identity.database.clone(),
        timeline: identity.timeline,
    }
}

fn read_identity(message: pb::DatabaseIdentity) -> DatabaseIdentity {
    DatabaseIdentity {
        system_identifier: message.system_identifier,
        database: message.database,
        timeline: message.timeline,
    }
}

fn read_run(message: pb::RunOrder) -> Result<RunOrder, WireError> {
    let field = "RunOrder.run_now";
    Ok(RunOrder {
        migration_id: read_uuid("RunOrder.migration_id", &message.migration_id)?,
        attempt: message.attempt,
        run_now: read_time(field, required(field, message.run_now)?)?,
        plan: read_text(
            "RunOrder.compiled_plan",
            "compiled plan of this codec version",
            &message.compiled_plan,
        )?,
        source: read_identity(required(
            "RunOrder.source_identity",
            message.source_identity,
        )?),
        destination: read_identity(required(
            "RunOrder.destination_identity",
            message.destination_identity,
        )?),
        snapshot: message.snapshot,
    })
}

fn write_assignment(epoch: i64, assignment: &Assignment) -> pb::Assign {
    pb::Assign {
        epoch,
        migration_id: assignment.migration_id.to_string(),
        partition_id: assignment.partition_id.to_string(),
        generation: assignment.generation,
        entity: assignment.entity.clone(),
        entity_hash: assignment.entity_hash.clone(),
        after: assignment.range.after.clone().map(write_key),
        upto: assignment.range.upto.clone().map(write_key),
        max_rows_per_second: assignment.max_rows_per_second,
    }
}

fn read_assignment(message: pb::Assign) -> Result<Assignment, WireError> {
    let after = message.after.map(|key| read_key("Assign.after", key));
    let upto = message.upto.map(|key| read_key("Assign.upto", key));
    Ok(Assignment {
        migration_id: read_uuid("Assign.migration_id", &message.migration_id)?,
        partition_id: read_uuid("Assign.partition_id", &message.partition_id)?,
        entity: given("Assign.entity", message.entity)?,
        entity_hash: given("Assign.entity_hash", message.entity_hash)?,
        range: KeyRange {
            after: after.transpose()?,
            upto: upto.transpose()?,
        },
        generation: message.generation,
        max_rows_per_second: message.max_rows_per_second,
    })
}

fn write_query(epoch: i64, call: &QueryCall) -> Result<pb::Query, WireError> {
    Ok(pb::Query {
        epoch,
        query_id: call.query_id,
        name: query_name(&call.query).to_owned(),
        deadline: Some(write_millis(call.deadline_ms)),
        migration_id: call.migration_id.as_ref().map(Uuid::to_string),
        source: call.connections.source.clone(),
        destination: call.connections.destination.clone(),
        question: write_text("Query.question", &call.query)?,
    })
}

fn read_query(message: pb::Query) -> Result<QueryCall, WireError> {
    let field = "Query.deadline";
    let migration_id = message
        .migration_id
        .map(|id| read_uuid("Query.migration_id", &id));
    Ok(QueryCall {
        query_id: message.query_id,
        migration_id: migration_id.transpose()?,
        deadline_ms: read_millis(field, required(field, message.deadline)?)?,
        connections: Connections {
            source: given("Query.source", message.source)?,
            destination: given("Query.destination", message.destination)?,
        },
        query: read_text(
            "Query.question",
            "question of this codec version",
            &message.question,
        )?,
    })
}

fn write_millis(millis: u64) -> prost_types::Duration {
    prost_types::Duration {
        // A thousandth of any u64 fits; the rest is below a thousand.
        seconds: i64::try_from(millis / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(millis % 1000 * 1_000_000).unwrap_or_default(),
    }
}

/// Parts of a millisecond are cut off.
fn read_millis(field: &'static str, span: prost_types::Duration) -> Result<u64, WireError> {
    let malformed = WireError::Malformed {
        field,
        what: "duration",
    };
    let seconds = u64::try_from(span.seconds).ok();
    let nanos = u64::try_from(span.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000);
    seconds
        .and_then(|seconds| seconds.checked_mul(1000))
        .zip(nanos)
        .and_then(|(millis, nanos)| millis.checked_add(nanos / 1_000_000))
        .ok_or(malformed)
}
