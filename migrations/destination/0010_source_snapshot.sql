-- What tells a source row that was changed since the load from one that was not.

alter table migration add column source_snapshot text;
comment on column migration.source_snapshot is
    'txid_current_snapshot() of the snapshot that the load began to read under; none where it read under none.';
