#!/usr/bin/env bash
# Times a migration by Drover beside other ways to move the same rows, in turns, on one private PostgreSQL.
#
#   deploy/bench.sh [SCALE] [ROUNDS] [WAYS]     1 is about 250,000 rows; default 4, 3 rounds, all ways
#
# The ways, each into a fresh database, keys, indexes and foreign keys included:
#   pipes      binary psql pipes of every table of the demo's plan, unchanged, two at a time, the biggest first
#   pgcopydb   pgcopydb clone of the legacy database, unchanged (where it is installed)
#   shaped     the same pipes with the rows that Drover made, as if somebody had cleaned and remapped them already, into the
#              target's schema with the target's keys and indexes
#   mapped     shaped, and the id map as a plain table with a key
#   drover     drover run: rules, ids, references, id map, ledger, fence; start to exit
#   cluster1   the same by a controller, etcd and one agent: create to completed
#   cluster2   and two agents
# Prints each round, the medians with rows per second and ratios, and the CPU seconds and peak memory of Drover.
set -euo pipefail
scale=${1:-4}
rounds=${2:-3}
ways=${3:-pipes pgcopydb drover shaped mapped cluster1 cluster2}
command -v pgcopydb >/dev/null || ways=${ways/pgcopydb/}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
drover=${DROVER_BINARY:-${CARGO_TARGET_DIR:-$here/../target}/release/drover}
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb)")

