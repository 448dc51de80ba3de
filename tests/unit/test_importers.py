"""Histories of other tools become the right events, with ids that stay, and nothing that a file holds stops the reading."""

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.cli.importers.formats import FORMATS, Unrecognised, detect
from agent_memory.cli.importers.identity import Repeats
from agent_memory.cli.importers.items import MAX_TEXT_BYTES, BadLine, Found, Item, LeftOut
from agent_memory.cli.importers.reading import MAX_LINE_BYTES
from agent_memory.contracts.records import MAX_TIMESTAMP_MS, MESSAGE_TYPES, MIN_TIMESTAMP_MS

DATA = Path(__file__).parent.parent / "data" / "imports"
FILES = {"jsonl": "own.jsonl", "claude-code": "claude_code.jsonl", "chatgpt": "chatgpt.json"}


def parse(name: str, data: bytes) -> list[Item]:
    return list(FORMATS[name].parse(data.splitlines(keepends=True)))


def events(items: list[Item]) -> list[Any]:
    return [item.event for item in items if isinstance(item, Found)]


def reasons(items: list[Item]) -> list[str]:
    return [item.reason for item in items if isinstance(item, BadLine)]


def line(**fields: Any) -> bytes:
    return json.dumps({"session_id": "s", "timestamp": 5, "role": "user", "text": "hi", **fields}).encode() + b"\n"


def said(**fields: Any) -> bytes:
    record = {"type": "user", "sessionId": "s", "timestamp": "2025-09-01T08:00:00Z", "message": {"role": "user", "content": "hi"}}
    return json.dumps({**record, **fields}).encode() + b"\n"


def conversation(*texts: str, **fields: Any) -> dict[str, Any]:
    nodes = {
        f"n{number}": {
            "parent": f"n{number - 1}" if number else None,
            "message": {"author": {"role": "user"}, "create_time": 100.0 + number, "content": {"parts": [text]}},
        }
        for number, text in enumerate(texts)
    }
    return {"conversation_id": "c", "create_time": 99.0, "mapping": nodes, "current_node": f"n{len(texts) - 1}", **fields}


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_gives_is_what_it_gave_before(name: str) -> None:
    file = DATA / FILES[name]
    made = [msgspec.to_builtins(item) | {"made": type(item).__name__} for item in parse(name, file.read_bytes())]
    assert made == json.loads((DATA / f"{file.stem}.expected.json").read_bytes())


@pytest.mark.parametrize("name", FILES)
def test_a_format_is_told_from_content(name: str) -> None:
    assert detect((DATA / FILES[name]).read_bytes()).name == name
    assert detect(b"\xef\xbb\xbf  \n" + (DATA / FILES[name]).read_bytes()).name == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b'{"session_id": "s", "text": "the \\"mapping\\": of \\"sessionId\\": x"}', "jsonl"),
        (b'{"type": "user", "message": {"session_id": 3}, "sessionId": "s"}', "claude-code"),
        (b'{\n  "title": "one",\n  "mapping": {\n', "chatgpt"),
        (b'{"title": "one conversation on one cut line", "mapping": {"a', "chatgpt"),
    ],
)
def test_a_format_is_told_by_its_own_keys_not_by_what_is_quoted(head: bytes, name: str) -> None:
    assert detect(head).name == name


@pytest.mark.parametrize("head", [b"", b"hello", b"\x89PNG\r\n", b'{"a": 1}', b"PK\x03\x04"])
def test_a_file_of_no_known_format_is_refused_with_the_known_ones(head: bytes) -> None:
    with pytest.raises(Unrecognised, match="Claude Code transcript"):
        detect(head)


@pytest.mark.parametrize("name", FILES)
def test_reading_twice_gives_the_same_ids(name: str) -> None:
    data = (DATA / FILES[name]).read_bytes()
    assert events(parse(name, data)) == events(parse(name, data))


@pytest.mark.parametrize("name", FILES)
def test_ids_are_unique_in_a_file(name: str) -> None:
    ids = [event.event_id for event in events(parse(name, (DATA / FILES[name]).read_bytes()))]
    assert len(set(ids)) == len(ids)


def test_equal_lines_without_ids_are_different_events() -> None:
    first, second = events(parse("jsonl", line() + line()))
    assert first.event_id != second.event_id


def test_lines_added_or_mended_elsewhere_leave_the_other_ids_alone() -> None:
    before = {event.text: event.event_id for event in events(parse("jsonl", line(text="a") + b"{\n" + line(text="b")))}
    after = {
        event.text: event.event_id for event in events(parse("jsonl", line(text="0") + line(text="a") + line() + line(text="b")))
    }
    assert before.items() <= after.items()


def test_an_id_that_the_line_has_is_kept() -> None:
    assert events(parse("jsonl", line(event_id="mine")))[0].event_id == "mine"


