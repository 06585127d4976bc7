-- What a table holds, and the meaning and unit of every column that its name does not tell.

comment on table plan is 'Plan files as handed in; a migration points at the one it runs.';
comment on column plan.name is 'The name in the plan file; edits of it are further rows of that name.';
comment on column plan.document is 'The plan file itself, byte for byte.';
comment on column plan.document_hash is 'SHA-256 of document, hexadecimal.';
comment on column plan.namespace is 'Namespace of every uuid5 of this plan.';
comment on column plan.compiled is 'The compiled plan, once both catalogs were read; derived, may be null.';

comment on table migration_orchestration is
    'MigrationOrchestration: one migration, its intent and its state. Authoritative for intent.';
comment on column migration_orchestration.name is 'Unique among migrations that are not deleted.';
comment on column migration_orchestration.activity is
    'What happens inside running and rolling_back; null in every other status.';
comment on column migration_orchestration.activity_reason is
    'Why it is paused or blocked; "cancelled" in status failed, which nothing else leads to.';
comment on column migration_orchestration.activity_hint is 'The next step for the operator.';
comment on column migration_orchestration.attempt is
    'Starts at 1; one higher each time a rollback returns the migration to pending.';
comment on column migration_orchestration.generation is
    'Rises with each change of status, activity, attempt or plan; set by trigger.';
comment on column migration_orchestration.started_at is 'Start of this attempt; set by trigger.';
comment on column migration_orchestration.completed_at is
    'End of this attempt, completed or cancelled; set by trigger, always after started_at.';
comment on column migration_orchestration.finalized_at is 'Set: the migration cannot be rolled back any more.';
comment on column migration_orchestration.progress_percentage is
    'Sum of processed + failed over sum of total of unskipped entities, 0 to 100; never falls within an attempt, at most 99.9 until completed.';
comment on column migration_orchestration.total_entities is 'Entities that are not skipped.';
comment on column migration_orchestration.completed_entities is 'Entities in status completed.';
comment on column migration_orchestration.error_count is 'Errors ever stored, resolved ones included.';
comment on column migration_orchestration.configuration is
    'Settings in force at the last start: limits, defaults, constraints, consistency.';
comment on column migration_orchestration.source_identity is
    'System identifier, database and timeline of the source, recorded at create.';
comment on column migration_orchestration.destination_identity is
    'System identifier, database and timeline of the destination, recorded at create.';
comment on column migration_orchestration.deleted_at is 'Set: hidden, the name is free again; rows go after 2 years.';

comment on table entity_migration_status is
    'EntityMigrationStatus: one entity of one migration. Counters are a cache of the destination''s; always records_read = records_processed + records_failed = written + skipped + quarantined.';
comment on column entity_migration_status.legacy_entity_mapping_id is 'The version of the rules this entity is copied by.';
comment on column entity_migration_status.entity is 'The plan''s name, unique per migration; what API, CLI and events show.';
comment on column entity_migration_status.entity_name is 'Source entity (table).';
comment on column entity_migration_status.target_entity is 'Destination entity (table).';
comment on column entity_migration_status.entity_hash is 'Hash of the compiled rules and the codec version.';
comment on column entity_migration_status.dependency_order is '1..n, a topological order, for display and rollback; scheduling uses the graph.';
comment on column entity_migration_status.blocked_reason is 'Why this entity alone stands still; null while it does not.';
comment on column entity_migration_status.records_total is 'Rows of the source in scope (matching where); an estimate until records_total_exact.';
comment on column entity_migration_status.records_read is 'Rows read by committed batches.';
comment on column entity_migration_status.records_processed is
    'Rows processed successfully: written by us, or left as they were by on_conflict: skip.';
