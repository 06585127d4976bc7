"""Derives the new schema, the plan and the oracle from the legacy catalog and a REDESIGN.yaml.

Integer and text keys become uuid and references follow; varchar becomes text, json jsonb, local times moments; every table has a
new name. That is the boring part, derived here. What is not boring stands in the YAML: per new column its type, its rule, and
beside them what plain SQL says that it must be.

    redesign.py REDESIGN.yaml DIRECTORY      writes target.sql, plan.yaml, oracle.sql and tables.json

Of a table (`tables`): `to` its new name, `into` a table that it shares, `rename` and `columns` its columns, `natural` the name of a text
key that stays beside the new id, `entity` what stands in the plan as it is, `also` further entities of it (`only` some columns),
`orphans` the policy of a reference, `primary` the key of a join table, `beside` a join of the oracle. Of all: `soft` references that
nobody enforces, `later` those that close a circle, `seeded` tables that stay as the application filled them, `values` what is
generated (`like`: n, r, w, t and odd are a number, a random one, a word, the table and an odd end), `filled` SQL after that,
`deleted` the column of rows that are gone, `pairs` numbers that JSON under another name has right.
"""

import json
import pathlib
import sys

import psycopg2
import yaml

import catalog
import oracle
import target
from entity import Entity, named, new_type, q, singular


