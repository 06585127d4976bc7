-- Rows that failed and are tried again: by key, in a partition of their own, numbered from -2 downwards.

alter table partition add column keys jsonb;
comment on column partition.keys is 'Record ids of the rows that a retry reads again; none for every other partition.';

alter table partition
    drop constraint partition_number_check,
    drop constraint partition_check1,
    add constraint partition_rows_held check (number <= -2 or rows_held <= rows_failed);
comment on table partition is
    'Fence and checkpoint of a partition are one row. Number -1 settles late references after the load, from -2 downwards rows are tried again.';

alter table error add column resolution text check (resolution in ('written', 'superseded', 'gone'));
alter table error add column resolved_by uuid references partition;
alter table error add constraint error_resolved check (resolution is null or (is_resolved and resolved_by is not null));
create index on error (resolved_by) where resolved_by is not null;
comment on column error.resolution is
    'What became of the row when it was tried again: written; superseded by a new error; gone from the source, or from what `where` lets through.';
comment on column error.resolved_by is 'The partition of the retry.';
