#!/usr/bin/env python3
"""Writes messages.h and messages.c (structs, enums and field tables) from the Avro schemas.

    gen_messages.py SCHEMAS_DIR OUT_DIR

SCHEMAS_DIR/*.avsc are the current schemas, one top-level record each; SCHEMAS_DIR/history/*.avsc are earlier versions
that are compiled in as text, so that their bytes stay readable. The mapping to C is told in src/msg/codec.h. A schema
that C cannot hold, and a change that would make an earlier version unreadable, fail the build with the field's name.
"""
import json
import pathlib
import re
import sys

from c_text import literal

PRIMITIVES = {  # Avro type: C type, shape in the table
    "string": ("const char *", "MSG_SHAPE_STRING"),
    "boolean": ("bool ", "MSG_SHAPE_BOOL"),
    "int": ("int32_t ", "MSG_SHAPE_INT"),
    "long": ("int64_t ", "MSG_SHAPE_LONG"),
    "double": ("double ", "MSG_SHAPE_DOUBLE"),
}
PROMOTIONS = {("int", "long"), ("int", "double"), ("long", "double"), ("float", "double"), ("int", "float")}
C_WORDS = set("""auto bool break case char const continue default do double else enum extern false float for goto if
    inline int long register restrict return short signed sizeof static struct switch true typedef union unsigned void
    volatile while""".split())


class SchemaError(Exception):
    pass


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def bare(schema):
    """The type without the wrapping {"type": X, "logicalType": ...} of a primitive."""
    if isinstance(schema, dict) and schema["type"] in PRIMITIVES:
        return schema["type"]
    return schema


class Field:
    """One field of a record, reduced to what C needs."""

    def __init__(self, owner, json_field, types):
        self.name, self.doc = json_field["name"], json_field.get("doc", "")
        self.where = f"{owner}.{self.name}"
        if self.name in C_WORDS or not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise SchemaError(f"{self.where}: not usable as a C name")
        schema = bare(json_field["type"])
        self.nullable = isinstance(schema, list)
        if self.nullable:
            if len(schema) != 2 or schema[0] != "null" or json_field.get("default", 0) is not None:
                raise SchemaError(f"{self.where}: a union is [\"null\", X] with default null")
            schema = bare(schema[1])
        self.array = isinstance(schema, dict) and schema["type"] == "array"
        if self.array:
            schema = bare(schema["items"])
            if self.nullable or json_field.get("default") != []:
                raise SchemaError(f"{self.where}: an array is not nullable and has default []")
        self.type = schema if isinstance(schema, str) and schema in PRIMITIVES else types.resolve(schema, self.where)
        self.default = json_field.get("default")
        self.required = "default" not in json_field
        if isinstance(self.type, Record) and not self.nullable and not self.array and "default" in json_field:
            raise SchemaError(f"{self.where}: a default of a record is not supported")

    @property
    def is_record(self):
        return isinstance(self.type, Record)

    def c_type(self):
        if isinstance(self.type, str):
            return PRIMITIVES[self.type][0]
        return f"struct msg_{self.type.c_name} " if self.is_record else f"enum msg_{self.type.c_name} "

    def members(self):
        if self.array:
            return [f"{self.c_type()}*{self.name};", f"size_t {self.name}_count;"]
        if self.nullable and self.is_record:
            return [f"{self.c_type()}*{self.name};"]
        if self.nullable and self.type != "string":
            return [f"bool has_{self.name};", f"{self.c_type()}{self.name};"]
        return [f"{self.c_type()}{self.name};"]

    def note(self):
        notes = []
        if self.nullable and (self.is_record or self.type == "string"):
            notes.append("or NULL.")
        if self.doc:
            notes.append(self.doc)
        return " ".join(notes).replace("*/", "* /")

    def row(self, owner):
        struct = f"struct msg_{owner.c_name}"
        row = [f'.name = "{self.name}"', f".offset = offsetof({struct}, {self.name})"]
        if isinstance(self.type, str):
            row.append(f".shape = {PRIMITIVES[self.type][1]}")
        elif self.is_record:
            row.append(f".shape = MSG_SHAPE_RECORD, .record = &msg_{self.type.c_name}")
        else:
            row.append(f".shape = MSG_SHAPE_ENUM, .enumeration = &msg_{self.type.c_name}_enum")
        row.append(f".size = sizeof({self.c_type().strip()})")
        if self.array:
            row.append(f".array = true, .beside = offsetof({struct}, {self.name}_count)")
        elif self.nullable:
            row.append(".nullable = true")
            if not self.is_record and self.type != "string":
                row.append(f".beside = offsetof({struct}, has_{self.name})")
        if self.required:
            row.append(".required = true")
        return "{" + ", ".join(row + self.default_row()) + "},"

    def default_row(self):
        if self.default is None or self.array:
            return []
        if self.type == "string":
            return [f".text = {literal(self.default)}"]
        if self.type == "double":
            return [f".real = {float(self.default)!r}"]
        if isinstance(self.type, Enum):
            if self.default not in self.type.symbols:
                raise SchemaError(f"{self.where}: default is no symbol")
            return [f".integer = MSG_{self.type.c_name.upper()}_{self.default.upper()}"]
        return [f".integer = {int(self.default)}"]


