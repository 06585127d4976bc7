"""The oracle: one table an entity in schema oracle of the legacy database, what it must become in plain SQL, with the fate of every row."""

import re

from entity import q


def script(design):
    lines = ["create schema oracle;", 'create extension "uuid-ossp" schema oracle;', f"set timezone = '{design.wishes['timezone']}';"]
    wanted = {e.name: set(e.key) for e in design.entities.values()}
    for entity in design.entities.values():
        for reference in entity.table.references:
            if reference.table in design.of_table:
                wanted[design.of_table[reference.table].name] |= set(reference.of)
    for entity in parents_first(design):
        lines += of_entity(design, entity, wanted)
    lines += settle(design)
    return "\n".join(lines) + "\n"


def parents_first(design):
    before = list(design.entities.values())
    done, result = set(), []
    while before:
        for entity in before:
            needs = {p.name for p, _, _, _, columns, _ in entity.parents if not design.is_later(entity, columns)} | set(re.findall(r"oracle\.(\w+)(?! *\()", entity.wish.get("beside", "") + " ".join(entity.holds)))
            if (needs & set(design.entities)) - {entity.name} <= done:
                break
        else:
            raise SystemExit("a cycle among " + ", ".join(e.name for e in before))
        before.remove(entity)
        done.add(entity.name)
        result.append(entity)
    return result


def of_entity(design, entity, wanted):
    kept = sorted(wanted[entity.name])
    own = [p for p in entity.parents if p[0] is entity]
    joins, faults, holds = "", list(entity.faults), list(entity.holds)
    for parent, alias, on, policy, columns, _ in entity.parents:
        if parent is entity or design.is_later(entity, columns):
            keys = ", ".join(f"{q(c)} as k_{c}" for c in sorted(wanted[parent.name]))
            passing = f"(select {keys}, 'written' as fate from {q(parent.table.name)} where {parent.where or 'true'})"
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
    waits = " or ".join(f"coalesce({c}, false)" for c in holds) or "false"
    late = " or ".join(f"coalesce({c}, false)" for c in entity.late) or "false"
    fate = f"case when {aside} then 'quarantined' when {waits} then 'held' when {late} then 'quarantined' else 'written' end as fate"
    name = f"oracle.{q(entity.name)}"
    keys = ", ".join(f"k_{c}" for c in kept)
    lines = [f"create table {name} as select {', '.join(columns)}, {fate}\nfrom {q(entity.table.name)}{joins}\nwhere {entity.where or 'true'};"]
    if kept:
        lines.append(f"create index on {name} ({keys});")
    if own:
        lines.append(until_nothing_changes([held(entity, parent) for parent in own]))
    return lines + [f"analyze {name};"]


def settle(design):
    """References in a circle: what is held there, holds its children in turn."""
    if not design.wishes.get("later"):
        return []
    return [until_nothing_changes([held(e, parent) for e in design.entities.values() for parent in e.parents])]


def held(entity, parent):
    """Holds the rows whose parent is not written."""
    other, alias, on, *_ = parent
    link = on.replace(f"{alias}.", "parent.").replace(f"{q(entity.table.name)}.", "legacy.")
    row = " and ".join(f"child.k_{c} = legacy.{q(c)}" for c in entity.key)
    return (
        f"update oracle.{q(entity.name)} child set fate = 'held' from {q(entity.table.name)} legacy, oracle.{q(other.name)} parent "
        f"where {row} and {link} and child.fate = 'written' and parent.fate <> 'written';"
    )


def until_nothing_changes(updates):
    count = "\n  get diagnostics n = row_count; changed := changed + n;\n"
    return f"do $$ declare changed bigint; n bigint; begin loop changed := 0;\n  {count.join(updates)}{count}  exit when changed = 0; end loop; end $$;"
