"""Derives the new schema, the plan and the oracle from the legacy catalog and a REDESIGN.yaml.

Integer and text keys become uuid and references follow; varchar becomes text, json jsonb, local times moments; every table has a
new name. That is the boring part, derived here. What is not boring stands in the YAML: per new column its type, its rule, and
beside them what plain SQL says that it must be.

    redesign.py REDESIGN.yaml DIRECTORY      writes target.sql, plan.yaml, oracle.sql and tables.json
"""

import json
import pathlib
import re
import sys

import psycopg2
import yaml

import catalog


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
        entity.rules[name] = [{"fk": fk}] if len(reference.columns) > 1 else [{"col": reference.columns[0]}, {"fk": fk}]
        alias = self.parent(entity, reference, policy, name)
        kind = parent.new_key()[1]
        required = all(entity.table.columns[c].required for c in reference.columns) and policy != "set_null"
        keys = [f"k_{c}" for c in parent.key]
        entity.columns[name] = (kind, required, f"case when {alias}.fate is not null then {parent.new_id(alias, keys, self.namespace)} end")
        entity.renamed[tuple(reference.columns)] = name

    def parent(self, entity, reference, policy=None, name=None):
        parent = self.of_table[reference.table]
        alias = f"p{len(entity.parents)}"
        on = " and ".join(f"{alias}.k_{of} = {q(entity.table.name)}.{q(c)}" for c, of in zip(reference.columns, reference.of))
        entity.parents.append((parent, alias, on, policy, reference.columns, name))
        return alias

    # The new schema.

    def target(self):
        lines = list(self.wishes.get("types", []))
        late = []
        kinds = {c.base: c.labels for e in self.entities.values() for c in e.table.columns.values() if c.labels}
        for name, labels in kinds.items():
            lines.append(f"create type {q(name)} as enum ({', '.join(repr(label) for label in labels)});")
        for destination in dict.fromkeys(e.destination for e in self.entities.values()):
            parts = [e for e in self.entities.values() if e.destination == destination]
            columns = {}
            for entity in parts:
                for name, (kind, required, _) in entity.columns.items():
                    everywhere = required and all(name in e.columns for e in parts)
                    columns[name] = f"{q(name)} {kind}{' not null' if everywhere else ''}"
            lines.append(f"create table {q(destination)} (\n  " + ",\n  ".join(columns.values()) + "\n);")
            late += self.constraints(destination, parts[0], len(parts) == 1)
        return "\n".join(lines + late + self.wishes.get("afterwards", [])) + "\n"

    def constraints(self, destination, entity, alone):
        table, lines = entity.table, []
        if entity.kind == "none":
            key = entity.wish.get("primary") or self.follow(entity, table.key)
        else:
            key = [entity.new_key()[0]]
        if key:
            lines.append(f"alter table {q(destination)} add primary key ({qs(key)});")
        column = table.columns[entity.key[0]]
        if entity.kind == "keep" and column.counted:
            lines.append(f"alter table {q(destination)} alter {q(key[0])} add generated by default as identity;")
        if entity.wish.get("natural"):
            lines.append(f"alter table {q(destination)} add unique ({q(entity.wish['natural'])});")
        for columns, where in table.uniques if alone else []:
            new = self.follow(entity, columns)
            if entity.where and entity.where.endswith("is null"):
                where = without(where or "", self.wishes.get("deleted"))
            where = where and self.rewrite(entity, where)
            if new and new != key and where is not False:
                lines.append(f"create unique index on {q(destination)} ({qs(new)}){' where ' + where if where else ''};")
        for check in table.checks if alone else []:
            new = self.rewrite(entity, check)
            if new:
                lines.append(f"alter table {q(destination)} add check ({new});")
        for parent, _, _, _, _, name in entity.parents:
            name = name or entity.new_key()[0]
            if parent.kind != "none" and parent.destination not in self.wishes.get("unreferenced", []):
                lines.append(f"alter table {q(destination)} add foreign key ({q(name)}) references {q(parent.destination)} ({q(parent.new_key()[0])});")
                lines.append(f"create index on {q(destination)} ({q(name)});")
        return lines

    def follow(self, entity, columns):
        """The new columns that say what these legacy columns said; nothing where one is left behind."""
        left, new = list(columns), []
        for legacy, name in sorted(entity.renamed.items(), key=lambda item: -len(item[0])):
            if set(legacy) <= set(left):
                new.append((left.index(legacy[0]), name))
                left = [None if c in legacy else c for c in left]
        return [name for _, name in sorted(new)] if not any(left) and new else None

    def rewrite(self, entity, sql):
        """A condition in the new names, or False where a column of it is not there as it was."""
        for column in entity.table.columns.values():
            word = r"(?<![\w'\"])\"?%s\"?(?![\w'\"(])" % re.escape(column.name)
            if re.search(word, sql):
                name = entity.renamed.get((column.name,))
                if not name or entity.columns[name][0] != new_type(column):
                    return False
                sql = re.sub(word, q(name), sql)
        return sql

    # The plan.

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

    # The oracle: one table per entity in schema oracle of the legacy database, with the fate of every row.

    def oracle(self):
        lines = ["create schema oracle;", 'create extension "uuid-ossp" schema oracle;', f"set timezone = '{self.wishes['timezone']}';"]
        wanted = {e.name: set(e.key) for e in self.entities.values()}
        for entity in self.entities.values():
            for reference in entity.table.references:
                if reference.table in self.of_table:
                    wanted[self.of_table[reference.table].name] |= set(reference.of)
        for entity in self.sorted():
            lines += self.oracle_of(entity, sorted(wanted[entity.name]))
        return "\n".join(lines + self.wishes.get("oracle", [])) + "\n"

    def sorted(self):
        before = list(self.entities.values())
        done, result = set(), []
        while before:
            for entity in before:
                needs = {p.name for p, *_ in entity.parents} | set(re.findall(r"oracle\.(\w+)(?! *\()", entity.wish.get("beside", "") + " ".join(entity.holds)))
                if (needs & set(self.entities)) - {entity.name} <= done:
                    break
            else:
                raise SystemExit("a cycle among " + ", ".join(e.name for e in before))
            before.remove(entity)
            done.add(entity.name)
            result.append(entity)
        return result

    def oracle_of(self, entity, kept):
        own = [p for p in entity.parents if p[0] is entity]
        joins, faults, holds = "", list(entity.faults), list(entity.holds)
        for parent, alias, on, policy, columns, _ in entity.parents:
            if parent is entity:
                passing = f"(select {', '.join(f'{q(c)} as k_{c}' for c in kept)}, 'written' as fate from {q(entity.table.name)} where {entity.where or 'true'})"
            else:
                needed = ", ".join(dict.fromkeys(re.findall(rf"{alias}\.(k_\w+)", on) + [f"k_{c}" for c in parent.key]))
                passing = f"(select {needed}, fate from oracle.{q(parent.name)})"
                holds.append(f"{alias}.fate <> 'written'")
            joins += f"\n  left join {passing} {alias} on {on}"
            if policy == "quarantine":
                there = " and ".join(f"{q(entity.table.name)}.{q(c)} is not null" for c in columns)
                faults.append(f"({there} and {alias}.fate is null)")
        for join in entity.extra.get("joins", []):
            joins += f"\n  {join.get('kind', 'left')} join {q(join['table'])} {join['alias']} on {join['on']}"
        joins += "\n  " + entity.wish.get("beside", "")
        columns = [f"{q(entity.table.name)}.{q(c)} as k_{c}" for c in kept]
        columns += [f"{sql} as {q(name)}" for name, (_, _, sql) in entity.columns.items()]
        aside = " or ".join(f"coalesce({c}, false)" for c in faults) or "false"
        held = " or ".join(f"coalesce({c}, false)" for c in holds) or "false"
        late = " or ".join(f"coalesce({c}, false)" for c in entity.late) or "false"
        fate = f"case when {aside} then 'quarantined' when {held} then 'held' when {late} then 'quarantined' else 'written' end as fate"
        name = f"oracle.{q(entity.name)}"
        keys = ", ".join(f"k_{c}" for c in kept)
        lines = [f"create table {name} as select {', '.join(columns)}, {fate}\nfrom {q(entity.table.name)}{joins}\nwhere {entity.where or 'true'};"]
        if kept:
            lines.append(f"create index on {name} ({keys});")
        for _, alias, on, _, _, _ in own:
            link = on.replace(f"{alias}.", "parent.").replace(f"{q(entity.table.name)}.", "legacy.")
            row = " and ".join(f"child.k_{c} = legacy.{q(c)}" for c in entity.key)
            lines.append(
                f"""do $$ begin loop
  update {name} child set fate = 'held' from {q(entity.table.name)} legacy, {name} parent
  where {row} and {link} and child.fate = 'written' and parent.fate <> 'written';
  exit when not found; end loop; end $$;"""
            )
        return lines + [f"analyze {name};"]

    def places(self):
        """For the comparison: entity, source, where, destination, columns."""
        return [
            {"entity": e.name, "source": e.table.name, "destination": e.destination, "columns": list(e.columns), "counted": self.counted(e)}
            for e in self.entities.values()
        ]

    def counted(self, entity):
        return entity.new_key()[0] if entity.kind == "keep" and entity.table.columns[entity.key[0]].counted else None


def without(where, deleted):
    """The condition of an index where no row is left that it would leave out."""
    if where == f"({deleted} IS NULL)":
        return ""
    return where.replace(f"({deleted} IS NULL) AND ", "").replace(f" AND ({deleted} IS NULL)", "")


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


class Short(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        design = Redesign(psycopg2.connect(""), yaml.safe_load(file))
    out = pathlib.Path(sys.argv[2])
    (out / "target.sql").write_text(design.target())
    (out / "plan.yaml").write_text(yaml.dump(design.plan(), Dumper=Short, sort_keys=False, allow_unicode=True, width=200))
    (out / "oracle.sql").write_text(design.oracle())
    (out / "tables.json").write_text(json.dumps(design.places()))
