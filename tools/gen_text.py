#!/usr/bin/env python3
"""Compiles a text file into the program.

    gen_text.py FILE OUT_C NAME HEADER

Writes OUT_C with `const char NAME[]`, which HEADER declares.
"""
import pathlib
import sys

from c_text import lines


def main(source, out, name, header):
    source, out = pathlib.Path(source), pathlib.Path(out)
    text = lines(source.read_text(encoding="utf-8"), "    ")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(f'/* {source.name} as text: made by tools/gen_text.py. */\n#include "{header}"\n\n'
                   f"const char {name}[] =\n{text};\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
