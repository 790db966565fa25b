#!/usr/bin/python3
"""The other side of the codec's tests: Debian's python3-avro, an independent implementation.

    avro_peer.py encode WRITER.avsc < value.json > datum
    avro_peer.py decode WRITER.avsc [READER.avsc] < datum > value.json
"""
import io
import json
import sys

import avro.io
import avro.schema


def plain(schema):
    """The schema without logical types: python3-avro would want datetime objects, the wire has numbers."""
    if isinstance(schema, dict):
        return {k: plain(v) for k, v in schema.items() if k != "logicalType"}
    return [plain(s) for s in schema] if isinstance(schema, list) else schema


def load(path):
    with open(path, encoding="utf-8") as file:
        return avro.schema.parse(json.dumps(plain(json.load(file))))


def from_json(members):
    """{"$bytes": "..."} stands for bytes, which JSON has no form for."""
    return members["$bytes"].encode("latin-1") if "$bytes" in members else members


def known(schema, value):
    """The value without members that the schema does not have: the writer would refuse them."""
    if schema.type == "union":
        return value if value is None else known(schema.schemas[1], value)
    if schema.type == "array" and isinstance(value, list):
        return [known(schema.items, item) for item in value]
    if schema.type == "record":
        return {f.name: known(f.type, value[f.name]) for f in schema.fields if f.name in value}
    return value


command, schemas = sys.argv[1], [load(path) for path in sys.argv[2:]]
if command == "encode":
    out = io.BytesIO()
    value = known(schemas[0], json.load(sys.stdin, object_hook=from_json))
    avro.io.DatumWriter(schemas[0]).write(value, avro.io.BinaryEncoder(out))
    sys.stdout.buffer.write(out.getvalue())
else:
    data = sys.stdin.buffer.read()
    stream = io.BytesIO(data)
    value = avro.io.DatumReader(schemas[0], schemas[-1]).read(avro.io.BinaryDecoder(stream))
    if stream.tell() != len(data):
        sys.exit("bytes are left over")
    json.dump(value, sys.stdout)
