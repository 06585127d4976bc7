#!/usr/bin/env bash
# Times `drover run` beside binary psql pipes of the same tables, in turns, on one private PostgreSQL.
#
#   deploy/bench.sh [SCALE] [ROUNDS]        1 is about 250,000 rows; default 4, 3 rounds
#
# The pipes copy every table of the demo's plan unchanged into a database of the same schema, two at a time, the
# biggest first, and build its keys, indexes and foreign keys afterwards. Drover remaps keys, rewrites references, keeps
# the id map and the ledger, and rebuilds the target's keys. Prints each round, the medians and their ratio.
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
as "$bin/pg_dump" -h "$dir" -p "$port" -U postgres --section=pre-data legacy >"/tmp/drover-bench-pre.$port"
as "$bin/pg_dump" -h "$dir" -p "$port" -U postgres --section=post-data legacy >"/tmp/drover-bench-post.$port"

pipes() {
    sql postgres -c 'drop database if exists copy' -c 'create database copy'
    sql copy -f "/tmp/drover-bench-pre.$port" >/dev/null
    sql postgres -c checkpoint
    local begun
    begun=$(now)
    echo "$tables" | xargs -P 2 -I{} sh -c \
        "psql -Xqd '$(url legacy)' -c 'copy {} to stdout (format binary)' | psql -Xqd '$(url copy)' -c 'copy {} from stdin (format binary)'"
    sql copy -f "/tmp/drover-bench-post.$port" >/dev/null
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

p=() m=()
for ((i = 1; i <= rounds; i++)); do
    p+=("$(pipes)"); m+=("$(migrate)")
    echo "round $i: pipes ${p[-1]} s, drover ${m[-1]} s"
done
pm=$(printf '%s\n' "${p[@]}" | median)
mm=$(printf '%s\n' "${m[@]}" | median)
echo "medians: pipes $pm s, drover $mm s, ratio $(echo "scale=2; $mm / $pm" | bc), $(echo "$rows / $mm" | bc) rows/s"
rm -f "/tmp/drover-bench-pre.$port" "/tmp/drover-bench-post.$port"
