-- Entities that refer to rows which come later: their foreign keys are put back after the load, whatever else stays.
alter table entity add column late_parents text[] not null default '{}';
comment on column entity.late_parents is
    'Entities whose rows may come, or be taken away again, after rows of this one refer to them.';
comment on table partition is 'Fence and checkpoint of a partition are one row. Number -1 settles late references after the load.';
