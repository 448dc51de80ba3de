"""`agent-memory timeline search` as it is typed, against a small timeline; and that `agent-memory timeline` is none the wiser."""

from collections.abc import Iterator

import pytest

from agent_memory.cli.output import CommandError
from agent_memory.cli.timeline_search import time_of
from agent_memory.contracts.proto import memory_pb2 as pb
from support.small_timeline import SmallTimeline, small_timeline
from support.typed import Typed

NOON = 1_769_774_400_000
"""2026-01-30 12:00 UTC."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallTimeline]:
    monkeypatch.delenv("AGENT_MEMORY_URL", raising=False)
    with small_timeline() as service:
        monkeypatch.setenv("MEMORY_ENDPOINT", service.endpoint)
        service.nodes["toc:year:2026"] = pb.TocNode(
            node_id="toc:year:2026", level=pb.TOC_LEVEL_YEAR, title="2026", summary="The ferry [to Brac].", start_time_ms=NOON
        )
        for number, text in enumerate(["the ferry\nleaves \x1b[31mat nine", "a train", f"ferry {'x' * 900}"]):
            service.events[f"e{number}"] = pb.Event(
                event_id=f"e{number}", session_id="s", timestamp_ms=NOON, event_type=pb.EVENT_TYPE_USER_MESSAGE, text=text
            )
        yield service


def test_what_is_found_is_a_line_each_where_nobody_watches(typed: Typed, service: SmallTimeline) -> None:
    heading, node, said, long = typed("timeline", "search", "ferry").out.splitlines()
    assert heading.split() == ["score", "kind", "when", "(UTC)", "id", "text"]
    assert node.split()[:2] == ["1.000", "node"]
    assert node.endswith("toc:year:2026  2026: The ferry [to Brac].")
    assert said == "0.500  event  2026-01-30 12:00:00  e0             user: the ferry leaves [31mat nine"
    assert long.endswith("xx…")
    assert len(long) < 500


def test_programs_get_the_whole_matches(typed: Typed, service: SmallTimeline) -> None:
    node, *events = typed("timeline", "search", "ferry", "--json").json
    assert (node["kind"], node["node"]["title"], node["event"]) == ("node", "2026", None)
    assert [(one["event"]["event_id"], len(one["text"])) for one in events] == [("e0", 29), ("e2", 906)]
    assert typed("timeline", "search", "no such words", "--json").json == []
    assert typed("timeline", "search", "no such words").out == "nothing is found\n"


def test_what_is_asked_for_is_what_was_typed(typed: Typed, service: SmallTimeline) -> None:
    typed("timeline", "search", "ferry")
    found = typed(
        *("timeline", "search", "ferry", "--kind", "event", "--kind", "grip", "--mode", "keyword", "--session-id", "s"),
        *("--from", "2026-01-30T13:00:00+01:00", "--to", "2026-01-30", "--limit", "1", "-n", "work", "-u", "nadia", "--json"),
    )
    assert [one["id"] for one in found.json] == ["e0"]
    anything, asked = service.searched
    assert (list(anything.kinds), anything.limit, anything.mode) == (["node", "grip", "event"], 10, "hybrid")
    assert not anything.HasField("from_timestamp_ms")
    assert not anything.HasField("to_timestamp_ms")
    assert (list(asked.kinds), asked.limit, asked.mode, asked.session_id) == (["grip", "event"], 1, "keyword", "s")
    assert (asked.from_timestamp_ms, asked.to_timestamp_ms) == (NOON, NOON + 12 * 3_600_000 - 1)
    metadata = service.metadata_of("SearchTimeline")[1]
    assert (metadata["x-namespace"], metadata["x-user-id"]) == ("work", "nadia")


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2026-01-30", NOON - 12 * 3_600_000, NOON + 12 * 3_600_000 - 1),
        ("2026-01-30T12:00:00Z", NOON, NOON),
        ("2026-01-30 12:00", NOON, NOON),
        (f" {NOON} ", NOON, NOON),
        ("-5", -5, -5),
        ("0001-01-01", -62_135_596_800_000, -62_135_510_400_001),
        ("9" * 25, 8_210_266_876_799_999, 8_210_266_876_799_999),
    ],
)
def test_a_time_is_a_moment_and_a_day_both_of_its_ends(text: str, first: int, last: int) -> None:
    assert (time_of("--from", text), time_of("--to", text, last=True)) == (first, last)


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "2026-02-30T10:00", "+-5", "10:00", "\x002026-01-01", "٢٠٢٦-٠١-٠١"])
def test_a_time_that_is_none_is_wrong_usage_in_one_line(text: str) -> None:
    with pytest.raises(CommandError) as refused:
        time_of("--from", text)
    assert (refused.value.code, refused.value.text) == (2, f"--from {text!r} is no time")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("search", "x", "--to", "2026-13-01"), "error: --to '2026-13-01' is no time"),
        (("search", "x", "--from", "2026-01-02", "--to", "2026-01-01"), "error: --to is before --from"),
        (("search", " "), "error: QUERY is empty"),
        (("search", "x", "--limit", "0"), "Invalid value for '--limit'"),
        (("search", "x", "--kind", "year"), "'year' is not one of 'node', 'grip', 'event'"),
        (("--endpoint", "http://127.0.0.1:99999"), "hint: --endpoint http://host:port"),
        (("search",), "`agent-memory timeline search --help` shows"),
        (("-n", "work", "search", "x"), "options of 'search' come after it"),
        (("toc:year:2026", "more"), "No such command 'more'"),
    ],
)
def test_wrong_usage_is_told(typed: Typed, service: SmallTimeline, arguments: tuple[str, ...], error: str) -> None:
    ran = typed("timeline", *arguments)
    assert (ran.code, ran.out, service.methods()) == (2, "", [])
    assert error in ran.err


@pytest.mark.parametrize("arguments", [("timeline",), ("timeline", "search", "ferry")])
def test_where_nothing_runs_the_program_names_its_own_command(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.delenv("AGENT_MEMORY_URL", raising=False)
    monkeypatch.delenv("AGENT_MEMORY_PROGRAM", raising=False)
    ran = typed(*arguments, "--endpoint", "http://127.0.0.1:1")
    assert ran.code == 3
    assert "start with: agent-memory up (endpoint: http://127.0.0.1:1)" in ran.err
    monkeypatch.setenv("AGENT_MEMORY_PROGRAM", "./run cli")
    assert "start with: ./run cli up (" in typed(*arguments, "--endpoint", "http://127.0.0.1:1").err


@pytest.mark.parametrize(
    "arguments",
    [("toc:year:2026", "--titles"), ("--titles", "toc:year:2026"), ("-d", "1", "--titles", "--", "toc:year:2026"), ("--titles",)],
)
def test_every_other_word_is_a_node_wherever_it_stands(typed: Typed, service: SmallTimeline, arguments: tuple[str, ...]) -> None:
    assert typed("timeline", *arguments).out == "2026  (0)  toc:year:2026\n"
    assert typed("timeline", "toc:year:1999").err.startswith("error: Node not found: toc:year:1999\n")