servers=()
stop_cluster() {
    for pid in "${servers[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
    servers=()
}
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
dir=$(as mktemp -d /tmp/drover-bench.XXXXXX)
port=$((20000 + RANDOM % 20000))
cd /
cleanup() {
    stop_cluster
    as "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$dir" "${tmp:-/nowhere}".*
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

# pipes FROM TABLES SECTIONS [KINDS]: time to pipe tables into a copy of their schema and to build its keys; the id maps
# of these kinds, too.
pipes() {
    sql postgres -c 'drop database if exists copy' -c 'create database copy'
    sql copy -f "$tmp.$3-pre" >/dev/null
    for kind in ${4:-}; do
        sql copy -c "create table id_map_$kind (id uuid not null, k $kind not null, entity_no int not null, meta jsonb)"
    done
    sql postgres -c checkpoint
    local begun
    begun=$(now)
    echo "$2" | xargs -P 2 -I{} sh -c \
        "psql -Xqd '$(url "$1")' -c 'copy {} to stdout (format binary)' | psql -Xqd '$(url copy)' -c 'copy {} from stdin (format binary)'"
    for kind in ${4:-}; do
        (
            psql -Xqd "$(url "$1")" -c "copy (select id, k, entity_no, meta from drover.id_map_$kind) to stdout (format binary)" |
                psql -Xqd "$(url copy)" -c "copy id_map_$kind from stdin (format binary)"
            sql copy -c "alter table id_map_$kind add primary key (entity_no, k)"
        ) &
    done
    sql copy -f "$tmp.$3-post" >/dev/null
    wait
    sql copy -c analyze
    since "$begun"
}

way_pipes() { pipes legacy "$tables" legacy; }
biggest() {
    sql app -At -c "select relname from pg_class where relname = any(string_to_array('$(echo $shapes)', ' ')) order by pg_table_size(oid) desc"
}
way_shaped() { pipes app "$(biggest)" target_template; }
way_mapped() { pipes app "$(biggest)" target_template "int8 text"; }

way_pgcopydb() {
    sql postgres -c 'drop database if exists copy' -c 'create database copy'
    sql postgres -c checkpoint
    rm -rf "$tmp.pgcopydb"
    local begun
    begun=$(now)
    pgcopydb clone --source "$(url legacy)" --target "$(url copy)" --dir "$tmp.pgcopydb" --table-jobs 2 --index-jobs 2 \
        --no-acl --no-owner --no-comments >"$tmp.pgcopydb.log" 2>&1 || { tail -5 "$tmp.pgcopydb.log" >&2; exit 1; }
    sql copy -c analyze
    since "$begun"
}

fresh_app() {
    sql postgres -c 'drop database if exists app' -c 'create database app template target_template'
    sql postgres -c checkpoint
}

# Runs a command; its wall seconds on stdout, its CPU seconds and peak memory in MB into a file.
measured() {
    python3 - "$tmp.usage" "$@" <<'PY'
import resource, subprocess, sys, time
begun = time.monotonic()
with open(sys.argv[1] + ".err", "w") as errors:
    code = subprocess.run(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=errors).returncode
took = time.monotonic() - begun
if code:
    sys.exit(open(sys.argv[1] + ".err").read())
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as usage:
    usage.write(f"{used.ru_utime + used.ru_stime:.2f} {used.ru_maxrss / 1024:.0f}\n")
print(f"{took:.3f}")
PY
}

way_drover() {
    fresh_app
    DROVER_CONNECTION_LEGACY=$(url legacy) DROVER_CONNECTION_APP=$(url app) measured "$drover" run "$here/demo/plan.yaml" -o json
    cat "$tmp.usage" >>"$tmp.used"
}

# cluster AGENTS: a controller, etcd and agents, up before the clock starts.
cluster() {
    fresh_app
    sql postgres -c 'drop database if exists meta' -c 'create database meta'
    local etcd=$((port + 1)) peer=$((port + 2)) controller=$((port + 3)) programs=${drover%/*} at begun
    rm -rf "$tmp.etcd"
    etcd --data-dir "$tmp.etcd" --listen-client-urls "http://127.0.0.1:$etcd" --advertise-client-urls "http://127.0.0.1:$etcd" \
        --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
        --initial-cluster "default=http://127.0.0.1:$peer" >"$tmp.etcd.log" 2>&1 &
    servers+=($!)
    DROVER_CONTROLLER__LISTEN=127.0.0.1:$controller DROVER_CONTROLLER__METADATA__URL=$(url meta) \
        DROVER_CONTROLLER__ETCD__ENDPOINTS=http://127.0.0.1:$etcd "$programs/drover-controller" >"$tmp.controller.log" 2>&1 &
    servers+=($!)
    for ((at = 1; at <= $1; at++)); do
        DROVER_AGENT__NAME=agent-$at DROVER_AGENT__REGION=here DROVER_AGENT__CAPACITY=$((4 / $1)) \
            DROVER_AGENT__CONTROLLERS=127.0.0.1:$controller DROVER_AGENT__ETCD__ENDPOINTS=http://127.0.0.1:$etcd \
            DROVER_CONNECTION_LEGACY=$(url legacy) DROVER_CONNECTION_APP=$(url app) \
            "$programs/drover-agent" >"$tmp.agent-$at.log" 2>&1 &
        servers+=($!)
    done
    export DROVER_ADDRESS=127.0.0.1:$controller
    for ((at = 0; at < 600; at++)); do
        [ "$("$drover" agent list -o name 2>/dev/null | wc -l)" = "$1" ] && break
        sleep 0.1
    done
    begun=$(now)
    "$drover" migration create -f "$here/demo/plan.yaml" -o json >/dev/null 2>&1
    "$drover" migration start demo-clinic -o json >/dev/null 2>&1
    "$drover" migration wait demo-clinic --for=state=completed --wait-timeout 1h >/dev/null 2>"$tmp.wait" || { cat "$tmp.wait" >&2; exit 1; }
    since "$begun"
    stop_cluster
}
way_cluster1() { cluster 1; }
way_cluster2() { cluster 2; }

shapes=$(sql target_template -At -c "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
: >"$tmp.used"
for ((i = 1; i <= rounds; i++)); do
    said="round $i:"
    for way in $ways; do
        took=$("way_$way")
        echo "$took" >>"$tmp.took.$way"
        said+=" $way $(printf %.2f "$took") s,"
    done
    echo "${said%,}"
done
base=$(median <"$tmp.took.drover")
printf '\n%-10s %10s %12s %18s\n' way seconds rows/s 'drover / this'
for way in $ways; do
    took=$(median <"$tmp.took.$way")
    printf '%-10s %10.2f %12.0f %18.2f\n' "$way" "$took" "$(echo "$rows / $took" | bc -l)" "$(echo "$base / $took" | bc -l)"
done
printf '\ndrover: %s CPU seconds in all, %s per million rows; peak memory %s MB (medians)\n' \
    "$(cut -d' ' -f1 "$tmp.used" | median)" \
    "$(echo "scale=2; $(cut -d' ' -f1 "$tmp.used" | median) * 1000000 / $rows" | bc)" \
    "$(cut -d' ' -f2 "$tmp.used" | median)"
