#!/usr/bin/env bash
# Migrates databases of public applications, which were not made for Drover, and compares with an oracle in plain SQL.
#
#   tests/foreign/run.sh NAME|all [ROWS]      a directory beside this file; ROWS a table (default 3000)
#
# FOREIGN_WORK keeps what is installed (default /tmp/drover-foreign); DROVER_BINARY is the program.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
names=${1:?which: oscar, airflow, medusa or all}
[ "$names" != all ] || names="oscar airflow medusa"
rows=${2:-3000}
drover=${DROVER_BINARY:-${CARGO_TARGET_DIR:-$here/../../target}/release/drover}
export WORK=${FOREIGN_WORK:-/tmp/drover-foreign}
mkdir -p "$WORK"
python=$WORK/tools/bin/python
[ -x "$python" ] || {
    python3 -m venv "$WORK/tools"
    "$WORK/tools/bin/pip" install -q psycopg2-binary==2.9.13 PyYAML==6.0.4
}

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb)")
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
cd /
dir=$(as mktemp -d /tmp/drover-foreign-pg.XXXXXX)
stop() {
    as "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap stop EXIT
export PGHOST=127.0.0.1 PGUSER=postgres PGPORT=$((20000 + RANDOM % 20000))
as "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" start -o "-p $PGPORT -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories=$dir -c fsync=off -c full_page_writes=off -c shared_buffers=256MB" >/dev/null
sql() { psql -X -q -v ON_ERROR_STOP=1 -d "$1" "${@:2}"; }

migrate() {
    local name=$1 out=$WORK/$1-out
    export LEGACY=${name}_legacy APP=${name}_app
    mkdir -p "$out"
    sql postgres -c "create database $LEGACY" -c "create database ${APP}_empty"
    PGDATABASE=$LEGACY sh "$here/$name/install.sh"
    PGDATABASE=$LEGACY "$python" "$here/rows.py" "$here/$name/redesign.yaml" "$rows"
    PGDATABASE=$LEGACY "$python" "$here/redesign.py" "$here/$name/redesign.yaml" "$out"
    sql "${APP}_empty" -f "$out/target.sql"
    sql postgres -c "create database $APP template ${APP}_empty"
    export DROVER_CONNECTION_LEGACY=postgres://$PGUSER@$PGHOST:$PGPORT/$LEGACY
    export DROVER_CONNECTION_APP=postgres://$PGUSER@$PGHOST:$PGPORT/$APP
    "$drover" rules check "$out/plan.yaml" >/dev/null
    "$drover" run "$out/plan.yaml" >"$out/run.out" 2>&1 || { tail -n 20 "$out/run.out"; return 1; }
    "$drover" migration get "$name" --local -o json >"$out/migration.json"
    sql "$LEGACY" -f "$out/oracle.sql"
    "$python" "$here/compare.py" "$out/tables.json" "$out/migration.json" | sed "s/^/$name: /"
}

failed=0
for name in $names; do migrate "$name" || failed=1; done
exit $failed