class Record:
    def __init__(self, schema):
        self.name, self.doc = schema["name"], schema.get("doc", "")
        self.c_name, self.fields, self.source = snake(self.name), [], None
        self.max_bytes = schema.get("max_bytes", 0)


class Enum:
    def __init__(self, schema):
        self.name, self.symbols = schema["name"], schema["symbols"]
        self.c_name, self.default = snake(self.name), schema.get("default")


class Types:
    """All named types, in the order C must define them in."""

    def __init__(self):
        self.by_name, self.ordered = {}, []

    def resolve(self, schema, where):
        if isinstance(schema, str):
            named = self.by_name.get(schema.rpartition(".")[2])
            if named is None or named not in self.ordered:
                raise SchemaError(f"{where}: type {schema} is unknown here, or holds itself")
            return named
        if schema["type"] not in ("record", "enum"):
            raise SchemaError(f"{where}: type {schema['type']} is not supported")
        if schema["name"] in self.by_name:
            raise SchemaError(f"{where}: {schema['name']} is defined twice")
        named = self.by_name[schema["name"]] = (Enum if schema["type"] == "enum" else Record)(schema)
        if schema["type"] == "record":
            named.fields = [Field(schema["name"], f, self) for f in schema["fields"]]
            if not 0 < len(named.fields) <= 64:
                raise SchemaError(f"{schema['name']}: a record has 1 to 64 fields")
        self.ordered.append(named)
        return named


def named_types(schema, found):
    """Every named definition inside a schema, by short name."""
    if isinstance(schema, list):
        for branch in schema:
            named_types(branch, found)
    elif isinstance(schema, dict):
        if schema["type"] in ("record", "enum", "fixed"):
            found[schema["name"]] = schema
        for inner in [schema.get("items"), schema.get("values")] + [f["type"] for f in schema.get("fields", [])]:
            if inner is not None:
                named_types(inner, found)
    return found


class Compatibility:
    """Checks that what was written with an earlier schema can be read as the current one."""

    def __init__(self, old, new):
        self.old_names, self.new_names = named_types(old, {}), named_types(new, {})
        self.seen = set()
        self.check(old, new, new["name"])

    @staticmethod
    def expand(schema, names):
        schema = bare(schema)
        return names.get(schema.rpartition(".")[2], schema) if isinstance(schema, str) else schema

    def check(self, old, new, where):
        old, new = self.expand(old, self.old_names), self.expand(new, self.new_names)
        if isinstance(old, list) or isinstance(new, list):
            old, new = (s if isinstance(s, list) else [s] for s in (old, new))
            if "null" in old and "null" not in new:
                raise SchemaError(f"{where}: may be null in an earlier version, but not now")
            self.check([b for b in old if b != "null"][0], [b for b in new if b != "null"][0], where)
        elif isinstance(old, str) or isinstance(new, str):
            if old != new and (old, new) not in PROMOTIONS:
                raise SchemaError(f"{where}: type differs from an earlier version's")
        elif old["type"] != new["type"]:
            raise SchemaError(f"{where}: type differs from an earlier version's")
        elif old["type"] == "array":
            self.check(old["items"], new["items"], where)
        elif old["type"] == "enum":
            lost = [s for s in old["symbols"] if s not in new["symbols"]]
            if lost and "default" not in new:
                raise SchemaError(f"{where}: symbol {lost[0]} of an earlier version is gone, and there is no default")
        elif new["name"] not in self.seen:
            self.seen.add(new["name"])
            written = {f["name"]: f for f in old["fields"]}
            for field in new["fields"]:
                if field["name"] in written:
                    self.check(written[field["name"]]["type"], field["type"], f"{where}.{field['name']}")
                elif "default" not in field:
                    raise SchemaError(f"{where}.{field['name']}: an earlier version lacks it, so it needs a default")


