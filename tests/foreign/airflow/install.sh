# Installs Apache Airflow into $WORK and lets it make its tables in the database of PGDATABASE.
set -eu
[ -x "$WORK/airflow/bin/airflow" ] || {
    python3 -m venv "$WORK/airflow"
    "$WORK/airflow/bin/pip" install -q apache-airflow==3.3.2 psycopg2-binary==2.9.13 asyncpg==0.32.0
}
export AIRFLOW_HOME=$WORK/airflow-home AIRFLOW__CORE__LOAD_EXAMPLES=False
export AIRFLOW__DATABASE__SQL_ALCHEMY_CONN="postgresql+psycopg2://$PGUSER@$PGHOST:$PGPORT/$PGDATABASE"
"$WORK/airflow/bin/airflow" db migrate >/dev/null 2>&1
