"""Fills the tables of the legacy database: everything its constraints allow, the rare things too. The same seed, the same rows.

    rows.py REDESIGN.yaml ROWS
"""

import io
import json
import random
import re
import string
import sys
import uuid
from datetime import datetime, timedelta

import psycopg2
import yaml

import catalog

NASTY = [
    "", " ", "Zoë", "日本語", "👩‍👩‍👧‍👦 family", "O'Brien \"q\" \\ back", "tab\there\nnew line", "e\u0301 decomposed", "\u202eright to left",
    "ﬁ ligature", "%_", "a:b::c", "NULL", "\\N", "İstanbul ß", "{\"no\": json}", "  padded  ", "\u00a0nbsp\u00a0", "$1 ${x}", "-- ';",
]
WORDS = "amber birch cedar dune ember fjord grove harbor iris jade kelp lark moss north opal pine quartz reed slate tide umber vale wren yarrow".split()
RARE_TIMES = ["infinity", "-infinity", "0001-01-01 00:00:00+00", "4713-01-01 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00", "1900-01-01 00:00:00+00"]
RARE_DATES = ["infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "2024-02-29"]
RARE_FLOATS = ["NaN", "Infinity", "-Infinity", "-0", "1e-30", "3.4e38", "0.1"]


class Filler:
    def __init__(self, connection, redesign, count):
        self.connection = connection
        self.later = redesign.get("later", [])
        self.tables = catalog.read(connection, redesign.get("soft", {}), self.later)
        self.wishes = redesign.get("values", {})
        self.counts = redesign.get("rows", {})
        self.seeded = set(redesign.get("seeded", []))
        self.finish = redesign.get("filled", [])
        self.count = count
        self.rows = {}
        self.pools = {}

    def run(self):
        total = 0
        for table in self.tables.values():
            self.rows[table.name] = self.present(table)
            if table.name not in self.seeded:
                self.fill(table)
            total += len(self.rows[table.name])
        with self.connection.cursor() as cursor:
            for statement in self.finish:
                cursor.execute(statement)
            cursor.execute("analyze")
        self.connection.commit()
        print(f"{total} rows in {len(self.tables)} tables")

    def present(self, table):
        with self.connection.cursor() as cursor:
            cursor.execute("select {} from {}".format(", ".join(f'"{c}"::text' for c in table.columns), quoted(table.name)))
            return [dict(zip(table.columns, row)) for row in cursor.fetchall()]

    def fill(self, table):
        self.random = random.Random(f"4711 {table.name}")
        share = self.counts.get(table.name, 1)
        count = int(self.count * share) if share else 0
        taken = [(columns, set()) for columns, _ in [(table.key, None), *table.uniques] if columns]
        for row in self.rows[table.name]:
            note(taken, row)
        numbers = [int(row[table.key[0]]) for row in self.rows[table.name]] if self.is_counted(table) else []
        self.next = max(numbers, default=0) + 1
        made = []
        for index in range(count):
            row = self.row(table, index)
            for _ in range(30):
                if row is not None and free(taken, row):
                    break
                row = self.row(table, index)
            else:
                continue
            note(taken, row)
            made.append(row)
        self.rows[table.name] += made
        self.refer_to_itself(table, made)
        self.copy(table, made)

    def is_counted(self, table):
        return len(table.key) == 1 and table.columns[table.key[0]].base in ("int2", "int4", "int8") and not table.reference_of(table.key[0])

    def row(self, table, index):
        row = {}
        if self.is_counted(table):
            row[table.key[0]] = str(self.next)
            self.next += self.random.choice([1, 1, 1, 2, 7])
        for reference in sorted(table.references, key=lambda r: -len(r.columns)):
            place = f"{table.name}.{reference.columns[0]}"
            if place in self.later:
                row[reference.columns[0]] = None  # filled at the end
            wished = place in self.wishes
            if reference.table != table.name and not wished and not any(c in row for c in reference.columns):
                found = self.parent(table, reference)
                if found is None:
                    return None
                row.update(found)
        for column in table.columns.values():
            if column.name not in row:
                row[column.name] = self.value(table, column, index)
        return row

    def parent(self, table, reference):
        optional = [c for c in reference.columns if not table.columns[c].required]
        rows = self.pool(reference) if not optional else self.rows[reference.table]
        if optional and (not rows or self.random.random() < 0.15):
            return {c: None for c in optional}
        if not reference.enforced and self.random.random() < 0.02:
            column = table.columns[reference.columns[0]]
            return {column.name: "999999999" if column.base.startswith("int") else "nobody_" + str(self.random.randrange(50))}
        if not rows:
            return None
        chosen = self.random.choice(rows)
        return {c: chosen[of] for c, of in zip(reference.columns, reference.of)}

    def pool(self, reference):
        """Rows that a required reference may name."""
        place = (reference.table, *reference.of)
        if place not in self.pools:
            self.pools[place] = [r for r in self.rows[reference.table] if None not in (r[of] for of in reference.of)]
        return self.pools[place]

    def refer_to_itself(self, table, made):
        for reference in table.references:
            if reference.table != table.name:
                continue
            column = reference.columns[0]
            for row in made:
                chosen = self.random.choice(self.rows[table.name])[reference.of[0]]
                if not table.columns[column].required and self.random.random() < 0.4:
                    chosen = None
                row[column] = chosen

    def value(self, table, column, index):
        chance = self.random.random()
        single = [column.name] in [table.key, *(u for u, _ in table.uniques)]
        wish = self.wishes.get(f"{table.name}.{column.name}", self.wishes.get(f"*.{column.name}"))
        if f"{table.name}.{column.name}" not in self.wishes:
            wish = self.wishes.get("*." + column.name.split("_")[0] + "_*", wish)
        if not column.required and not (isinstance(wish, dict) and wish.get("always")) and chance < 0.15:
            return None
        if isinstance(wish, list):
            return self.random.choice(wish)
        if isinstance(wish, dict) and "like" in wish:
            odd = self.random.choice(["", "", "", "", ":a", "\\b", "é"])
            return wish["like"].format(n=index, r=self.random.randrange(10**6), w=self.random.choice(WORDS), t=table.name[:8], odd=odd)
        for check in table.checks:
            allowed = re.match(r"\(\(?\"?%s\"?(?:\)::text)? = ANY \(\(?ARRAY\[(.*)\]" % re.escape(column.name), check)
            if allowed:
                return self.random.choice(re.findall(r"'([^']*)'", allowed[1]))
        if column.labels:
            return self.random.choice(column.labels)
        positive = any(re.fullmatch(r"\(\"?%s\"? >= \(?0\)?(::numeric)?\)" % re.escape(column.name), c) for c in table.checks)
        return self.of_type(column, single, index, positive)

    def of_type(self, column, single, index, positive):
        pick, rare = self.random, self.random.random() < 0.01
        base = column.base
        if column.counted:
            return str(index + 1)
        if base in ("int2", "int4", "int8"):
            high = {"int2": 2**15, "int4": 2**31, "int8": 2**63}[base]
            low = 0 if positive else -high
            return str(index if single else pick.choice([low, high - 1]) if rare else pick.randrange(0, 50))
        if base == "numeric":
            found = re.fullmatch(r"numeric\((\d+),(\d+)\)", column.type)
            digits, scale = (int(found[1]), int(found[2])) if found else (30, 6)
            whole = 10 ** (digits - scale) - 1 if rare else pick.randrange(10**5)
            sign = "-" if not positive and pick.random() < 0.1 else ""
            return f"{sign}{whole}.{pick.randrange(10**scale):0{scale}d}"
        if base in ("float4", "float8"):
            return pick.choice(RARE_FLOATS) if rare else str(pick.randrange(10**6) / 64)
        if base == "bool":
            return pick.choice("tf")
        if base == "uuid":
            return str(uuid.UUID(int=pick.getrandbits(128), version=4))
        if base in ("timestamptz", "timestamp"):
            if rare:
                time = pick.choice(RARE_TIMES)
                return time if base == "timestamptz" else time.replace("+00", "")
            return str(datetime(2015, 1, 1) + timedelta(microseconds=pick.randrange(10 * 365 * 86_400 * 10**6))) + ("+00" if base == "timestamptz" else "")
        if base == "date":
            return pick.choice(RARE_DATES) if rare else str((datetime(1930, 1, 1) + timedelta(days=pick.randrange(36_000))).date())
        if base in ("json", "jsonb"):
            return json.dumps(self.document(2), ensure_ascii=pick.random() < 0.5)
        if base == "bytea":
            return "\\x" + pick.randbytes(pick.randrange(40)).hex()
        if base == "_text":
            return pick.choice(["{}", "{a,b}", '{NULL,"x y","\\"q\\""}', "{Zoë,日本}"])
        if column.textual:
            return self.text(column, single, index, rare)
        raise SystemExit(f"no values for {column.name} {column.type}")

    def text(self, column, single, index, rare):
        pick = self.random
        length = column.length or 400
        if column.name.endswith("email"):
            name = pick.choice(WORDS) + str(index)
            text = pick.choice([f"{name}@example.org"] * 96 + [f" {name.upper()}@Example.ORG "] * 3 + [f"{name} at example.org"])
            return text[:length]
        if "phone" in column.name:
            return pick.choice(["", "+49 30 901820", "030-901820", "+1 (202) 555-0143", "ask Zoë", "+442079460" + str(pick.randrange(1000)).zfill(3)])[:length]
        text = pick.choice(NASTY) if pick.random() < 0.06 else " ".join(pick.choices(WORDS, k=pick.randrange(1, 5)))
        if single:
            tail = f"_{index:x}{pick.choice(string.ascii_lowercase)}"
            return text[: max(0, length - len(tail))] + tail
        if rare and column.length:
            return (text + "ü" * length)[:length]
        return text[:length]

    def document(self, depth):
        pick = self.random
        kind = pick.randrange(6 if depth else 4)
        if kind == 0:
            return pick.choice([None, True, False])
        if kind == 1:
            return pick.choice([0, -1, 3.25, 12345678901234567890, 1e-7])
        if kind < 4:
            return pick.choice(WORDS + [n for n in NASTY if "\0" not in n])
        if kind == 4:
            return [self.document(depth - 1) for _ in range(pick.randrange(4))]
        return {pick.choice(WORDS): self.document(depth - 1) for _ in range(pick.randrange(4))}

    def copy(self, table, made):
        text = io.StringIO()
        for row in made:
            text.write("\t".join(escaped(row[c]) for c in table.columns) + "\n")
        text.seek(0)
        columns = ", ".join(f'"{c}"' for c in table.columns)
        with self.connection.cursor() as cursor:
            cursor.copy_expert(f"copy {quoted(table.name)} ({columns}) from stdin", text)
            for column in table.columns.values():
                if column.counted:
                    cursor.execute(
                        f"""select setval(pg_get_serial_sequence(%s, %s), coalesce(max("{column.name}"), 0) + 1, false) from {quoted(table.name)}""",
                        (quoted(table.name), column.name),
                    )


def quoted(name):
    return f'"{name}"'


def escaped(value):
    if value is None:
        return "\\N"
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def free(taken, row):
    return not any(None not in (key := tuple(row[c] for c in columns)) and key in seen for columns, seen in taken)


def note(taken, row):
    for columns, seen in taken:
        seen.add(tuple(row[c] for c in columns))


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        Filler(psycopg2.connect(""), yaml.safe_load(file), int(sys.argv[2])).run()