def test_a_longer_export_keeps_the_ids_of_the_messages_it_had() -> None:
    short = events(parse("chatgpt", json.dumps([conversation("a", "b")]).encode()))
    long = events(parse("chatgpt", json.dumps([conversation("x", conversation_id="d"), conversation("a", "b", "c")]).encode()))
    assert {event.event_id for event in short} < {event.event_id for event in long}


def test_repeats_are_numbered_and_forgotten_in_the_end() -> None:
    repeats = Repeats()
    assert [repeats.place("a")[1], repeats.place("b")[1], repeats.place("a")[1]] == [0, 0, 1]
    for number in range(65_536):
        repeats.place(number)
    assert repeats.place("a")[1] == 0


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"text": ""}, "text is empty"),
        ({"text": " \n"}, "text is empty"),
        ({"text": None}, "text is empty"),
        ({"text": "x" * (MAX_TEXT_BYTES + 1)}, "text has 1,000,001 bytes, more than the 1,000,000"),
        ({"text": "ł" * 500_001}, "text has 1,000,002 bytes"),
        ({"text": "a\0b"}, "text has a NUL"),
        ({"text": "a\ud83d"}, "text has half of a surrogate pair"),
        ({"metadata": {"k\udc00": "v"}}, "half of a surrogate pair"),
        ({"metadata": {"k": "\0"}}, "metadata 'k' has a NUL"),
        ({"metadata": {"k": "x" * 600_000, "l": "x" * 600_000}}, "metadata has 1,200,000 bytes"),
        ({"agent": "a" * 256}, "agent has 256 bytes"),
        ({"role": "r" * 256, "event_type": "user_message"}, "role has 256 bytes"),
        ({"metadata": 3}, "metadata must be an object"),
        ({"session_id": ""}, "session_id is missing"),
        ({"session_id": "s" * 256}, "session_id has 256 bytes, more than 255"),
        ({"event_id": "\0"}, "event_id has a NUL"),
        ({"timestamp": None}, "timestamp is missing"),
        ({"timestamp": True}, "neither ISO 8601 nor milliseconds"),
        ({"timestamp": 1.5}, "neither ISO 8601 nor milliseconds"),
        ({"timestamp": MAX_TIMESTAMP_MS + 1}, "out of range"),
        ({"timestamp": MIN_TIMESTAMP_MS - 1}, "out of range"),
        ({"timestamp": "2025-13-01"}, "neither ISO 8601 nor milliseconds"),
        ({"role": "narrator"}, "event_type is missing"),
        ({"event_type": "shout"}, "event_type 'shout' is not one of session_start"),
        ({"role": ["user"]}, "role must be a string"),
    ],
)
def test_a_bad_line_says_why_and_the_rest_goes_on(fields: dict[str, Any], reason: str) -> None:
    items = parse("jsonl", line() + line(**fields) + line(text="after"))
    assert [type(item) for item in items] == [Found, BadLine, Found]
    assert reason in reasons(items)[0]
    assert items[1].number == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xfe", "not UTF-8 at byte 1"),
        (b"{", "not JSON"),
        (b"3", "not a JSON object"),
        (b"[" * 100_000, "nested too deeply"),
        (b" " + b"x" * (MAX_LINE_BYTES + 1), "longer than"),
    ],
)
@pytest.mark.parametrize("name", ["jsonl", "claude-code"])
def test_a_line_that_is_no_object_says_why(name: str, data: bytes, reason: str) -> None:
    assert reason in reasons(parse(name, data))[0]


@pytest.mark.parametrize(
    ("given", "ms", "microseconds"),
    [
        ("2025-10-26T02:30:00+02:00", 1_761_438_600_000, 0),
        ("2025-10-26T02:30:00+01:00", 1_761_442_200_000, 0),
        ("1969-12-31T23:59:59.999999Z", -1, 999),
        (1_761_438_600_000, 1_761_438_600_000, 0),
        (1_761_438_600_000.0, 1_761_438_600_000, 0),
        ("2025-10-26", 1_761_436_800_000, 0),
    ],
)
def test_times_are_kept_to_the_microsecond(given: object, ms: int, microseconds: int) -> None:
    event = events(parse("jsonl", line(timestamp=given)))[0]
    assert (event.timestamp_ms, event.microseconds) == (ms, microseconds)


def test_the_longest_text_allowed_is_taken() -> None:
    assert len(events(parse("jsonl", line(text="x" * MAX_TEXT_BYTES)))) == 1


def test_a_transcript_starts_each_session_once() -> None:
    made = events(parse("claude-code", said(uuid="a") + said(uuid="b") + said(uuid="c", sessionId="t")))
    assert Counter(event.event_type for event in made) == {"session_start": 2, "user_message": 3}


def test_a_sub_agent_speaks_in_a_session_of_its_own() -> None:
    made = events(parse("claude-code", said(uuid="a") + said(uuid="b", isSidechain=True, agentId="x")))
    assert [event.session_id for event in made] == ["s", "s", "s:x", "s:x"]
    assert made[2].event_type == "subagent_start"


