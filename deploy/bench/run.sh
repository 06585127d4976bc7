#!/usr/bin/env bash
# Times a migration by Drover beside other ways to move the same rows, in turns, on one private PostgreSQL.
#
#   deploy/bench/run.sh [SCALE] [ROUNDS] [WAYS]     1 is about 250,000 rows; default 4, 3 rounds, all ways
#
#   pipes         binary psql pipes of every table of the demo's plan, unchanged, two at a time, the biggest first
#   pgcopydb      pgcopydb clone of the legacy database, unchanged (where it is installed)
#   drover        drover run: rules, ids, references, id map, ledger, fence; start to exit
#   shaped        pipes of the rows that Drover made, as if somebody had cleaned and remapped them already, into the target's
#                 schema, with the target's keys and indexes
#   mapped        shaped, and the id map as plain tables with keys
#   pgcopydb_new  pgcopydb clone of those rows in the target's schema
#   staged        staged.sql: INSERT … SELECT with uuid_generate_v5 and an id map, in the first round only, since it takes so long
#   far           drover, with 20 ms of round trip to the destination
#   cluster1      drover's work by a controller, etcd and one agent: create to completed
#   cluster2      and two agents
#
# Prints each round, then the medians; the figures go to BENCH_OUT (default target/bench) for table.py.
set -euo pipefail
scale=${1:-4}
rounds=${2:-3}
ways=${3:-pipes pgcopydb drover shaped mapped pgcopydb_new staged far cluster1 cluster2}
command -v pgcopydb >/dev/null || ways=$(echo "$ways" | sed 's/pgcopydb[a-z_]*//g')
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
demo=$here/../demo
programs=${DROVER_PROGRAMS:-${CARGO_TARGET_DIR:-$here/../../target}/release}
out=${BENCH_OUT:-${CARGO_TARGET_DIR:-$here/../../target}/bench}
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb)")
. "$here/ways.sh"

servers=()
stop_servers() {
    for pid in "${servers[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
    servers=()
}
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
url() { echo "postgres://postgres@127.0.0.1:$port/$1"; }
sql() { psql -X -q -v ON_ERROR_STOP=1 -d "$(url "$1")" "${@:2}"; }
now() { date +%s.%N; }
since() { echo "$(now) - $1" | bc; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

mkdir -p "$out"
out=$(cd "$out" && pwd)
programs=$(cd "$programs" && pwd)
dir=$(as mktemp -d /tmp/drover-bench.XXXXXX)
port=$((20000 + RANDOM % 20000))
tmp=/tmp/drover-bench.$port
cd /
cleanup() {
    stop_servers
    as "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$dir" "$tmp".*
}
trap cleanup EXIT
as "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" start \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$dir -c max_wal_size=8GB -c shared_buffers=1GB" >/dev/null

sql postgres -c 'create database legacy' -c 'create database target_template'
{ echo "set demo.scale = '$scale';"; cat "$demo/legacy.sql" "$demo/legacy_data.sql"; } | sql legacy -f - >/dev/null
sql target_template -f "$demo/target.sql" >/dev/null
sql legacy -c 'vacuum analyze'
tables=$(sql legacy -At -c "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
    and relname ~ '^(dispatch|orders|catalog)_' order by pg_table_size(oid) desc")
shapes=$(sql target_template -At -c "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
rows=0
for table in $tables; do rows=$((rows + $(sql legacy -At -c "select count(*) from $table"))); done
echo "$rows rows in $(echo "$tables" | wc -w) tables, scale $scale, $rounds rounds"
dump legacy
dump target_template

: >"$tmp.used"
for ((i = 1; i <= rounds; i++)); do
    said="round $i:"
    for way in $ways; do
        [ "$way" != staged ] || [ "$i" = 1 ] || continue
        took=$("way_$way")
        echo "$took" >>"$tmp.took.$way"
        said+=" $way $(printf %.2f "$took") s,"
    done
    echo "${said%,}"
done

figures=$out/$rows.tsv
{
    printf 'rows\t%s\nrounds\t%s\n' "$rows" "$rounds"
    for way in $ways; do printf '%s\t%s\n' "$way" "$(median <"$tmp.took.$way")"; done
    if [ -s "$tmp.used" ]; then
        printf 'cpu\t%s\nmemory\t%s\n' "$(cut -d' ' -f1 "$tmp.used" | median)" "$(cut -d' ' -f2 "$tmp.used" | median)"
    fi
} >"$figures"
python3 "$here/table.py" "$figures"
