#!/usr/bin/env python3
"""Writes migrations_table.c, the table `db_migrations` of src/db/migrate.h, from the SQL files.

    gen_migrations.py SQL_DIR OUT_DIR

A step is a pair NNNN_name.up.sql and NNNN_name.down.sql. Numbers start at 0001 and have no gaps; a missing half, a
number used twice and a file that fits no pattern fail the build.
"""
import pathlib
import re
import sys

from c_text import lines

INDENT = 8 * " "


def steps(folder):
    found = {}
    for path in sorted(folder.glob("*.sql")):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.(up|down)\.sql", path.name)
        if not match:
            sys.exit(f"{path}: the name must be NNNN_name.up.sql or NNNN_name.down.sql")
        number, name, half = int(match[1]), match[2], match[3]
        step = found.setdefault(number, {"name": name})
        if step["name"] != name:
            sys.exit(f"{path}: number {number:04d} is already {step['name']}")
        step[half] = path.read_text(encoding="utf-8")
    for expected, number in enumerate(sorted(found), start=1):
        if number != expected:
            sys.exit(f"{folder}: step {expected:04d} is missing")
        for half in ("up", "down"):
            if half not in found[number]:
                sys.exit(f"{folder}: {number:04d}_{found[number]['name']}.{half}.sql is missing")
    return found


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    found, out = steps(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2])
    rows = []
    for number in sorted(found):
        step = found[number]
        rows.append(f'    {{.number = {number},\n        .name = "{step["name"]}",\n'
                    f'        .up =\n{lines(step["up"], INDENT)},\n        .down =\n{lines(step["down"], INDENT)}}},')
    out.mkdir(parents=True, exist_ok=True)
    (out / "migrations_table.c").write_text(
        "/* The steps of the database's schema: made by tools/gen_migrations.py from schemas/sql. */\n"
        '#include "db/migrate.h"\n\nconst struct db_migration db_migrations[] = {\n'
        + "\n".join(rows) + "\n    {.number = 0}};\n", encoding="utf-8")


if __name__ == "__main__":
    main()
