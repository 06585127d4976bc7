# Installs the shop into $WORK and lets it make its tables in the database of PGDATABASE.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ -x "$WORK/oscar/bin/django-admin" ] || {
    python3 -m venv "$WORK/oscar"
    "$WORK/oscar/bin/pip" install -q django-oscar==4.2.1 Django==5.2.19 psycopg2-binary==2.9.13 pycountry==26.2.16
}
export DJANGO_SETTINGS_MODULE=settings PYTHONPATH=$here
"$WORK/oscar/bin/django-admin" migrate --skip-checks -v 0 >/dev/null
"$WORK/oscar/bin/django-admin" oscar_populate_countries --skip-checks -v 0 >/dev/null
