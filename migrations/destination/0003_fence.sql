-- The fence. Every batch ends with advance(); whoever was overtaken gets SQLSTATE DR001 and its transaction dies.

-- Compare-and-set of the partition row, and the ledger row, in the caller's transaction.
-- Returns when the transaction began and when this ran, in microseconds since 1970.
-- Raises DR001 unless token, holder, mode, seq, cursor and hash are all as the caller believes.
create function advance(
    p_partition uuid, p_attempt integer, p_token bigint, p_holder uuid, p_seq bigint, p_lo jsonb, p_hi jsonb,
    p_hash text, p_read bigint, p_written bigint, p_failed bigint, p_held bigint, p_filtered bigint, p_skipped bigint,
    p_is_last boolean, p_retry_count integer, p_was_bisected boolean
) returns table (started_us bigint, written_us bigint)
    language plpgsql set search_path = drover, pg_catalog as
$$
#variable_conflict use_column
declare
    v_written timestamptz := clock_timestamp();
begin
    update partition
    set seq = seq + 1, cursor = coalesce(p_hi, cursor), done = p_is_last,
        rows_read = rows_read + p_read, rows_written = rows_written + p_written, rows_failed = rows_failed + p_failed,
        rows_held = rows_held + p_held, rows_filtered = rows_filtered + p_filtered,
        rows_skipped = rows_skipped + p_skipped
    where partition_id = p_partition and attempt = p_attempt and token = p_token and holder = p_holder and mode = 'run'
      and seq = p_seq and cursor is not distinct from p_lo and entity_hash = p_hash and not done;
    if not found then
        raise exception 'partition % is fenced', p_partition using errcode = 'DR001';
    end if;
    insert into ledger (partition_id, attempt, seq, token, lo, hi, n_read, n_written, n_failed, n_held, n_filtered,
                        n_skipped, entity_hash, xid, retry_count, was_bisected, is_last, started_at, written_at)
    values (p_partition, p_attempt, p_seq + 1, p_token, p_lo, p_hi, p_read, p_written, p_failed, p_held, p_filtered,
            p_skipped, p_hash, pg_current_xact_id(), p_retry_count, p_was_bisected, p_is_last, now(),
            v_written);
    return query select (extract(epoch from now()) * 1000000)::bigint, (extract(epoch from v_written) * 1000000)::bigint;
end
$$;
comment on function advance is 'Last statement of every batch: moves the partition forward, or fails the batch with DR001.';

-- Takes a partition over: only a strictly higher token does. Then ends every backend that still works on it under
-- another token (equality of the marker, never an order), so that nobody can hold locks in our way.
-- Returns the position read after fencing, or no row when the token is not higher or the partition is closed.
create function take_over(p_partition uuid, p_attempt integer, p_token bigint, p_holder uuid)
    returns table (seq bigint, cursor jsonb, done boolean, entity_hash text)
    language plpgsql set search_path = drover, pg_catalog as
$$
#variable_conflict use_column
begin
    return query
        update partition p set token = p_token, holder = p_holder
        where p.partition_id = p_partition and p.attempt = p_attempt and p.token < p_token and p.mode = 'run'
        returning p.seq, p.cursor, p.done, p.entity_hash;
    if found then
        perform end_workers(p_partition, p_token);
    end if;
end
$$;
comment on function take_over is 'Fence, then read: the new holder''s first act on a partition.';

-- Ends the backends that work on a partition under another token than the given one; the number ended.
create function end_workers(p_partition uuid, p_token bigint) returns integer
    language sql set search_path = drover, pg_catalog as
$$
    select count(pg_terminate_backend(a.pid, 5000))::integer
    from pg_stat_activity a
    where a.datname = current_database() and a.pid <> pg_backend_pid()
      and starts_with(a.application_name, format('drover %s ', p_partition))
      and a.application_name <> format('drover %s %s', p_partition, p_token)
$$;
comment on function end_workers is 'Marker of a working backend: application_name = "drover <partition> <token>".';
