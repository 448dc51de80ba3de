"""Conversations with questions and the turns that answer them, in the form of LoCoMo (Maharana et al., 2024). Read, never kept."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "inference", 4: "single-hop", 5: "adversarial"}
_SESSION = re.compile(r"session_(\d+)")
_TURN = re.compile(r"D:?(\d+):(\d+)")
_TIME = "%I:%M %p on %d %B, %Y"


class Turn(msgspec.Struct, frozen=True):
    """Something that was said: its id, its session, when, and the text as a chat would store it."""

    id: str
    session: str
    timestamp_ms: int
    text: str


class Question(msgspec.Struct, frozen=True):
    """A question and the ids of the turns that hold its answer."""

    text: str
    evidence: frozenset[str]
    category: str


class Fact(msgspec.Struct, frozen=True):
    """What somebody noted from a conversation, and the turns that say so."""

    text: str
    evidence: frozenset[str]


class Conversation(msgspec.Struct, frozen=True):
    """All that two people said, and what is asked of it; where known, what was noted of it and how each session was summed up."""

    name: str
    turns: list[Turn]
    questions: list[Question]
    facts: list[Fact] = []
    summaries: dict[str, str] = {}


def found_in(folder: Path) -> list[Conversation]:
    """The conversations of all files of a folder; none where there is no such folder."""
    return [_conversation(sample) for file in sorted(folder.glob("*.json")) for sample in _samples(file)]


def _samples(file: Path) -> Iterator[Mapping[str, Any]]:
    read = msgspec.json.decode(file.read_bytes())
    for sample in read if isinstance(read, list) else []:
        if isinstance(sample, dict) and {"conversation", "qa"} <= sample.keys():
            yield sample


def _conversation(sample: Mapping[str, Any]) -> Conversation:
    turns = [turn for name in _sessions(sample["conversation"]) for turn in _turns(name, sample["conversation"])]
    known = frozenset(turn.id for turn in turns)
    asked = [Question(each["question"], _evidence(each) & known, CATEGORIES[each["category"]]) for each in sample["qa"]]
    facts = [fact for fact in _facts(sample.get("observation") or {}, known) if fact.evidence]
    summaries = {
        name.removesuffix("_summary"): text for name, text in (sample.get("session_summary") or {}).items() if isinstance(text, str)
    }
    return Conversation(sample["sample_id"], turns, [question for question in asked if question.evidence], facts, summaries)


def _facts(observation: Mapping[str, Any], known: frozenset[str]) -> Iterator[Fact]:
    """By session and speaker: pairs of a text and a turn, or several."""
    for by_speaker in observation.values():
        for noted in by_speaker.values():
            for text, where in noted:
                yield Fact(text, _turns_in([where] if isinstance(where, str) else where) & known)


def _sessions(conversation: Mapping[str, Any]) -> list[str]:
    return sorted((name for name in conversation if _SESSION.fullmatch(name)), key=lambda name: int(name.partition("_")[2]))


def _turns(session: str, conversation: Mapping[str, Any]) -> Iterator[Turn]:
    moment = datetime.strptime(conversation[f"{session}_date_time"].upper(), _TIME).replace(tzinfo=UTC)
    began = int(moment.timestamp() * 1_000)
    for number, said in enumerate(conversation[session]):
        caption = f" [image: {said['blip_caption']}]" if said.get("blip_caption") else ""
        yield Turn(said["dia_id"], session, began + number * 1_000, f"{said['speaker']}: {said['text']}{caption}")


def _evidence(asked: Mapping[str, Any]) -> frozenset[str]:
    return _turns_in(asked.get("evidence", []))


def _turns_in(names: Iterable[str]) -> frozenset[str]:
    return frozenset(f"D{session}:{turn}" for name in names for session, turn in _TURN.findall(name))
