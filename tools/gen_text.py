#!/usr/bin/env python3
"""Compiles a text file into the program.

    gen_text.py FILE OUT_C NAME HEADER

Writes OUT_C with `const char NAME[]`, which HEADER declares.
"""
import pathlib
import sys


def literal(line):
    return "".join(c if " " <= c <= "~" and c not in '"\\' else "".join(f"\\{b:03o}" for b in c.encode())
                   for c in line)


def main(source, out, name, header):
    source, out = pathlib.Path(source), pathlib.Path(out)
    lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    text = "\n".join(f'    "{literal(line)}"' for line in lines) or '    ""'
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(f'/* {source.name} as text: made by tools/gen_text.py. */\n#include "{header}"\n\n'
                   f"const char {name}[] =\n{text};\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
