# Installs Medusa into $WORK and lets it make its tables in the database of PGDATABASE.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$WORK/medusa"
cp "$here/package.json" "$here/medusa-config.js" "$WORK/medusa/"
cd "$WORK/medusa"
[ -d node_modules/@medusajs/medusa ] || npm install --no-audit --no-fund --ignore-scripts --legacy-peer-deps --loglevel=error
export DATABASE_URL="postgres://$PGUSER@$PGHOST:$PGPORT/$PGDATABASE" MEDUSA_DISABLE_TELEMETRY=true
npx medusa db:migrate --skip-scripts >/dev/null 2>&1