def header(types):
    out = ["/* The messages as C: made by tools/gen_messages.py from schemas/avro. Ownership: everything hangs on the",
           " * arena that the record was decoded into or made in. */",
           "#ifndef HELPDESK_MSG_MESSAGES_H", "#define HELPDESK_MSG_MESSAGES_H", "",
           "#include <stdbool.h>", "#include <stddef.h>", "#include <stdint.h>", "", "struct msg_type;", ""]
    for named in types.ordered:
        name = f"msg_{named.c_name}"
        if isinstance(named, Enum):
            out += [f"enum {name} {{", *(f"    {name.upper()}_{s.upper()}," for s in named.symbols), "};",
                    f"#define {name.upper()}_COUNT {len(named.symbols)}",
                    f"const char *{name}_name(enum {name} value);",
                    f"bool {name}_parse(const char *text, enum {name} *out); /* false: no such symbol, or NULL */", ""]
            continue
        if named.doc:
            out.append(f"/* {named.doc} */")
        out.append(f"struct {name} {{")
        for field in named.fields:
            members, note = field.members(), field.note()
            members[0 if field.array else -1] += f" /* {note} */" if note else ""
            out += [f"    {m}" for m in members]
        out += ["};", f"extern const struct msg_type {name};", ""]
    return "\n".join(out + ["#endif", ""])


def source(types, history):
    out = ["/* The field tables of the messages: made by tools/gen_messages.py from schemas/avro. */",
           '#include "msg/messages.h"', '#include "msg/table.h"', ""]
    for named in types.ordered:
        name = f"msg_{named.c_name}"
        if isinstance(named, Enum):
            default = named.symbols.index(named.default) if named.default else -1
            out += [f"_Static_assert(sizeof(enum {name}) == sizeof(int), \"the tables store enums as int\");",
                    f"static const char *const {name}_symbols[] = {{"
                    + ", ".join(f'"{s}"' for s in named.symbols) + "};",
                    f"static const struct msg_enum {name}_enum = {{.name = \"{named.name}\", "
                    f".symbols = {name}_symbols, .count = {len(named.symbols)}, .fallback = {default}}};",
                    f"const char *{name}_name(enum {name} value)", "{",
                    f"    return msg_enum_symbol(&{name}_enum, (int)value);", "}",
                    f"bool {name}_parse(const char *text, enum {name} *out)", "{",
                    f"    int value = msg_enum_find(&{name}_enum, text);",
                    "    if (value < 0)", "        return false;",
                    f"    *out = (enum {name})value;", "    return true;", "}", ""]
            continue
        out += [f"static const struct msg_field {name}_fields[] = {{",
                *(f"    {field.row(named)}" for field in named.fields), "};",
                f"const struct msg_type {name} = {{.name = \"{named.name}\", .size = sizeof(struct {name}), "
                f".fields = {name}_fields, .field_count = {len(named.fields)}, "
                f".max_bytes = {named.max_bytes},",
                f"    .schema = {literal(named.source) if named.source else 'NULL'}}};", ""]
    out.append("const struct msg_type *const msg_top_types[] = {"
               + "".join(f"&msg_{t.c_name}, " for t in types.ordered if isinstance(t, Record) and t.source) + "NULL};")
    out += ["const struct msg_schema_text msg_history[] = {",
            *(f"    {{\"{name}\", {literal(text)}}}," for name, text in history), "    {NULL, NULL}};", ""]
    return "\n".join(out)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    types, history, current = Types(), [], {}
    path = folder
    try:
        for path in sorted(folder.glob("*.avsc")):
            schema = json.loads(path.read_text(encoding="utf-8"))
            record = types.resolve(schema, path.name)
            record.source = json.dumps(schema, separators=(",", ":"), ensure_ascii=False)
            current[record.name] = schema
        for path in sorted(folder.glob("history/*.avsc")):
            schema = json.loads(path.read_text(encoding="utf-8"))
            if schema["name"] not in current:
                raise SchemaError(f"no current schema is called {schema['name']}")
            Compatibility(schema, current[schema["name"]])
            history.append((path.stem, json.dumps(schema, separators=(",", ":"), ensure_ascii=False)))
        texts = {"messages.h": header(types), "messages.c": source(types, history)}
    except (SchemaError, ValueError, KeyError) as problem:
        sys.exit(f"{path}: {problem}")
    out.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