def test_a_tool_result_names_its_tool() -> None:
    call = [{"type": "tool_use", "id": "t1", "name": "Read", "input": {"file_path": "a.py"}}]
    result = [{"type": "tool_result", "tool_use_id": "t1", "content": []}]
    data = said(type="assistant", message={"content": call}) + said(message={"content": result})
    _, called, answered = events(parse("claude-code", data))
    assert called.text == 'Read: {"file_path":"a.py"}'
    assert (answered.event_type, answered.metadata["tool_name"], answered.text) == ("tool_result", "Read", "(no output)")


def test_transcript_lines_without_uuids_keep_their_ids_too() -> None:
    before = events(parse("claude-code", said() + said()))
    after = events(parse("claude-code", said() + said() + said()))
    assert len({event.event_id for event in after}) == 4
    assert before == after[:3]


def test_messages_of_other_branches_are_counted() -> None:
    tree = conversation("asked", "answered")
    tree["mapping"]["other"] = tree["mapping"]["n1"] | {"parent": "n0"}
    items = parse("chatgpt", json.dumps([tree]).encode())
    assert [event.text for event in events(items)] == ["", "asked", "answered"]
    assert LeftOut(number=1, reason="message of another branch") in items


def test_a_tree_that_bites_its_own_tail_ends() -> None:
    tree = conversation("a", "b")
    tree["mapping"]["n0"]["parent"] = "n1"
    assert len(events(parse("chatgpt", json.dumps([tree]).encode()))) == 3


def test_one_bad_message_does_not_take_its_conversation_with_it() -> None:
    items = parse("chatgpt", json.dumps([conversation("a", "half \ud83d", "c")]).encode())
    assert [event.text for event in events(items)] == ["", "a", "c"]
    assert reasons(items) == ["conversation 1, message 'n1': text has half of a surrogate pair, which is no character"]


def test_an_export_of_one_conversation_is_an_export() -> None:
    assert len(events(parse("chatgpt", json.dumps(conversation("a")).encode()))) == 2


def sound(items: list[Item]) -> None:
    for item in items:
        assert item.number >= 1
        if isinstance(item, Found):
            encoded = msgspec.json.encode(item.event)
            # A backslash and these letters are no NUL.
            assert b"\\u0000" not in encoded.replace(b"\\\\", b"")
            assert item.event.session_id
            assert item.event.text.strip() or item.event.event_type not in MESSAGE_TYPES
        else:
            assert item.reason.encode().decode().isprintable()


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(codec=None), max_size=8),
    st.sampled_from(["user", "assistant", "tool", "text", "s", "2025-09-01T08:00:00Z", "0001-01-01T00:00:00+14:00", "n0", "n1"]),
)
FIELDS = (
    "type sessionId message content uuid timestamp isSidechain isMeta text tool_use_id name input id is_error source agentId",
    "session_id event_type role event_id metadata agent mapping current_node parent author create_time parts title n0 n1",
    "content_type conversation_id",
)
KEYS = st.sampled_from([field for row in FIELDS for field in row.split()])
TREES = st.recursive(ODD, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=8), max_leaves=30)


@given(st.sampled_from(list(FILES)), st.lists(st.binary(max_size=80), max_size=5))
def test_no_bytes_whatsoever_make_a_parser_raise(name: str, lines: list[bytes]) -> None:
    sound(list(FORMATS[name].parse(lines)))


@given(st.sampled_from(list(FILES)), st.lists(TREES, max_size=3))
def test_no_json_whatsoever_makes_a_parser_raise(name: str, trees: list[Any]) -> None:
    sound(list(FORMATS[name].parse([json.dumps(tree).encode() + b"\n" for tree in trees])))


@given(TREES, TREES, TREES, TREES)
def test_no_odd_fields_make_the_transcript_parser_raise(content: Any, stamp: Any, uuid: Any, block: Any) -> None:
    for data in (content, [content, {"type": "tool_use", "input": block, "id": uuid}, {"type": "tool_result", "content": block}]):
        sound(parse("claude-code", said(timestamp=stamp, uuid=uuid) + said(message={"content": data}, uuid=uuid)))


@given(TREES, TREES, TREES, TREES)
def test_no_odd_fields_make_the_export_parser_raise(content: Any, stamp: Any, parent: Any, about: Any) -> None:
    tree = conversation("a", "b")
    tree["mapping"]["n1"] = {"parent": parent, "message": {"author": about, "create_time": stamp, "content": content}}
    odd = {
        "parent": "n0",
        "message": {"author": {"role": "user"}, "create_time": stamp, "content": {"parts": content}, "metadata": about},
    }
    sound(parse("chatgpt", json.dumps([tree, conversation(mapping={"n0": odd, "n1": content}, current_node=parent)]).encode()))


@given(st.binary(max_size=200))
def test_detection_names_a_format_or_refuses(head: bytes) -> None:
    with suppress(Unrecognised):
        assert detect(head).name in FILES
