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
        lines += of_entity(entity, sorted(wanted[entity.name]))
    return "\n".join(lines) + "\n"


def parents_first(design):
    before = list(design.entities.values())
    done, result = set(), []
    while before:
        for entity in before:
            needs = {p.name for p, *_ in entity.parents} | set(re.findall(r"oracle\.(\w+)(?! *\()", entity.wish.get("beside", "") + " ".join(entity.holds)))
            if (needs & set(design.entities)) - {entity.name} <= done:
                break
        else:
            raise SystemExit("a cycle among " + ", ".join(e.name for e in before))
        before.remove(entity)
        done.add(entity.name)
        result.append(entity)
    return result


def of_entity(entity, kept):
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
