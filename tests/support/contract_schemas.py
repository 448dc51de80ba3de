"""The schema of what travels and is kept, and which of its changes an older or a newer version would not survive. Pure."""

import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec

from agent_memory.contracts.compaction import Compact, Compacted
from agent_memory.contracts.envelope import CommandEnvelope, EventEnvelope
from agent_memory.contracts.events import AnyEvent
from agent_memory.contracts.jobs import JobAnswer, RunJob
from agent_memory.contracts.partition_runs import PartitionAnswer, RunPartition
from agent_memory.contracts.replies import ReplyEnvelope
from agent_memory.contracts.upcasters import UPCASTERS

RECORDED = Path(__file__).parents[1] / "contract" / "schemas.json"
ROOTS = (
    AnyEvent,
    EventEnvelope,
    CommandEnvelope,
    ReplyEnvelope,
    RunJob,
    JobAnswer,
    Compact,
    Compacted,
    RunPartition,
    PartitionAnswer,
)
Schema = dict[str, Any]
Schemas = dict[str, Schema]


def current_schemas() -> Schemas:
    """Every part of the contract by its name, without its prose. Where one of several kinds may stand: {"kinds": their names}."""
    (events, *_), parts = msgspec.json.schema_components(ROOTS, schema_hook=_anything, ref_template="{name}")
    found = {"AnyEvent": events, **parts}
    return msgspec.json.decode(msgspec.json.encode(_bare(found)), type=Schemas)


def recorded_schemas() -> Schemas:
    """As they were when somebody last looked at a change of them."""
    return msgspec.json.decode(RECORDED.read_bytes(), type=Schemas)


def breaking(old: Schemas, new: Schemas, upcast: Collection[str] = ()) -> list[str]:
    """What one of two versions could not read of the other, in words. `upcast`: tags that are brought to today's.

    A new kind may come, and a part may get a field that has a default. Everything else is a new tag.
    """
    found = []
    for name, part in old.items():
        if name not in upcast:
            what = _broken(part, new[name], upcast) if name in new else ["it is gone"]
            found += [f"{name}: {one}" for one in what]
    return found


def _broken(old: Schema, new: Schema, upcast: Collection[str]) -> Iterator[str]:
    fields, now = old.get("properties", {}), new.get("properties", {})
    for field, what in fields.items():
        if field not in now:
            yield f"the field {field} is gone"
        elif "kinds" in what and "kinds" in now[field]:
            yield from (f"the field {field} may not be {kind} any more" for kind in _gone(what, now[field], upcast))
        elif now[field] != what:
            yield f"the field {field} was {_said(what)} and is {_said(now[field])}"
    required, needed = set(old.get("required", ())), set(new.get("required", ()))
    yield from (f"the field {field} may be left out now" for field in sorted(required - needed) if field in now)
    yield from (f"the field {field} has to be there now" for field in sorted((needed - required) & fields.keys()))
    yield from (f"the new field {field} has no default" for field in sorted(needed - required - fields.keys()))
    yield from (f"{kind} is none of them any more" for kind in _gone(old, new, upcast))
    if _rest(old) != _rest(new):
        yield f"it was {_said(old)} and is {_said(new)}"


def _gone(old: Schema, new: Schema, upcast: Collection[str]) -> list[str]:
    return sorted(set(old.get("kinds", ())) - set(new.get("kinds", ())) - set(upcast))


def _rest(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key not in ("properties", "required", "kinds")}


def _said(schema: Schema) -> str:
    return msgspec.json.encode(schema).decode()


def _bare(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_bare(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "discriminator" in schema:
        return {"kinds": [one["$ref"] for one in schema["anyOf"]]}
    # A field may be called "title" or "description": its schema is an object then, and no text.
    prose = {key for key in ("title", "description") if isinstance(schema.get(key), str)}
    return {key: _bare(value) for key, value in schema.items() if key not in prose}


def _anything(_: type) -> Schema:
    return {"description": "anything"}


def record() -> None:
    """Writes down the contract as it is now, one part a line. Exits when an older or a newer version could not live with it."""
    now = current_schemas()
    if RECORDED.exists() and (broken := breaking(recorded_schemas(), now, UPCASTERS.keys())):
        sys.exit("\n".join(["not recorded; this takes a new tag and an upcaster:", *broken]))
    lines = [f'"{name}": {_said(part)}' for name, part in sorted(now.items())]
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    record()