class Redesign:
    def __init__(self, connection, wishes):
        self.wishes = wishes
        self.namespace = wishes["namespace"]
        self.tables = catalog.read(connection, wishes.get("soft", {}), wishes.get("later", []))
        self.entities = {}
        self.of_table = {}
        for table in self.tables.values():
            if table.name in wishes["skip"]:
                continue
            wish = wishes["tables"].get(table.name, {})
            self.add(Entity(wish.get("to", self.new_name(table.name)), table, wish, wishes))
            self.of_table[table.name] = list(self.entities.values())[-1]
            for name, also in wish.get("also", {}).items():
                self.add(Entity(name, table, also, wishes))
        for entity in self.entities.values():
            entity.shared = self.entities.get(entity.extra.get("id", {}).get("like"))
        for entity in self.entities.values():
            self.design(entity)

    def add(self, entity):
        self.entities[entity.name] = entity

    def new_name(self, table):
        for old, new in self.wishes.get("prefixes", {}).items():
            if table.startswith(old):
                table = new + table[len(old) :]
        if table.endswith("y") and table[-2] not in "aeiou":
            return table[:-1] + "ies"
        return table if table.endswith("s") and not table.endswith("ss") else table + ("es" if table[-1] in "sx" or table.endswith("ch") else "s")

    def design(self, entity):
        table, wish = entity.table, entity.wish
        hand = wish.get("columns", {})
        dropped = set(entity.extra.get("drop_source_columns", []))
        used = dropped | {c for spec in hand.values() for c in named(spec.get("rule", []))}
        if "pairs" in self.wishes:
            self.pairs(entity, dropped)
            used |= dropped
        for thing in entity.extra.get("polymorphic", {}).values():
            used |= {thing["type_col"], thing.get("id_col")} - {None}
        if "only" in wish:
            used |= set(table.columns) - set(wish["only"])
        if entity.kind in ("uuid5", "keep", "like", "natural_key"):
            column, kind = entity.new_key()
            entity.columns[column] = (kind, True, entity.new_id(q(table.name), entity.key, self.namespace))
            for legacy in entity.key:
                entity.renamed[(legacy,)] = column
            used |= set(entity.key) if len(entity.key) == 1 else set()
        if wish.get("natural"):
            self.plain(entity, table.columns[entity.key[0]], wish["natural"])
            used |= set(entity.key)
        for reference in table.references:
            if any(c in dropped or c in used and len(reference.columns) == 1 for c in reference.columns) or "only" in wish and reference.columns[0] in used:
                if set(reference.columns) == set(entity.key) and not reference.columns[0] in dropped:
                    self.parent(entity, reference)  # a 1:1 table that shares its parent's ids
                continue
            if len(reference.columns) > 1 and not set(reference.columns) & used:
                self.refer(entity, reference, wish.get("names", {}).get(reference.table, singular(self.of_table[reference.table].name) + "_id"))
                used |= set(reference.columns)
        for column in table.columns.values():
            if column.name in used:
                continue
            name = wish.get("rename", {}).get(column.name, self.wishes.get("columns", {}).get(column.name, column.name))
            reference = table.reference_of(column.name)
            if reference:
                self.refer(entity, reference, name)
            else:
                self.plain(entity, column, name)
        for name, spec in hand.items():
            entity.columns[name] = (spec["type"], spec.get("required", False), spec["is"])
            if "rule" in spec:
                entity.rules[name] = spec["rule"]
            entity.faults += [spec["bad"]] if "bad" in spec else []
            entity.holds += [spec["held"]] if "held" in spec else []
            for legacy in named(spec.get("rule", [])):
                entity.renamed.setdefault((legacy,), name)

    def pairs(self, entity, dropped):
        """Numbers that stand twice: as they are, and as JSON under the same name with a prefix, which is right."""
        pairs = self.wishes["pairs"]
        for name, column in entity.table.columns.items():
            twin = pairs["prefix"] + name
            if twin in entity.table.columns and name not in dropped:
                entity.leave(name)
                dropped |= {name, twin}
                sql = f"{q(entity.table.name)}.{q(twin)}"
                value = pairs["is"].format(sql)
                required = entity.table.columns[twin].required
                entity.columns[name] = (pairs["type"], required, f"case when not coalesce({pairs['bad'].format(sql)}, false) then {value} end")
                entity.rules[name] = [{"col": twin}, *pairs["rule"]]
                entity.faults.append(pairs["bad"].format(sql))
                entity.late += [f"({pairs['null'].format(sql)}) is null"] if required else []

    def plain(self, entity, column, name):
        kind = new_type(column)
        rule, sql = [{"col": column.name}], f"{q(entity.table.name)}.{q(column.name)}"
        if column.base == "json":
            sql += "::jsonb"
        if column.base == "timestamp":
            zone = self.wishes["timezone"]
            rule.append({"tz": {}})
            sql = self.moment(entity, sql, zone) if zone != "UTC" else f"{sql} at time zone 'UTC'"
        entity.columns[name] = (kind, column.required, sql)
        entity.rules[name] = rule
        entity.renamed[(column.name,)] = name

    def moment(self, entity, sql, zone):
        """The moment of a local time; a time that came twice or never, or is too late, sets the row aside."""
        fits = f"({sql} <= '294276-12-30' or not isfinite({sql}))"
        moment = f"case when {fits} then {sql} at time zone '{zone}' end"
        again = " or ".join(f"(({moment}) {hour} interval '1 hour') at time zone '{zone}' = {sql}" for hour in "+-")
        never = f"({moment}) at time zone '{zone}' <> {sql}"
        entity.faults.append(f"not {fits} or isfinite({sql}) and (({again}) or {never})")
        return moment

    def refer(self, entity, reference, name):
        parent = self.of_table[reference.table]
        policy = entity.wish.get("orphans", {}).get(reference.columns[0])
        if policy is None and (not reference.enforced or parent.where):
            policy = "set_null" if not entity.table.columns[reference.columns[0]].required else "quarantine"
        fk = {"entity": parent.name}
        if len(reference.columns) > 1:
            fk["cols"] = reference.columns
        if reference.of != parent.key:
            fk["by"] = reference.of
        if policy:
            fk["orphan"] = policy
        if self.is_later(entity, reference.columns):
            fk["deferred"] = True
        entity.rules[name] = [{"fk": fk}] if len(reference.columns) > 1 else [{"col": reference.columns[0]}, {"fk": fk}]
        alias = self.parent(entity, reference, policy, name)
        kind = parent.new_key()[1]
        required = all(entity.table.columns[c].required for c in reference.columns) and policy != "set_null"
        keys = [f"k_{c}" for c in parent.key]
        entity.columns[name] = (kind, required, f"case when {alias}.fate is not null then {parent.new_id(alias, keys, self.namespace)} end")
        entity.renamed[tuple(reference.columns)] = name

    def is_later(self, entity, columns):
        return f"{entity.table.name}.{columns[0]}" in self.wishes.get("later", [])

    def parent(self, entity, reference, policy=None, name=None):
        parent = self.of_table[reference.table]
        alias = f"p{len(entity.parents)}"
        on = " and ".join(f"{alias}.k_{of} = {q(entity.table.name)}.{q(c)}" for c, of in zip(reference.columns, reference.of))
        entity.parents.append((parent, alias, on, policy, reference.columns, name))
        return alias

    def plan(self):
        entities = []
        for entity in self.entities.values():
            one = {"entity": entity.name, "source_entity": entity.table.name, "destination_entity": entity.destination, "entity_type": singular(entity.name)}
            if entity.kind == "none":
                one["id"] = {"kind": "none"}
            elif entity.kind == "keep":
                one["id"] = {"kind": "keep"}
            one.update(entity.extra)
            if "only" in entity.wish:
                one["unmapped_columns"] = "ignore"
            one["transformation_rules"] = entity.rules
            entities.append(one)
        return {
            "version": 1,
            "name": self.wishes["name"],
            "namespace": self.namespace,
            "source": {"connection": "legacy"},
            "destination": {"connection": "app"},
            "defaults": {"timezone": self.wishes["timezone"], "max_quarantined": self.wishes.get("max_quarantined", "20%")},
            "entities": entities,
        }

    def places(self):
        """For the comparison: entity, source, where, destination, columns."""
        return [
            {"entity": e.name, "source": e.table.name, "destination": e.destination, "columns": list(e.columns), "counted": self.counted(e)}
            for e in self.entities.values()
        ]

    def counted(self, entity):
        return entity.new_key()[0] if entity.kind == "keep" and entity.table.columns[entity.key[0]].counted else None


class Short(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        design = Redesign(psycopg2.connect(""), yaml.safe_load(file))
    out = pathlib.Path(sys.argv[2])
    (out / "target.sql").write_text(target.script(design))
    (out / "plan.yaml").write_text(yaml.dump(design.plan(), Dumper=Short, sort_keys=False, allow_unicode=True, width=200))
    (out / "oracle.sql").write_text(oracle.script(design))
    (out / "tables.json").write_text(json.dumps(design.places()))
