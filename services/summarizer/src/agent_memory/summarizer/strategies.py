"""How memories are drawn from messages: what the model is asked, and what is made of its answer. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from agent_memory.contracts.records import MemoryRecord, Scope, Strategy
from agent_memory.runtime.llm import Messages
from agent_memory.runtime.llm_custom_prompts import admissible, fill
from agent_memory.summarizer import prompts

SUMMARY_VERSION = "thread-summary-v1"
SUMMARY_TOPIC = "thread-summary"
SUMMARY_WORDS = 500
MOST_TAGS = 10
LONGEST_TAG = 100


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A message that is to be read: `event_id` is what the timeline calls it."""

    message_id: str
    event_id: str
    role: str
    text: str
    at: datetime


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that are read together. `before`: lines that came before them; `recorded_at`: when the last was recorded."""

    scope: Scope
    session_id: str
    strategy: Strategy
    said: Sequence[Said]
    before: Sequence[str] = ()
    recorded_at: datetime

    @property
    def identity(self) -> str:
        """The same for the same messages of a session, read in the same way."""
        parts = [self.scope.path, self.session_id, self.strategy.strategy, *(one.message_id for one in self.said)]
        return blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A memory as the model tells it. `sources`: numbers of messages, from 1."""

    text: str
    type: Literal["semantic", "episodic"] = "semantic"
    topics: list[str] = []
    entities: list[str] = []
    event_date: str | None = None
    sources: list[int] = []


class _Memories(msgspec.Struct):
    memories: list[Found]


class _Summary(msgspec.Struct):
    summary: str


_memories = msgspec.json.Decoder(_Memories)
_summary = msgspec.json.Decoder(_Summary)


def question(reading: Reading, model: str) -> Messages:
    """What the model is asked for the discrete, preferences and custom strategies. Raises Invalid for a prompt that may not be."""
    data = f"{_earlier(reading)}Messages:\n----------\n{_numbered(reading)}\n----------"
    if reading.strategy.strategy == "custom":
        asked = fill(str(reading.strategy.config.get("custom_prompt") or ""), _values(reading, model))
        return [
            {"role": "system", "content": prompts.CUSTOM},
            {"role": "user", "content": f"What the client asks for:\n{asked}\n\n{data}"},
        ]
    instructions = prompts.PREFERENCES if reading.strategy.strategy == "preferences" else prompts.FACTS
    return [{"role": "system", "content": instructions}, {"role": "user", "content": data}]


def answered(text: str) -> list[Found]:
    """The memories of an answer. Raises ValueError for an answer of another shape."""
    try:
        return _memories.decode(text).memories
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def records(found: Sequence[Found], reading: Reading) -> list[MemoryRecord]:
    """The memories, as the session's owner has them; the same answer always gives the same ids."""
    name = reading.strategy.strategy
    kept = [one for one in found if one.text.strip() and (name != "custom" or admissible(one.text))]
    return [_record(one, reading, f"{reading.identity}-{number}") for number, one in enumerate(kept, 1)]


def summary_id(scope: Scope, session_id: str) -> str:
    """The id of the one memory that summarises a session."""
    return f"thread_summary_{sha256(f'{scope.namespace}|{scope.user_id}|{session_id}'.encode()).hexdigest()[:24]}"


def summary_question(reading: Reading, known: MemoryRecord | None) -> Messages:
    """What the model is asked for the summary strategy."""
    words = reading.strategy.config.get("max_summary_length", SUMMARY_WORDS)
    words = words if isinstance(words, int) and words > 0 else SUMMARY_WORDS
    so_far = "" if known is None else f"Summary so far:\n----------\n{known.text}\n----------\n\n"
    data = f"{so_far}Messages:\n----------\n{_numbered(reading)}\n----------"
    return [{"role": "system", "content": prompts.THREAD.format(words=words)}, {"role": "user", "content": data}]


def summary_answered(text: str) -> str:
    """The summary of an answer. Raises ValueError for an answer of another shape, or with nothing in it."""
    try:
        summary = _summary.decode(text).summary.strip()
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    if not summary:
        raise ValueError("the summary is empty")
    return summary