comment on column entity_migration_status.records_failed is 'Rows quarantined, held children included.';
comment on column entity_migration_status.records_held is 'Part of records_failed: rows held because their parent is quarantined.';
comment on column entity_migration_status.records_skipped is 'Part of records_processed: rows that on_conflict: skip left as they were.';
comment on column entity_migration_status.records_filtered is 'Rows of the source outside of where; in no other counter.';
comment on column entity_migration_status.records_written is 'records_processed - records_skipped: rows we wrote.';
comment on column entity_migration_status.max_quarantined is 'As in the plan: a number of rows, or a percentage of records_total.';
comment on column entity_migration_status.last_processed_id is
    'Source key at the end of the gapless prefix of processed rows; a composite key as a JSON array.';
comment on column entity_migration_status.last_batch_number is 'Number of the newest numbered batch; kept through every attempt.';
comment on column entity_migration_status.batch_size is 'Rows a batch starts with; adapted while running.';
comment on column entity_migration_status.throughput_per_second is 'Rows per second: over 60 s while running, the mean afterwards.';

comment on table migration_checkpoint is
    'MigrationCheckpoint: the record of positions reached. The destination''s fence row decides where a partition resumes. Kept until the next successful full migration.';
comment on column migration_checkpoint.entity is 'The plan''s name of the entity.';
comment on column migration_checkpoint.entity_name is 'Source entity (table).';
comment on column migration_checkpoint.batch_number is 'Number of the batch that reached it; 0 for an entity without a batch.';
comment on column migration_checkpoint.last_source_id is 'Last source key of the batch; a composite key as a JSON array.';
comment on column migration_checkpoint.records_processed is 'Rows of the entity processed when it was reached.';
comment on column migration_checkpoint.system_state is
    'partition (uuid), attempt, seq, cursor (key or null), token, entity_hash: what a resume needs.';
comment on column migration_checkpoint.created_at is
    'This database''s clock, at least 1 microsecond after the migration''s checkpoint before; set by trigger.';
comment on column migration_checkpoint.is_resumable is 'False after undo or reset of the entity.';

comment on table batch_processing_status is
    'BatchProcessingStatus: one batch, identified by (partition_id, attempt, seq). Partitioned by migration. Kept for 6 months.';
comment on column batch_processing_status.batch_number is
    'Gapless per entity in the order batches were stored; null until completed or failed.';
comment on column batch_processing_status.batch_size is 'Rows: records_successful + records_failed once completed or failed.';
comment on column batch_processing_status.records_successful is 'Rows written, or skipped by on_conflict: skip.';
comment on column batch_processing_status.processing_duration_ms is 'Milliseconds from the first row read to commit, measured by the agent.';
comment on column batch_processing_status.retry_count is 'Times the batch was tried again after a passing fault.';
comment on column batch_processing_status.max_retries is 'limits.max_retries in force for this batch.';
comment on column batch_processing_status.attempt is 'The migration''s attempt the batch belongs to.';
comment on column batch_processing_status.seq is 'Position of the batch in its partition and attempt, from 1; equals the ledger''s.';

comment on table migration_error is
    'MigrationError: rows that could not be migrated, and faults of the run. Partitioned by month of occurred_at. Kept for 1 year.';
comment on column migration_error.id is 'Given by the reporter, the same each time an error is sent again.';
comment on column migration_error.batch_id is 'Checked at insert; no foreign key, since batches are dropped sooner.';
comment on column migration_error.entity is 'The plan''s name of the entity.';
comment on column migration_error.error_code is 'SQLSTATE, or DROVER_*.';
comment on column migration_error.source_record_id is 'Source key; a composite key as a JSON array.';
comment on column migration_error.source_data is 'Snapshot of the source row, sensitive columns redacted.';
comment on column migration_error.occurred_at is 'The time in the destination''s ledger; this database''s clock for faults outside of a batch.';
comment on column migration_error.resolution_notes is 'How it was resolved: retried, skipped, and by whom.';
comment on column migration_error.ordinal is 'Position of the row among the errors of its batch, from 0.';

comment on table schema_change_operation is
    'SchemaChangeOperation: a change of a schema by the plan or by rebuild, in order, with its way back.';
