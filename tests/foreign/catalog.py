"""What the legacy database says about its tables."""

import graphlib
import re
from dataclasses import dataclass, field

COLUMNS = """
select c.relname, a.attname, format_type(a.atttypid, a.atttypmod), t.typname, a.attnotnull,
       a.attidentity <> '' or coalesce(pg_get_expr(d.adbin, d.adrelid) like 'nextval%%', false),
       coalesce((select array_agg(enumlabel::text order by enumsortorder) from pg_enum where enumtypid = t.oid), '{}')
from pg_class c join pg_attribute a on a.attrelid = c.oid join pg_type t on t.oid = a.atttypid
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum"""

KEYS = """
select c.relname, i.indisprimary, pg_get_expr(i.indpred, i.indrelid),
       array(select attname::text from unnest(i.indkey) with ordinality u(n, o)
             join pg_attribute on attrelid = c.oid and attnum = n order by o)
from pg_index i join pg_class c on c.oid = i.indrelid
where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and i.indisunique and i.indexprs is null
order by c.relname, i.indexrelid::regclass::text"""

REFERENCES = """
select k.conrelid::regclass::text, k.confrelid::regclass::text,
       array(select attname::text from unnest(k.conkey) with ordinality u(n, o)
             join pg_attribute on attrelid = k.conrelid and attnum = n order by o),
       array(select attname::text from unnest(k.confkey) with ordinality u(n, o)
             join pg_attribute on attrelid = k.confrelid and attnum = n order by o)
from pg_constraint k where k.contype = 'f' and k.connamespace = 'public'::regnamespace
order by k.conrelid::regclass::text, k.conname"""

CHECKS = """
select k.conrelid::regclass::text, pg_get_expr(k.conbin, k.conrelid)
from pg_constraint k where k.contype = 'c' and k.connamespace = 'public'::regnamespace and k.conrelid <> 0
order by k.conrelid::regclass::text, k.conname"""


@dataclass
class Column:
    name: str
    type: str
    base: str
    required: bool
    counted: bool
    labels: list

    @property
    def length(self):
        found = re.fullmatch(r"character(?: varying)?\((\d+)\)", self.type)
        return int(found[1]) if found else None

    @property
    def textual(self):
        return self.base in ("varchar", "text", "bpchar")


@dataclass
class Reference:
    """Columns that name a row of another table; `enforced` where the database sees to it."""

    table: str
    columns: list
    of: list
    enforced: bool = True


@dataclass
class Table:
    name: str
    columns: dict = field(default_factory=dict)
    key: list = field(default_factory=list)
    uniques: list = field(default_factory=list)
    references: list = field(default_factory=list)
    checks: list = field(default_factory=list)

    def reference_of(self, column):
        """The reference that this column alone is."""
        return next((r for r in self.references if r.columns == [column]), None)


def read(connection, soft, later=()):
    """All tables, parents first. `soft` names references that nobody enforces: table.column to table or table.column;
    `later` those that close a cycle."""
    tables = {}
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS)
        for table, *column in cursor.fetchall():
            tables.setdefault(table, Table(table)).columns[column[0]] = Column(*column)
        cursor.execute(KEYS)
        for table, primary, where, columns in cursor.fetchall():
            if primary:
                tables[table].key = columns
            else:
                tables[table].uniques.append((columns, where))
        cursor.execute(REFERENCES)
        for table, parent, columns, of in cursor.fetchall():
            reference = Reference(parent.strip('"'), columns, of)
            known = tables[table.strip('"')].references
            if not any(r.columns == columns and r.table == reference.table for r in known):
                known.append(reference)
        cursor.execute(CHECKS)
        for table, check in cursor.fetchall():
            tables[table.strip('"')].checks.append(check)
    for place, parent in soft.items():
        table, column = place.split(".")
        parent, _, of = parent.partition(".")
        tables[table].references.append(Reference(parent, [column], [of] if of else tables[parent].key, enforced=False))
    return {name: tables[name] for name in order(tables, later)}


def order(tables, later):
    """Names of tables, parents first; a table's references to itself and those of `later` do not count."""
    def edge(table, reference):
        return reference.table != table.name and f"{table.name}.{reference.columns[0]}" not in later

    edges = {name: sorted({r.table for r in table.references if edge(table, r)}) for name, table in tables.items()}
    return list(graphlib.TopologicalSorter(edges).static_order())
