"""Compares what Drover wrote with the oracle, row by row as text, and the fate of every row.

    compare.py TABLES.json ENTITIES.json      of redesign.py; of `drover migration get NAME --local -o json`
"""

import collections
import json
import os
import sys

import psycopg2


def rows(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def texts(columns):
    return "array[" + ", ".join(f'"{c}"::text' for c in columns) + "]::text[]" if columns else "array[]::text[]"


def connect(database):
    connection = psycopg2.connect(dbname=database)
    connection.autocommit = True
    rows(connection, "set timezone = 'UTC'; select 1")
    return connection


def main():
    places, migration = (json.load(open(path)) for path in sys.argv[1:3])
    legacy, app = connect(os.environ["LEGACY"]), connect(os.environ["APP"])
    faults = []
    compared = 0
    for destination in dict.fromkeys(p["destination"] for p in places):
        parts = [p for p in places if p["destination"] == destination]
        columns = list(dict.fromkeys(c for p in parts for c in p["columns"]))
        expected = collections.Counter()
        for part in parts:
            own = [c if c in part["columns"] else None for c in columns]
            sql = "array[" + ", ".join(f'"{c}"::text' if c else "null::text" for c in own) + "]::text[]"
            expected.update(tuple(r[0]) for r in rows(legacy, f"""select {sql} from oracle."{part['entity']}" where fate = 'written'"""))
        written = collections.Counter(tuple(r[0]) for r in rows(app, f'select {texts(columns)} from public."{destination}"'))
        compared += sum(written.values())
        missing, surplus = expected - written, written - expected
        if missing or surplus:
            faults.append(f"{destination}: {sum(missing.values())} rows are missing, {sum(surplus.values())} should not be there")
            for missed, wrong in zip(sorted(missing, key=str)[:1], sorted(surplus, key=str)):
                faults.append("   " + "; ".join(f"{c}: {m!r} is {w!r}" for c, m, w in zip(columns, missed, wrong) if m != w)[:400])
    accounts = {e["entity"]: e for e in migration["entities"]}
    for place in places:
        account = accounts[place["entity"]]
        total = rows(legacy, f"""select count(*) from "{place['source']}\"""")[0][0]
        expected = collections.Counter(dict(rows(legacy, f"""select fate, count(*) from oracle."{place['entity']}" group by 1""")))
        expected["filtered"] = total - sum(expected.values())
        told = {fate: account["records_" + fate] for fate in ("written", "failed", "held", "filtered", "skipped")}
        told["quarantined"] = told.pop("failed") - told["held"]
        if sum(told.values()) != total or any(told[f] != expected[f] for f in told):
            faults.append(f"{place['entity']}: {total} rows, the oracle says {dict(expected)}, Drover {told}")
        if place["counted"]:
            top = rows(app, f"""select coalesce(max("{place['counted']}"), 0), nextval(pg_get_serial_sequence('"{place['destination']}"', '{place['counted']}')) from "{place['destination']}\"""")[0]
            if top[1] <= top[0]:
                faults.append(f"{place['destination']}: the sequence gives {top[1]}, but {top[0]} is taken")
    faults += constraints(app)
    for fault in faults:
        print(fault)
    asides = sum(e["records_failed"] for e in accounts.values())
    print(f"{len(places)} entities, {compared} rows the same as the oracle's, {asides} set aside as it says" if not faults else f"{len(faults)} faults")
    sys.exit(bool(faults))


def constraints(app):
    """Every key, reference, check and index of the new schema is there as it was made, and valid."""
    say = """select conrelid::regclass || ' ' || pg_get_constraintdef(oid) from pg_constraint
             where connamespace = 'public'::regnamespace and conrelid <> 0 and convalidated
             union all select indexdef from pg_indexes where schemaname = 'public'"""
    now = collections.Counter(r[0] for r in rows(app, say))
    empty = connect(os.environ["APP"] + "_empty")
    before = collections.Counter(r[0] for r in rows(empty, say))
    bad = rows(app, "select indexrelid::regclass::text from pg_index where not indisvalid")
    return [f"gone: {c}" for c in before - now] + [f"new: {c}" for c in now - before] + [f"not valid: {b[0]}" for b in bad]


main()
