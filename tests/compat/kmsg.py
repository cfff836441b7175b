"""Kafka's messages for tests: a second, independent reader of proto/schema/*.kmsg (the grammar is in proto/README.md).

    schema = load("proto/schema")
    body = encode(schema["FetchRequest"], 12, {"MaxWaitMs": 10, "Topics": [...]})
    value = decode(schema["FetchResponse"], 12, bytes)

A struct is a dict by the fields' names; a field that is left out has its default, and "tag N" is a tagged field that the schema does
not know. What is left over after decoding, or a length that does not fit, is an error. Encoding writes null and Raw bytes wherever it
is told to, so that tests can say what is not allowed.
"""
import glob
import os
import re
import struct
import uuid

FIXED = {"bool": "?", "int8": "b", "int16": "h", "uint16": "H", "int32": "i", "int64": "q", "float64": "d"}
LAST = 32767


class Raw(bytes):
    """What stands in a message in place of a field, length and all."""


class Versions:
    def __init__(self, text):
        match = re.fullmatch(r"(\d+)(\+|-(\d+))?", text)
        self.first = int(match[1])
        self.last = LAST if match[2] == "+" else int(match[3]) if match[3] else self.first

    def __contains__(self, version):
        return self.first <= version <= self.last


ALWAYS = Versions("0+")
NEVER = Versions("32767")


class Struct:
    def __init__(self):
        self.fields = []


class Field:
    FORM = re.compile(r"(\w+): (\[)?(=>|\w+)(?(2)\])(\?(?:\d+(?:\+|-\d+)?)?)?(?: = (\S+?))?((?:, .*)?)$")

    def __init__(self, text, shared):
        match = self.FORM.fullmatch(text)
        if not match:
            raise ValueError("not a field: " + text)
        self.name, bracket, self.type, nullable, default, rest = match.groups()
        self.is_array = bracket is not None
        self.struct = None
        if self.type == "=>":
            self.struct = Struct()
        elif self.type[0].isupper():  # may be defined further down
            self.struct = shared.setdefault(self.type, Struct())
        self.nullable = ALWAYS if nullable == "?" else Versions(nullable[1:]) if nullable else NEVER
        self.present, self.tag, self.is_classic = ALWAYS, None, False
        for word in filter(None, rest.split(", ")):
            if re.fullmatch(r"v[\d+-]+", word):
                self.present = Versions(word[1:])
            elif word.startswith("tag "):
                self.tag = int(word[4:])
            self.is_classic |= word == "classic"
        self.default = self._default(default)

    def _default(self, text):
        if text == "null":
            return None
        if self.is_array:
            return []
        if self.struct:
            return {}
        if self.type == "bool":
            return text == "true"
        if self.type in FIXED:
            return int(text, 0) if text else 0
        return {"string": "", "uuid": uuid.UUID(int=0), "bytes": b"", "records": b""}[self.type]


class Message(Struct):
    def __init__(self, line):
        super().__init__()
        self.name, rest = line.split(" => ")
        self.key = int(re.search(r"^\w[\w-]* (\d+)", rest)[1]) if re.search(r"^\w[\w-]* (\d+)", rest) else None
        self.kind = rest.split()[0].rstrip(",")
        versions, flexible = re.search(r"versions ([\d+-]+)", rest), re.search(r"flexible ([\d+-]+)", rest)
        self.versions = Versions(versions[1]) if versions else NEVER
        self.flexible = Versions(flexible[1]) if flexible else NEVER


def load(folder):
    """Every message by its name."""
    messages = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.kmsg"))):
        with open(path, encoding="utf-8") as file:
            _parse(file.read().splitlines(), messages)
    return messages


def _parse(lines, messages):
    open_structs, shared = [], {}
    for line in lines:
        text = line.strip()
        if not text or text.startswith("//"):
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        if depth == 0:
            message, shared = Message(text), {}
            messages[message.name] = message
            open_structs = [message]
        elif text.startswith("struct "):
            open_structs = open_structs[:1] + [shared.setdefault(text[7:].split()[0], Struct())]
        else:
            # The fields of a shared struct stand one level below its name; anything back at that name's level is the message's.
            del open_structs[depth:]
            field = Field(text, shared)
            open_structs[depth - 1].fields.append(field)
            open_structs.append(field.struct)


# ---- encoding --------------------------------------------------------------------------------------------------------

