-- A row whose natural key cannot be read is set aside; the others match.
alter table override drop constraint override_refusal_check;
alter table override add constraint override_refusal_check check (refusal in ('ambiguous', 'duplicate', 'unreadable'));
comment on column override.refusal is
    'The row matches several rows, or others match the same one, or what it matches by cannot be read.';
