"""Claude Code transcripts: JSON Lines, one record a line, as its project folders keep them.

What was said becomes messages, each tool call an assistant message and each result a tool result; the first record of a
session also gives its start. Sub-agents (side chains) speak in sessions of their own, so that the main session reads as it
was. Thinking, system records, notes that the program wrote to itself and summaries are left out, and counted.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from agent_memory.cli.importers.identity import Repeats, event_id
from agent_memory.cli.importers.items import BadLine, Item, LeftOut, Unusable, checked
from agent_memory.cli.importers.reading import flat, instant, objects, text_field, word
from agent_memory.contracts.records import EventType, TimelineEvent

NAME = "claude-code"

_REMEMBERED_CALLS = 10_000
_SILENT = "(no output)"


def parse(lines: Iterable[bytes]) -> Iterator[Item]:
    """Events of a transcript. Never raises."""
    transcript = _Transcript()
    for line in objects(lines):
        if isinstance(line, BadLine):
            yield line
            continue
        number, record = line
        try:
            yield from transcript.items(number, record)
        except Unusable as fault:
            yield BadLine(number=number, reason=str(fault))


class _Transcript:
    """What has to be remembered from line to line: sessions that have started, tool calls that wait for their result."""

    def __init__(self) -> None:
        self.started: set[str] = set()
        self.tools: OrderedDict[str, str] = OrderedDict()
        self.repeats = Repeats()

    def items(self, number: int, record: dict[str, Any]) -> list[Item]:
        """What one record gives. Raises Unusable."""
        kind = text_field(record, "type")
        if not kind:
            raise Unusable("type is missing")
        if reason := _not_conversation(kind, record):
            return [LeftOut(number=number, reason=reason)]
        spoken = _Spoken(record, self.repeats)
        made: list[Item] = []
        if spoken.session_id not in self.started:
            self.started.add(spoken.session_id)
            made.append(checked(number, spoken.start()))
        for place, block in enumerate(spoken.blocks()):
            made.append(self._item(number, spoken, place, block))
        return made or [LeftOut(number=number, reason="nothing said")]

    def _item(self, number: int, spoken: "_Spoken", place: int, block: dict[str, Any]) -> Item:
        match block.get("type"):
            case "text":
                text = text_field(block, "text")
                return (
                    checked(number, spoken.message(place, text)) if text.strip() else LeftOut(number=number, reason="nothing said")
                )
            case "tool_use":
                name, call = text_field(block, "name") or "tool", text_field(block, "id")
                self._remember(call, name)
                return checked(number, spoken.call(place, name, call, block.get("input")))
            case "tool_result":
                call = text_field(block, "tool_use_id")
                return checked(number, spoken.result(place, self.tools.get(call, ""), call, block))
            case "image" | "document" as kind:
                return checked(number, spoken.message(place, _placeholder(kind, block)))
            case kind:
                return LeftOut(number=number, reason=f"{word(kind)} block")

    def _remember(self, call: str, name: str) -> None:
        self.tools[call] = name
        if len(self.tools) > _REMEMBERED_CALLS:
            self.tools.popitem(last=False)


class _Spoken:
    """A user or assistant record: who spoke, when, in which session."""

    def __init__(self, record: dict[str, Any], repeats: Repeats) -> None:
        message = record.get("message")
        if not isinstance(message, dict):
            raise Unusable("message is missing")
        self.content = message.get("content")
        self.record = record
        self.role = "assistant" if record["type"] == "assistant" else "user"
        self.side_chain = record.get("isSidechain") is True
        self.agent = (text_field(record, "agentId") or "sub-agent") if self.side_chain else NAME
        main = text_field(record, "sessionId")
        if not main:
            raise Unusable("sessionId is missing")
        self.session_id = f"{main}:{self.agent}" if self.side_chain else main
        self.at = instant(record.get("timestamp"))
        uuid = text_field(record, "uuid")
        self.native: tuple[str | int, ...] = (uuid,) if uuid else repeats.place(self.session_id, *self.at, flat(self.content))
        known = {"cwd": "cwd", "gitBranch": "git_branch", "uuid": "uuid"}
        self.about = {name: value for key, name in known.items() if (value := text_field(record, key))}
        if model := text_field(message, "model"):
            self.about["model"] = model

    def blocks(self) -> list[dict[str, Any]]:
        """The content as blocks. Raises Unusable."""
        if isinstance(self.content, str):
            return [{"type": "text", "text": self.content}]
        if not isinstance(self.content, list):
            raise Unusable("message.content is neither text nor a list of blocks")
        return [block if isinstance(block, dict) else {"type": "text", "text": flat(block)} for block in self.content]

    def start(self) -> TimelineEvent:
        """The start of the session, whose id does not depend on what was said first."""
        about = {name: value for name, value in self.about.items() if name in ("cwd", "git_branch")}
        if version := text_field(self.record, "version"):
            about["version"] = version
        kind: EventType = "subagent_start" if self.side_chain else "session_start"
        return self._event(kind, "system", "", about, ("start",))

    def message(self, place: int, text: str) -> TimelineEvent:
        """Something said."""
        return self._event(f"{self.role}_message", self.role, text, self.about, (*self.native, place))

    def call(self, place: int, name: str, call: str, given: object) -> TimelineEvent:
        """A tool call, in the words of the assistant."""
        command = given.get("command") if isinstance(given, dict) else None
        text = f"{name}: {command if isinstance(command, str) else flat(given)}"
        return self._event("assistant_message", "assistant", text, self._tool(name, call), (*self.native, place))

    def result(self, place: int, name: str, call: str, block: dict[str, Any]) -> TimelineEvent:
        """What a tool gave back."""
        about = self._tool(name, call) | ({"error": "true"} if block.get("is_error") is True else {})
        text = _result_text(block.get("content"))
        return self._event("tool_result", "tool", text if text.strip() else _SILENT, about, (*self.native, place))

    def _tool(self, name: str, call: str) -> dict[str, str]:
        return self.about | {key: value for key, value in (("tool_name", name), ("tool_use_id", call)) if value}

    def _event(self, kind: str, role: str, text: str, about: dict[str, str], place: tuple[str | int, ...]) -> TimelineEvent:
        return TimelineEvent(
            event_id=event_id(NAME, self.session_id, *place),
            session_id=self.session_id,
            timestamp_ms=self.at[0],
            microseconds=self.at[1],
            event_type=kind,  # type: ignore[arg-type]  # composed of the role, which is user or assistant
            role=role,
            text=text,
            metadata=about,
            agent=None if role == "user" else self.agent,
        )


def _not_conversation(kind: str, record: dict[str, Any]) -> str | None:
    if kind not in ("user", "assistant"):
        return f"{word(kind)} line"
    notes = {"isMeta": "note of the program to itself", "isCompactSummary": "summary of earlier messages"}
    notes["isApiErrorMessage"] = "error of the model's API"
    return next((reason for flag, reason in notes.items() if record.get(flag) is True), None)


def _result_text(content: object) -> str:
    if content is None:
        return ""
    if not isinstance(content, list):
        return flat(content)
    parts = [_part(block) for block in content]
    return "\n".join(part for part in parts if part)


def _part(block: object) -> str:
    if not isinstance(block, dict):
        return flat(block)
    text = block.get("text")
    return text if isinstance(text, str) else _placeholder(word(block.get("type")), block)


def _placeholder(kind: str, block: dict[str, Any]) -> str:
    source = block.get("source")
    media = source.get("media_type") if isinstance(source, dict) else None
    return f"[{kind} {media}]" if isinstance(media, str) else f"[{kind}]"