def summary_record(text: str, reading: Reading, known: MemoryRecord | None) -> MemoryRecord:
    """The memory that summarises a session, after more of it was read."""
    config = reading.strategy.config
    topics = config.get("topics")
    sources = [*([] if known is None else known.extracted_from), *(one.event_id for one in reading.said)]
    wanted = [str(topic) for topic in topics] if isinstance(topics, list) else []
    return replace(
        _record(Found(text=text, topics=[*wanted, SUMMARY_TOPIC]), reading, summary_id(reading.scope, reading.session_id)),
        created_at=reading.recorded_at if known is None else known.created_at,
        pinned=known is not None and known.pinned,
        access_count=0 if known is None else known.access_count,
        entities=[] if known is None else known.entities,
        extracted_from=list(dict.fromkeys(sources)),
        metadata=_summary_metadata(reading, {} if known is None else known.metadata),
    )


def _summary_metadata(reading: Reading, known: Mapping[str, Any]) -> dict[str, object]:
    ids = [*known.get("source_message_ids", []), *(one.message_id for one in reading.said)]
    times = sorted(one.at for one in reading.said)
    first, last = (_iso(moment) for moment in (times[0], times[-1]))
    fingerprint = sha256(str(known.get("source_message_fingerprint", "")).encode())
    for one in reading.said:
        fingerprint.update(msgspec.json.encode([one.message_id, one.role, one.text]))
    return {
        "source_session_id": reading.session_id,
        "message_count": len(ids),
        "source_message_ids": ids,
        "source_created_at_min": min(str(known.get("source_created_at_min", first)), first),
        "source_created_at_max": max(str(known.get("source_created_at_max", last)), last),
        "source_message_fingerprint": fingerprint.hexdigest(),
        "summary_version": str(reading.strategy.config.get("summary_version", SUMMARY_VERSION)),
    }


def tags(values: Sequence[str], most: int = MOST_TAGS) -> list[str]:
    """Topics or entities as they may be kept: no commas, which clients take for the end of one, none twice."""
    cleaned = (" ".join(value.replace(",", " ").split())[:LONGEST_TAG].strip() for value in values)
    return list({value.casefold(): value for value in reversed([*cleaned]) if value}.values())[::-1][:most]


def _record(found: Found, reading: Reading, id_: str) -> MemoryRecord:
    named = [reading.said[number - 1].event_id for number in found.sources if 0 < number <= len(reading.said)]
    semantic = found.type == "semantic" or reading.strategy.strategy == "preferences"
    return MemoryRecord(
        id=id_,
        text=found.text.strip(),
        session_id=reading.session_id,
        user_id=reading.scope.user_id or None,
        namespace=reading.scope.namespace or None,
        last_accessed=reading.recorded_at,
        created_at=reading.recorded_at,
        updated_at=reading.recorded_at,
        topics=tags(found.topics),
        entities=tags(found.entities),
        discrete_memory_extracted="t",
        memory_type="semantic" if semantic else "episodic",
        extracted_from=list(dict.fromkeys(named or [one.event_id for one in reading.said])),
        event_date=None if semantic else _moment(found.event_date),
        extraction_strategy=reading.strategy.strategy,
        extraction_strategy_config=reading.strategy.config,
    )


def _values(reading: Reading, model: str) -> dict[str, str]:
    return {
        "message": "\n".join(f"{one.role}: {one.text}" for one in reading.said),
        # The time of the last message, not of this call: asked again after a crash, it is the same question.
        "current_datetime": _iso(reading.said[-1].at),
        "session_id": reading.session_id,
        "namespace": reading.scope.namespace,
        "user_id": reading.scope.user_id,
        "model_name": model,
        "context": "\n".join(reading.before),
    }


def _earlier(reading: Reading) -> str:
    if not reading.before:
        return ""
    return "Lines before, to understand what follows:\n----------\n" + "\n".join(reading.before) + "\n----------\n\n"


def _numbered(reading: Reading) -> str:
    return "\n".join(f"[{number}] {_iso(one.at)} {one.role}: {one.text}" for number, one in enumerate(reading.said, 1))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
