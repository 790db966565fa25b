"""tools/gen_messages.py and tools/gen_migrations.py: what they refuse, and that they say why."""
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(tool, source, out):
    done = subprocess.run([sys.executable, ROOT / "tools" / tool, source, out], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def record(*fields, name="Note", **more):
    return {"type": "record", "name": name, "fields": list(fields), **more}


def field(name, kind, **more):
    return {"name": name, "type": kind, **more}


def write(folder, name, schema):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(schema), encoding="utf-8")


@pytest.mark.parametrize("bad, why", [
    (field("f", ["null", "int"]), "Note.f: a union is"),
    (field("f", ["int", "null"], default=0), "Note.f: a union is"),
    (field("f", ["null", "int", "string"], default=None), "Note.f: a union is"),
    (field("f", {"type": "map", "values": "int"}), "Note.f: type map is not supported"),
    (field("f", {"type": "array", "items": "int"}), "Note.f: an array"),
    (field("f", "Unheard"), "Note.f: type Unheard is unknown"),
    (field("f", ["null", "Note"], default=None), "Note.f: type Note is unknown here, or holds itself"),
    (field("static", "int"), "Note.static: not usable as a C name"),
    (field("aB", "int"), "Note.aB: not usable as a C name"),
])
def test_schema_refused(tmp_path, bad, why):
    write(tmp_path / "in", "note.avsc", record(bad))
    code, stderr = run("gen_messages.py", tmp_path / "in", tmp_path / "out")
    assert code != 0
    assert why in stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("old, new, why", [
    ([], [field("f", "int")], "Note.f: an earlier version lacks it"),
    ([], [field("f", "int", default=7)], None),
    ([field("f", "int")], [], None),
    ([field("f", "int")], [field("f", "long")], None),
    ([field("f", "long")], [field("f", "int")], "Note.f: type differs"),
    ([field("f", "string")], [field("f", "int")], "Note.f: type differs"),
    ([field("f", ["null", "int"], default=None)], [field("f", "int")], "Note.f: may be null"),
    ([field("f", "int")], [field("f", ["null", "int"], default=None)], None),
    ([field("f", {"type": "enum", "name": "E", "symbols": ["a", "b"]})],
     [field("f", {"type": "enum", "name": "E", "symbols": ["a"]})], "Note.f: symbol b of an earlier version is gone"),
    ([field("f", {"type": "enum", "name": "E", "symbols": ["a", "b"]})],
     [field("f", {"type": "enum", "name": "E", "symbols": ["a"], "default": "a"})], None),
])
def test_history_stays_readable(tmp_path, old, new, why):
    kept = field("kept", "string")
    write(tmp_path / "in", "note.avsc", record(kept, *new))
    write(tmp_path / "in", "history/note.1.avsc", record(kept, *old))
    code, stderr = run("gen_messages.py", tmp_path / "in", tmp_path / "out")
    assert (code == 0) == (why is None), stderr
    assert why is None or why in stderr


@pytest.mark.parametrize("files, why", [
    (["0001_a.up.sql"], "0001_a.down.sql is missing"),
    (["0001_a.up.sql", "0001_a.down.sql", "0003_c.up.sql", "0003_c.down.sql"], "step 0002 is missing"),
    (["0001_a.up.sql", "0001_b.down.sql"], "number 0001 is already a"),
    (["1_a.up.sql"], "the name must be"),
    (["0001_a.up.sql", "0001_a.down.sql"], None),
])
def test_migrations(tmp_path, files, why):
    (tmp_path / "in").mkdir()
    for name in files:
        (tmp_path / "in" / name).write_text("SELECT 'a\\b \"c\"'; -- \u00e9?\n", encoding="utf-8")
    code, stderr = run("gen_migrations.py", tmp_path / "in", tmp_path / "out")
    assert (code == 0) == (why is None), stderr
    assert why is None or why in stderr


def test_migration_text_is_kept(tmp_path):
    """The compiler reads the same text back, trigraphs, quotes and bytes above 127 included."""
    text = "SELECT '??=\\n\"\u00e9\u20ac1';\n\n\tSELECT 1;\n-- no newline at the end"
    (tmp_path / "in").mkdir()
    for half in ("up", "down"):
        (tmp_path / "in" / f"0001_a.{half}.sql").write_text(text, encoding="utf-8")
    assert run("gen_migrations.py", tmp_path / "in", tmp_path / "out")[0] == 0
    (tmp_path / "main.c").write_text(
        '#include <stdio.h>\n#include "db/migrate.h"\nint main(void) { fputs(db_migrations[0].up, stdout); }\n', encoding="utf-8")
    subprocess.run(["cc", "-std=gnu17", "-I", ROOT / "src", "-o", tmp_path / "main", tmp_path / "main.c",
                    tmp_path / "out" / "migrations_table.c"], check=True)
    assert subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout.decode() == text
