# The ways that run.sh times: each `way_NAME` moves the demo's rows into a fresh database, keys, indexes and foreign keys
# included, and prints the seconds it took.

dump() {
    for section in pre post; do
        as "$bin/pg_dump" -h "$dir" -p "$port" -U postgres --schema=public --section=$section-data "$1" |
            grep -v '^CREATE SCHEMA public' >"$tmp.$1-$section"
    done
}

fresh() { # NAME [TEMPLATE]
    sql postgres -c "drop database if exists $1" -c "create database $1 ${2:+template $2}" -c checkpoint
}

# copy_tables FROM TO TABLES [SCHEMA]: binary pipes, two at a time, the biggest first.
copy_tables() {
    echo "$3" | xargs -P 2 -I{} sh -c \
        "psql -Xqd '$(url "$1")' -c 'copy {} to stdout (format binary)' | psql -Xqd '$(url "$2")' -c 'copy ${4:-public}.{} from stdin (format binary)'"
}

# pipes FROM TABLES SECTIONS [KINDS]: tables into a copy of their schema, whose keys are built then; the id maps of these
# kinds, too.
pipes() {
    fresh copy
    sql copy -f "$tmp.$3-pre" >/dev/null
    for kind in ${4:-}; do
        sql copy -c "create table id_map_$kind (id uuid not null, k $kind not null, entity_no int not null, meta jsonb)"
    done
    local begun
    begun=$(now)
    copy_tables "$1" copy "$2"
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

clone() { # FROM
    fresh copy
    rm -rf "$tmp.pgcopydb"
    local begun
    begun=$(now)
    # In a session of its own: where it fails it ends its whole process group.
    setsid -w pgcopydb clone --source "$(url "$1")" --target "$(url copy)" --dir "$tmp.pgcopydb" --table-jobs 2 --index-jobs 2 \
        --no-acl --no-owner --no-comments >"$tmp.pgcopydb.log" 2>&1 || { tail -5 "$tmp.pgcopydb.log" >&2; exit 1; }
    sql copy -c analyze
    since "$begun"
}
way_pgcopydb() { clone legacy; }
way_pgcopydb_new() {
    sql app -c 'drop schema drover, drover_meta cascade' 2>/dev/null
    clone app
}

way_staged() {
    fresh copy target_template
    local begun
    begun=$(now)
    sed 's/public\./stage./g; s/CREATE TABLE/CREATE UNLOGGED TABLE/' "$tmp.legacy-pre" | cat <(echo 'create schema stage;') - |
        sql copy -f - >/dev/null
    copy_tables legacy copy "$tables" stage
    sql copy -f "$here/staged.sql"
    since "$begun"
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

run_to() { # URL
    fresh app target_template
    DROVER_CONNECTION_LEGACY=$(url legacy) DROVER_CONNECTION_APP=$1 measured "$programs/drover" run "$demo/plan.yaml" -o json
}
way_drover() {
    run_to "$(url app)"
    cat "$tmp.usage" >>"$tmp.used"
}
# 20 ms of round trip between Drover and the destination; its own records are near, as a controller's are.
way_far() {
    "$programs/delay-proxy" "127.0.0.1:$((port + 4))" "127.0.0.1:$port" 10 >"$tmp.proxy.log" 2>&1 &
    servers+=($!)
    sleep 0.2
    sql postgres -c 'drop database if exists meta' -c 'create database meta' 2>/dev/null
    DROVER_METADATA_URL=$(url meta) run_to "postgres://postgres@127.0.0.1:$((port + 4))/app"
    stop_servers
}

# cluster AGENTS: a controller, etcd and agents, up before the clock starts.
cluster() {
    fresh app target_template
    sql postgres -c 'drop database if exists meta' -c 'create database meta'
    local etcd=$((port + 1)) peer=$((port + 2)) controller=$((port + 3)) at begun
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
        [ "$("$programs/drover" agent list -o name 2>/dev/null | wc -l)" = "$1" ] && break
        sleep 0.1
    done
    begun=$(now)
    "$programs/drover" migration create -f "$demo/plan.yaml" -o json >/dev/null 2>&1
    "$programs/drover" migration start demo-clinic -o json >/dev/null 2>&1
    "$programs/drover" migration wait demo-clinic --for=state=completed --wait-timeout 1h >/dev/null 2>"$tmp.wait" || { cat "$tmp.wait" >&2; exit 1; }
    since "$begun"
    stop_servers
}
way_cluster1() { cluster 1; }
way_cluster2() { cluster 2; }