comment on column schema_change_operation.position is 'Order within the migration, from 1; rollback goes the other way.';
comment on column schema_change_operation.object_name is 'Name of the constraint or index, for operations on one.';
comment on column schema_change_operation.is_reversible is 'False: no SQL brings the state before back, so rollback_sql may be null.';
comment on column schema_change_operation.executed_at is 'Null while pending.';
comment on column schema_change_operation.risk_level is 'Assessed before execution.';
comment on column schema_change_operation.validation_results is 'Checks before and after; required before a critical operation is executed.';
comment on column schema_change_operation.error_message is 'Why it failed, when it did.';

comment on table legacy_entity_mapping is
    'LegacyEntityMapping: the rules of one entity of a plan, one row per version.';
comment on column legacy_entity_mapping.plan_name is 'The name in the plan file.';
comment on column legacy_entity_mapping.entity is 'The plan''s name of the entity.';
comment on column legacy_entity_mapping.transformation_rules is 'Destination column -> pipeline, as in the plan file.';
comment on column legacy_entity_mapping.dependency_entities is
    'Entities to be completed or skipped first: explicit edges and foreign keys; deferred edges are left out, self edges ignored.';
comment on column legacy_entity_mapping.is_active is 'False: a version no longer in use, or an entity the plan skips.';
comment on column legacy_entity_mapping.entity_hash is 'Hash of the compiled rules; fixed for a version once a batch was written by it.';

comment on table data_validation_result is 'DataValidationResult: one check of the copied data.';
comment on column data_validation_result.entity is 'The plan''s name of the entity, * for all.';
comment on column data_validation_result.entity_name is 'Source entity (table), * for all.';
comment on column data_validation_result.records_validated is 'Rows checked; samples taken for performance.';
comment on column data_validation_result.issues_found is 'Rows, or samples, with an issue.';
comment on column data_validation_result.validation_criteria is 'What was checked: the check and its arguments.';
comment on column data_validation_result.execution_duration_ms is 'Milliseconds.';
comment on column data_validation_result.attempt is 'The migration''s attempt that was checked.';

comment on table partition_progress is
    'Cache of the destination''s drover.partition, and the bounds partitions were cut at. Counters are absolute per partition and attempt.';
comment on column partition_progress.number is 'Order of the partition in its entity, by key, from 0; -1 for the one that settles self references.';
comment on column partition_progress.after is 'Lower bound, exclusive: a key; null for none.';
comment on column partition_progress.upto is 'Upper bound, inclusive: a key; null for none.';
comment on column partition_progress.seq is 'Batches committed.';
comment on column partition_progress.acked_seq is 'Batches whose reports are stored here and were acknowledged.';
comment on column partition_progress.cursor is 'Last key committed; null before the first batch.';
comment on column partition_progress.token is 'Fencing token: era << 43 | revision; 0 before the first claim.';
comment on column partition_progress.holder is 'Process of the agent that works on it.';
comment on column partition_progress.rows_written is 'Rows we wrote; skipped ones are not in it. Below zero in a settling partition that took rows back.';
comment on column partition_progress.rows_skipped is 'Rows that on_conflict: skip left as they were.';

comment on table era is 'The high 20 bits of fencing tokens; one row.';
comment on column era.cluster_id is 'etcd cluster of this era; null for the memory store.';
comment on column era.revision is 'Highest etcd revision seen in this era.';
comment on table leader_epoch is
    'Who may write here; one row, locked by each writing transaction of a controller.';
comment on table command is 'Commands of operators, by request id: the same request again answers the same result.';
comment on column command.body_hash is 'SHA-256 of the request; the same id with another body is refused.';
comment on column command.result is 'The answer; null until there is one.';
comment on table outbox is 'Events, stored with what caused them; delivered from here at least once, in order of id.';
comment on column outbox.data is 'The event''s data: entity (* for the migration), progress_percentage 0 to 100, throughput in rows per second, and more by type.';
comment on table agent is 'Agents ever seen, for display; who is alive now is in etcd.';
comment on column agent.holder is 'The agent process; a restarted agent is another holder.';
