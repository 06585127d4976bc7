-- Rows that were at the destination already: what a batch changes in them is kept as it was before.

alter table pre_image add column kind text not null default 'removed' check (kind in ('removed', 'changed'));
comment on column pre_image.kind is
    'removed: a row of ours that was taken away; changed: a row that was there, before on_conflict changed it.';
comment on column pre_image.ordinal is 'Number of the row in its batch.';

-- Fails with a SQLSTATE that is tried again where rows of a batch came from somebody else meanwhile.
create function refuse_overtaken(p_rows bigint) returns void
    language plpgsql set search_path = drover, pg_catalog as
$$
begin
    if p_rows > 0 then
        raise exception 'rows of the batch were inserted by another session meanwhile' using errcode = '40001';
    end if;
end
$$;
comment on function refuse_overtaken is 'A row nobody kept a pre-image of is never overwritten: the batch looks again.';
