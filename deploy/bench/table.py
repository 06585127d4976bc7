#!/usr/bin/env python3
"""The figures of bench runs as a Markdown table, one column of seconds and ratios per size.

    table.py [--write README.md] FIGURES.tsv …

With --write the table takes the place of what stands between the lines `<!-- bench -->` and `<!-- /bench -->`.
"""

import sys

WAYS = {
    "pipes": "binary `psql` pipes of the legacy tables into the same legacy schema, keys after: no remapping, no rules, fewer keys",
    "pgcopydb": "`pgcopydb clone` of the legacy database: the same, unchanged",
    "pgcopydb_new": "`pgcopydb clone` of the finished rows in the target's schema: no remapping, the same keys and indexes",
    "shaped": "pipes of the finished rows into the target's schema, its keys, indexes and foreign keys after",
    "mapped": "the same with the id map as plain tables with keys",
    "staged": "by hand: stage, then `INSERT … SELECT uuid_generate_v5` with an id map (one round)",
    "drover": "**`drover run`**: rules, uuid5, foreign keys rewritten and checked, id map, ledger, fence, the target's keys rebuilt",
    "far": "`drover run` with 20 ms of round trip to the destination",
    "cluster1": "a cluster of controller, etcd and one agent, `create` to completed",
    "cluster2": "with two agents",
}


def read(path):
    with open(path, encoding="utf-8") as lines:
        pairs = [line.rstrip("\n").split("\t") for line in lines]
    return {name: float(value) for name, value in pairs if value}


def table(sizes):
    heads = [f"{size['rows'] / 1e6:.1f} M rows: s | Drover ÷ this" for size in sizes]
    lines = ["| what | " + " | ".join(heads) + " |", "|---" * (1 + 2 * len(sizes)) + "|"]
    for way, words in WAYS.items():
        if not any(way in size for size in sizes):
            continue
        cells = []
        for size in sizes:
            took, base = size.get(way), size.get("drover")
            cells.append(f"{took:.1f}" if took else "–")
            cells.append(f"{base / took:.2f}" if took and base else "–")
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    return lines


def notes(sizes):
    for size in sizes:
        if "cpu" in size:
            yield (
                f"{size['rows'] / 1e6:.1f} M rows, medians of {size['rounds']:.0f} rounds: `drover run` moved "
                f"{size['rows'] / size['drover']:,.0f} rows a second, with {size['cpu'] * 1e6 / size['rows']:.2f} CPU seconds "
                f"of its own per million rows and {size['memory']:.0f} MB of memory at most."
            )


def main(arguments):
    target = None
    if arguments[:1] == ["--write"]:
        target, arguments = arguments[1], arguments[2:]
    sizes = sorted((read(path) for path in arguments), key=lambda size: size["rows"])
    text = "\n".join(table(sizes) + [""] + [f"- {note}" for note in notes(sizes)])
    print(text)
    if target:
        with open(target, encoding="utf-8") as file:
            before, rest = file.read().split("<!-- bench -->\n", 1)
        after = rest.split("<!-- /bench -->", 1)[1]
        with open(target, "w", encoding="utf-8") as file:
            file.write(f"{before}<!-- bench -->\n{text}\n<!-- /bench -->{after}")


if __name__ == "__main__":
    main(sys.argv[1:])
