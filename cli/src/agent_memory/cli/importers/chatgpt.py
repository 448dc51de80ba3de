"""A ChatGPT export: `conversations.json`, a list of conversations, each a tree of messages.

Of each tree the branch that its owner saw last (`current_node`) is imported; messages of other branches, which came of edited
questions and answers tried again, are counted. A message without a time takes that of the message before it.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from agent_memory.cli.importers.identity import event_id
from agent_memory.cli.importers.items import BadLine, Item, LeftOut, Unusable, checked
from agent_memory.cli.importers.reading import decode, flat, seconds, text_field, word
from agent_memory.contracts.records import EventType, TimelineEvent

NAME = "chatgpt"

_TYPES: dict[str, EventType] = {"user": "user_message", "assistant": "assistant_message", "tool": "tool_result"}
_NOT_SAID = {
    "thoughts": "reasoning",
    "reasoning_recap": "reasoning",
    "user_editable_context": "custom instructions",
    "model_editable_context": "saved memories",
}


def parse(lines: Iterable[bytes]) -> Iterator[Item]:
    """Events of an export, which is read whole. Numbers are those of conversations, from 1. Never raises."""
    try:
        whole = decode(b"".join(lines).removeprefix(b"\xef\xbb\xbf"))
    except Unusable as fault:
        yield BadLine(number=1, reason=str(fault))
        return
    if not isinstance(whole, list | dict):
        yield BadLine(number=1, reason="neither a list of conversations nor one conversation")
        return
    for number, conversation in enumerate(whole if isinstance(whole, list) else [whole], start=1):
        try:
            yield from _conversation(number, conversation)
        except Unusable as fault:
            yield BadLine(number=number, reason=f"conversation {number}: {fault}")


def _conversation(number: int, conversation: object) -> Iterator[Item]:
    if not isinstance(conversation, dict) or not isinstance(mapping := conversation.get("mapping"), dict):
        raise Unusable("not an object with a mapping of messages")
    session_id = _session_id(conversation)
    branch = _branch(mapping, conversation.get("current_node"))
    at = seconds(conversation.get("create_time"))
    started = False
    for key in branch:
        message = mapping[key].get("message")
        if not isinstance(message, dict):
            continue
        at = seconds(message.get("create_time")) or at
        made = _message(number, session_id, key, message, at)
        if not started and not isinstance(made, LeftOut) and at is not None:
            started = True
            yield checked(number, _start(conversation, session_id, seconds(conversation.get("create_time")) or at))
        yield made
    if others := sum(1 for key, node in mapping.items() if key not in branch and _said(node)):
        yield LeftOut(number=number, reason="message of another branch", count=others)


def _session_id(conversation: dict[str, Any]) -> str:
    given = text_field(conversation, "conversation_id") or text_field(conversation, "id")
    return given or event_id(NAME, "", text_field(conversation, "title"), flat(conversation.get("create_time")))


def _branch(mapping: dict[str, Any], current: object) -> dict[str, None]:
    """Keys from the root to the current node, in order. A branch that bites its own tail ends where it does."""
    up: dict[str, None] = {}
    key = current if isinstance(current, str) and current in mapping else _latest(mapping)
    while isinstance(key, str) and key not in up and isinstance(node := mapping.get(key), dict):
        up[key] = None
        key = node.get("parent")
    return dict.fromkeys(reversed(up))


def _latest(mapping: dict[str, Any]) -> str | None:
    """The last leaf by time, for exports that do not name the current node."""
    parents = {node.get("parent") for node in mapping.values() if isinstance(node, dict) and isinstance(node.get("parent"), str)}
    leaves = [(_time(node), key) for key, node in mapping.items() if key not in parents and isinstance(node, dict)]
    return max(leaves)[1] if leaves else None


def _time(node: dict[str, Any]) -> tuple[int, int]:
    message = node.get("message")
    return (seconds(message.get("create_time")) if isinstance(message, dict) else None) or (0, 0)


def _message(number: int, session_id: str, key: str, message: dict[str, Any], at: tuple[int, int] | None) -> Item:
    try:
        role, name = _author(message)
        if reason := _not_said(role, message):
            return LeftOut(number=number, reason=reason)
        text = _text(message["content"])
        if not text.strip():
            return LeftOut(number=number, reason="nothing said")
        if at is None:
            raise Unusable("timestamp is missing, and nothing before it has one")
        about = _about(message, role, name)
    except Unusable as fault:
        return BadLine(number=number, reason=f"conversation {number}, message {key[:60]!a}: {fault}")
    event = TimelineEvent(
        event_id=event_id(NAME, session_id, key),
        session_id=session_id,
        timestamp_ms=at[0],
        microseconds=at[1],
        event_type=_TYPES[role],
        role=role,
        text=text,
        metadata=about,
        agent=None if role == "user" else NAME,
    )
    made = checked(number, event)
    if isinstance(made, BadLine):
        return BadLine(number=number, reason=f"conversation {number}, message {key[:60]!a}: {made.reason}")
    return made


def _author(message: dict[str, Any]) -> tuple[str, str]:
    author = message.get("author")
    if not isinstance(author, dict):
        raise Unusable("author is missing")
    return text_field(author, "role"), text_field(author, "name")


def _not_said(role: str, message: dict[str, Any]) -> str | None:
    about = message.get("metadata")
    if isinstance(about, dict) and about.get("is_visually_hidden_from_conversation") is True:
        return "hidden message"
    if role not in _TYPES:
        return f"{word(role)} message"
    content = message.get("content")
    if not isinstance(content, dict):
        return "message without content"
    kind = content.get("content_type")
    return _NOT_SAID.get(kind) if isinstance(kind, str) else None


def _about(message: dict[str, Any], role: str, name: str) -> dict[str, str]:
    given = message.get("metadata")
    model = given.get("model_slug") if isinstance(given, dict) else None
    about = {"model": model} if isinstance(model, str) and model else {}
    return about | ({"tool_name": name} if role == "tool" and name else {})


def _text(content: dict[str, Any]) -> str:
    parts = content.get("parts")
    if isinstance(parts, list):
        return "\n".join(part for part in map(_part, parts) if part)
    lines = [content.get(field) for field in ("title", "text", "result")]
    return "\n".join(line for line in lines if isinstance(line, str) and line)


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    text = part.get("text")
    if isinstance(text, str):
        return text
    kind = part.get("content_type")
    return f"[{word(kind).removesuffix('_asset_pointer')}]"


def _start(conversation: dict[str, Any], session_id: str, at: tuple[int, int]) -> TimelineEvent:
    title = conversation.get("title")
    return TimelineEvent(
        event_id=event_id(NAME, session_id, "start"),
        session_id=session_id,
        timestamp_ms=at[0],
        microseconds=at[1],
        event_type="session_start",
        role="system",
        text=title if isinstance(title, str) else "",
        agent=NAME,
    )


def _said(node: object) -> bool:
    message = node.get("message") if isinstance(node, dict) else None
    if not isinstance(message, dict) or not isinstance(message.get("author"), dict):
        return False
    role = message["author"].get("role")
    return isinstance(role, str) and _not_said(role, message) is None and bool(_text(message["content"]).strip())
