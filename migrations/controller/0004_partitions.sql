-- Partitions of the two tables that grow: errors by month, batches by migration.

-- Makes the monthly partitions (UTC) of the month of `at` and the three that follow. Called at start
-- and daily. An error of any other month is kept in the default partition; should that hold rows of a
-- month to be made, they move into it.
create function ensure_error_partitions(at timestamptz default clock_timestamp()) returns integer
    language plpgsql
    set search_path from current
    set timezone = 'UTC' as $$
declare
    first_of timestamptz;
    next_of timestamptz;
    child text;
    made integer := 0;
begin
    perform pg_advisory_xact_lock(hashtextextended(current_schema() || '.migration_error', 0));
    for ahead in 0..3 loop
        first_of := date_trunc('month', at) + make_interval(months => ahead);
        next_of := first_of + interval '1 month';
        child := 'migration_error_' || to_char(first_of, 'YYYY_MM');
        continue when to_regclass(quote_ident(child)) is not null;

        if exists (select from migration_error_default
                   where occurred_at >= first_of and occurred_at < next_of) then
            execute format('create table %I (like migration_error including all)', child);
            execute format('with moved as (delete from migration_error_default '
                           'where occurred_at >= %L and occurred_at < %L returning *) '
                           'insert into %I select * from moved', first_of, next_of, child);
            execute format('alter table migration_error attach partition %I '
                           'for values from (%L) to (%L)', child, first_of, next_of);
        else
            execute format('create table %I partition of migration_error '
                           'for values from (%L) to (%L)', child, first_of, next_of);
        end if;
        made := made + 1;
    end loop;
    return made;
end $$;

-- Gives a large migration (decided when it is created) a batch partition of its own; true if it was
-- made now. Its batches can then be dropped at once when their retention ends.
create function create_batch_partition(migration_id uuid) returns boolean
    language plpgsql set search_path from current as $$
declare
    child text := 'batch_processing_status_' || replace(migration_id::text, '-', '');
begin
    perform pg_advisory_xact_lock(hashtextextended(current_schema() || '.batches', 0));
    if to_regclass(quote_ident(child)) is not null then
        return false;
    end if;
    execute format('create table %I partition of batch_processing_status for values in (%L)',
                   child, migration_id);
    return true;
end $$;

select ensure_error_partitions();