def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _length(count, compact, form):
    return varint(count + 1) if compact else struct.pack(form, count)


def _encode_one(field, version, flexible, value):
    compact = flexible and not field.is_classic
    if isinstance(value, Raw):
        return bytes(value)
    if field.struct:
        return _encode_struct(field.struct, version, flexible, value)
    if field.type in FIXED:
        return struct.pack(">" + FIXED[field.type], value)
    if field.type == "uuid":
        return value.bytes
    raw = value.encode() if isinstance(value, str) else value
    form = ">h" if field.type == "string" else ">i"
    return _length(-1, compact, form) if raw is None else _length(len(raw), compact, form) + raw


def _encode_field(field, version, flexible, value):
    compact = flexible and not field.is_classic
    if isinstance(value, Raw):
        return bytes(value)
    if field.is_array:
        if value is None:
            return _length(-1, compact, ">i")
        return _length(len(value), compact, ">i") + b"".join(_encode_one(field, version, flexible, v) for v in value)
    if field.struct and version in field.nullable:
        return b"\xff" if value is None else b"\x01" + _encode_one(field, version, flexible, value)
    return _encode_one(field, version, flexible, value)


def _encode_struct(of, version, flexible, value):
    out, tagged = bytearray(), {int(name[4:]): value[name] for name in value if name.startswith("tag ")}
    unknown = {name for name in value if not name.startswith("tag ")} - {f.name for f in of.fields}
    if unknown:
        raise ValueError("no such field: " + ", ".join(sorted(unknown)))
    for field in of.fields:
        if version not in field.present:
            continue
        given = value.get(field.name, field.default)
        if field.tag is None:
            out += _encode_field(field, version, flexible, given)
        elif given != field.default:
            tagged[field.tag] = _encode_field(field, version, flexible, given)
    if flexible:
        out += varint(len(tagged))
        for tag in sorted(tagged):
            out += varint(tag) + varint(len(tagged[tag])) + tagged[tag]
    return bytes(out)


def encode(message, version, value):
    return _encode_struct(message, version, version in message.flexible, value)


# ---- decoding --------------------------------------------------------------------------------------------------------

class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        if size < 0 or self.at + size > len(self.data):
            raise ValueError(f"{size} bytes at {self.at} of {len(self.data)}")
        self.at += size
        return self.data[self.at - size:self.at]

    def fixed(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def length(self, compact, form):
        return self.varint() - 1 if compact else self.fixed(form)


def _decode_one(field, version, flexible, reader):
    compact = flexible and not field.is_classic
    if field.struct:
        return _decode_struct(field.struct, version, flexible, reader)
    if field.type in FIXED:
        return reader.fixed(">" + FIXED[field.type])
    if field.type == "uuid":
        return uuid.UUID(bytes=bytes(reader.take(16)))
    size = reader.length(compact, ">h" if field.type == "string" else ">i")
    if size < 0:
        if version not in field.nullable:
            raise ValueError(field.name + " must not be null")
        return None
    raw = bytes(reader.take(size))
    return raw.decode(errors="replace") if field.type == "string" else raw  # as clients in Java read it


def _decode_field(field, version, flexible, reader):
    compact = flexible and not field.is_classic
    if field.is_array:
        count = reader.length(compact, ">i")
        if count < 0 and version not in field.nullable:
            raise ValueError(field.name + " must not be null")
        return None if count < 0 else [_decode_one(field, version, flexible, reader) for _ in range(count)]
    if field.struct and version in field.nullable and reader.fixed(">b") < 0:
        return None
    return _decode_one(field, version, flexible, reader)


def _decode_struct(of, version, flexible, reader):
    value = {}
    for field in of.fields:
        if version in field.present:
            value[field.name] = field.default if field.tag is not None else _decode_field(field, version, flexible, reader)
    for _ in range(reader.varint() if flexible else 0):
        tag, size = reader.varint(), reader.varint()
        inner = Reader(reader.take(size))
        known = [f for f in of.fields if f.tag == tag and version in f.present]
        if known:
            value[known[0].name] = _decode_field(known[0], version, flexible, inner)
            if inner.at != size:
                raise ValueError(f"tag {tag} has {size - inner.at} bytes left over")
        else:
            value[f"tag {tag}"] = bytes(inner.data)
    return value


def decode(message, version, data):
    reader = Reader(data)
    value = _decode_struct(message, version, version in message.flexible, reader)
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes left over")
    return value
