#!/usr/bin/env bash
# Times `drover run` beside binary psql pipes of the same tables, in turns, on one private PostgreSQL.
#
#   deploy/bench.sh [SCALE] [ROUNDS]        1 is about 250,000 rows; default 4, 3 rounds
#
# "pipes" copies every table of the demo's plan unchanged into a database of the same schema, two at a time, the biggest
# first, and builds its keys, indexes and foreign keys afterwards. "shaped" does the same with the rows that Drover made,
# as if somebody had already cleaned and remapped them: into the target's schema, with the target's keys and indexes.
# Drover reads through the plan's rules, remaps keys, rewrites references, keeps the id map and the ledger, and rebuilds
# the target's keys. Prints each round, the medians and their ratios.
set -euo pipefail
scale=${1:-4}
rounds=${2:-3}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
drover=${DROVER_BINARY:-${CARGO_TARGET_DIR:-$here/../target}/release/drover}
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb)")

as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
dir=$(as mktemp -d /tmp/drover-bench.XXXXXX)
port=$((20000 + RANDOM % 20000))
cd /
cleanup() {
    as "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap cleanup EXIT
as "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" start \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$dir -c max_wal_size=8GB -c shared_buffers=1GB" >/dev/null
url() { echo "postgres://postgres@127.0.0.1:$port/$1"; }
sql() { psql -X -q -v ON_ERROR_STOP=1 -d "$(url "$1")" "${@:2}"; }
now() { date +%s.%N; }
since() { echo "$(now) - $1" | bc; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

sql postgres -c 'create database legacy' -c 'create database target_template'
{ echo "set demo.scale = '$scale';"; cat "$here/demo/legacy.sql" "$here/demo/legacy_data.sql"; } | sql legacy -f - >/dev/null
sql target_template -f "$here/demo/target.sql" >/dev/null
sql legacy -c 'vacuum analyze'
tables=$(sql legacy -At -c "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
    and relname ~ '^(dispatch|orders|catalog)_' order by pg_table_size(oid) desc")
rows=0
for table in $tables; do rows=$((rows + $(sql legacy -At -c "select count(*) from $table"))); done
echo "$rows rows in $(echo "$tables" | wc -w) tables, scale $scale, $rounds rounds"
tmp=/tmp/drover-bench.$port
dump() {
    for section in pre post; do
        as "$bin/pg_dump" -h "$dir" -p "$port" -U postgres --schema=public --section=$section-data "$1" |
            grep -v '^CREATE SCHEMA public' >"$tmp.$1-$section"
    done
}
dump legacy
dump target_template

# pipes FROM TABLES SECTIONS: time to pipe tables into a copy of their schema and to build its keys.
pipes() {
    sql postgres -c 'drop database if exists copy' -c 'create database copy'
    sql copy -f "$tmp.$3-pre" >/dev/null
    sql postgres -c checkpoint
    local begun
    begun=$(now)
    echo "$2" | xargs -P 2 -I{} sh -c \
        "psql -Xqd '$(url "$1")' -c 'copy {} to stdout (format binary)' | psql -Xqd '$(url copy)' -c 'copy {} from stdin (format binary)'"
    sql copy -f "$tmp.$3-post" >/dev/null
    sql copy -c analyze
    since "$begun"
}

migrate() {
    sql postgres -c 'drop database if exists app' -c 'create database app template target_template'
    sql postgres -c checkpoint
    local begun
    begun=$(now)
    DROVER_CONNECTION_LEGACY=$(url legacy) DROVER_CONNECTION_APP=$(url app) \
        "$drover" run "$here/demo/plan.yaml" -o json >"$dir.json" 2>"$dir.err" || { cat "$dir.err" >&2; exit 1; }
    since "$begun"
    rm -f "$dir.json" "$dir.err"
}

shapes=$(sql target_template -At -c "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
p=() m=() c=()
for ((i = 1; i <= rounds; i++)); do
    p+=("$(pipes legacy "$tables" legacy)"); m+=("$(migrate)")
    biggest=$(sql app -At -c "select relname from pg_class where relname = any(string_to_array('$(echo $shapes)', ' ')) order by pg_table_size(oid) desc")
    c+=("$(pipes app "$biggest" target_template)")
    echo "round $i: pipes ${p[-1]} s, shaped ${c[-1]} s, drover ${m[-1]} s"
done
pm=$(printf '%s\n' "${p[@]}" | median) mm=$(printf '%s\n' "${m[@]}" | median) cm=$(printf '%s\n' "${c[@]}" | median)
echo "medians: pipes $pm s, shaped $cm s, drover $mm s ($(echo "$rows / $mm" | bc) rows/s);" \
    "drover is $(echo "scale=2; $mm / $pm" | bc) of the pipes, $(echo "scale=2; $mm / $cm" | bc) of the shaped pipes"
rm -f "$tmp".*
