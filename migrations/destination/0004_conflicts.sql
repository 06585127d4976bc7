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

-- Rows whose id is that of a row that matched, or which may not be written because of what they match.
alter table override alter column id drop not null;
alter table override add column refusal text check (refusal in ('ambiguous', 'duplicate'));
alter table override add column kind text not null default 'manual' check (kind in ('match', 'manual'));
alter table override add check ((id is null) = (refusal is not null));
comment on column override.refusal is 'The row matches several rows, or others match the same one.';
alter table entity add column matched_attempt integer;
comment on column entity.matched_attempt is 'Attempt whose natural-key matches are stored; none before the first.';
alter table entity drop constraint entity_id_kind_check;
alter table entity add constraint entity_id_kind_check check (id_kind in ('uuid5', 'keep', 'natural_key', 'none'));
