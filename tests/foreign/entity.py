"""One entity of the plan, and how new things are called."""

import re


class Entity:
    """One entity of the plan: its place in the new schema, its rules, and SQL that says what they make."""

    def __init__(self, name, table, wish, redesign):
        self.name, self.table, self.wish = name, table, wish
        self.destination = wish.get("into", name)
        self.extra = dict(wish.get("entity", {}))
        self.key = self.extra.get("key", table.key)
        self.kind = self.id_kind(redesign)
        deleted = redesign.get("deleted")
        if deleted in table.columns:  # rows that are gone, but for their traces
            self.leave(deleted)
            self.extra.setdefault("where", f"{q(table.name)}.{q(deleted)} is null")
        if self.kind == "none" and "id" in table.columns and "id" not in table.key:
            self.leave("id")
        self.where = self.extra.get("where")
        self.shared = None  # the entity whose ids these are
        self.columns = {}  # new column: (type, required, SQL)
        self.rules = {}
        self.faults = []  # conditions that set a row aside; those of steps that the agent takes count after the parents' fate
        self.late = []
        self.holds = []
        self.parents = []  # (entity, alias, join condition, policy, legacy columns)
        self.renamed = {}  # legacy columns, as a tuple: new column

    def leave(self, column):
        if column not in self.extra.get("drop_source_columns", []):
            self.extra["drop_source_columns"] = [*self.extra.get("drop_source_columns", []), column]

    def id_kind(self, redesign):
        if "id" in self.extra:
            return self.extra["id"].get("kind", "like" if "like" in self.extra["id"] else "uuid5")
        if len(self.key) != 1:
            return "none"
        base = self.table.columns[self.key[0]].base
        return "keep" if base == "uuid" or self.table.name in redesign.get("keep", []) else "uuid5"

    def new_key(self):
        """Name and type of the key of the new table."""
        if self.kind == "keep":
            column = self.table.columns[self.key[0]]
            return self.wish.get("rename", {}).get(column.name, column.name), new_type(column)
        return self.extra.get("id", {}).get("column", "id"), "uuid"

    def new_id(self, row, columns, namespace):
        """SQL of the new id of the row that `columns` of `row` name."""
        if self.kind == "keep" or self.shared and self.shared.kind == "keep":
            return f"{row}.{q(columns[0])}"
        parts = []
        for column, key in zip(columns, self.key):
            text = f"{row}.{q(column)}::text"
            if self.table.columns[key].textual:
                text = rf"replace(replace({text}, '\', '\\'), ':', '\:')"
            parts.append(text)
        name = self.shared.name if self.shared else self.name
        return f"oracle.uuid_generate_v5('{namespace}', '{name}:' || " + " || ':' || ".join(parts) + ")"


def new_type(column):
    if column.textual:
        return "text"
    if column.labels:
        return f'public.{q(column.base)}'
    return {"json": "jsonb", "timestamp": "timestamptz"}.get(column.base, column.type.replace("timestamp with time zone", "timestamptz"))


def named(rule):
    """Columns that the steps of a rule name."""
    found = set()
    if isinstance(rule, list):
        for part in rule:
            found |= named(part)
    elif isinstance(rule, dict):
        for step, argument in rule.items():
            if step == "col":
                found.add(argument)
            elif step in ("coalesce", "cols"):
                found |= set(argument)
            elif step == "template":
                found |= set(re.findall(r"\$\{([^}]+)\}", argument))
            elif step not in ("array_agg", "lookup"):
                found |= named(argument)
    return found


def singular(name):
    if name.endswith("ies"):
        return name[:-3] + "y"
    return name[:-2] if name.endswith(("sses", "xes", "ches")) else name[:-1] if name.endswith("s") else name


def q(name):
    return f'"{name}"'


def qs(names):
    return ", ".join(q(n) for n in names)
