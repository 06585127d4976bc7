-- Which rows stand in the way of a definition that is put back.

alter table ddl add column breach_sql text;
comment on column ddl.breach_sql is
    'SELECT of tableoid and ctid of the rows that the definition would refuse; none where nothing can be refused.';
