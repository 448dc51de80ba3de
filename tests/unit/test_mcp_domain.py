"""Whose memory a request is about, what filters mean, which pages may call: decided without anybody else."""

import json
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.client import errors
from agent_memory.mcp.calls import Caller, Written
from agent_memory.mcp.domain import OWNERS, Misused, Place, address_of, filters_of, one_name, owned
from agent_memory.mcp.errors import advice
from agent_memory.mcp.halves import made_whole
from agent_memory.mcp.origins import page_may_call
from agent_memory.mcp.outlines import week_node
from agent_memory.mcp.permissions import needed
from agent_memory.mcp.settings import load_mcp, mode_of
from agent_memory.runtime.settings import SettingsError

names = st.text(min_size=1, max_size=20).filter(lambda name: "\0" not in name)
filters = st.one_of(
    names,
    st.lists(names, min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["eq", "ne", "startswith"]), names, min_size=1),
    st.fixed_dictionaries({"any": st.lists(names, min_size=1)}),
)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/mcp", ("/mcp", "", {})),
        ("/mcp/", ("/mcp", "", {})),
        ("/work/mcp", ("/mcp", "/work", {"namespace": "work"})),
        ("/work/ana/mcp", ("/mcp", "/work/ana", {"namespace": "work", "user_id": "ana"})),
        ("/zo%C3%AB/mcp", ("/mcp", "/zoë", {"namespace": "zoë"})),
        ("/mcp/mcp", ("/mcp", "/mcp", {"namespace": "mcp"})),
    ],
)
def test_a_path_names_namespace_and_user_before_the_endpoint(path: str, found: tuple[str, str, dict[str, str]]) -> None:
    address = address_of(path, ["/mcp"])
    assert address is not None
    assert (address.endpoint, address.prefix, address.fixed) == found


@pytest.mark.parametrize(
    "path", ["/", "", "/sse", "/a/b/c/mcp", "//mcp", "/a%2Fb/mcp", "/a%00/mcp", "/xmcp", "/mcp/tools", "/%FF/mcp"]
)
def test_any_other_path_leads_nowhere(path: str) -> None:
    assert address_of(path, ["/mcp"]) is None


@given(fixed=names, asked=filters, field=st.sampled_from(OWNERS))
def test_a_search_never_reaches_beyond_what_the_url_names(fixed: str, asked: Any, field: str) -> None:
    place = Place(fixed={field: fixed}, usual={field: "usual"})
    if asked in (fixed, {"eq": fixed}, [fixed], {"any": [fixed]}):
        assert filters_of(place, {field: asked}, None)[field] == {"eq": fixed}
    else:
        with pytest.raises(Misused, match=f"leave out `{field}`"):
            filters_of(place, {field: asked}, None)
    assert filters_of(place, {}, {field: None})[field] == {"eq": fixed}


@given(fixed=names, asked=names)
def test_nothing_is_stored_for_somebody_else(fixed: str, asked: str) -> None:
    place = Place(fixed={"namespace": fixed})
    assert owned(place, [{"text": "x"}]) == [{"text": "x", "namespace": fixed}]
    if asked == fixed:
        assert owned(place, [{"text": "x", "namespace": asked}])[0]["namespace"] == fixed
    else:
        with pytest.raises(Misused):
            owned(place, [{"text": "x"}, {"text": "y", "namespace": asked}])


def test_what_is_usual_holds_where_nothing_is_named() -> None:
    place = Place(usual={"namespace": "home", "user_id": "ana"})
    assert filters_of(place, {"topics": ["a"]}, {"user_id": {"ne": "bo"}}) == {
        "topics": {"any": ["a"]},
        "namespace": {"eq": "home"},
        "user_id": {"ne": "bo"},
    }
    assert owned(place, [{"text": "x", "namespace": "work", "id": None}]) == [{"text": "x", "namespace": "work", "user_id": "ana"}]
    assert place.holds({"namespace": "anything"})


def test_what_older_clients_put_beside_operators_is_left_out() -> None:
    given = {"topics": {"field": "topics", "any": ["a"], "eq": None}, "memory_type": {"enum_class": None, "eq": "semantic"}}
    assert filters_of(Place(), given, None) == {"topics": {"any": ["a"]}, "memory_type": {"eq": "semantic"}}


def test_the_single_name_of_a_filter() -> None:
    assert [one_name(one) for one in ({"eq": "a"}, {"any": ["a"]}, {"any": ["a", "b"]}, {"startswith": "a"})] == [
        "a",
        "a",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("origin", "host", "may"),
    [
        (None, "memory.example", True),
        ("http://localhost:6274", "127.0.0.1:9000", True),
        ("http://[::1]:1", "localhost:9000", True),
        ("https://app.example", "memory.example", True),
        ("https://APP.example/", "memory.example", True),
        ("https://app.example:444", "memory.example", False),
        ("http://evil.example:9000", "evil.example:9000", False),
        ("http://evil.example", "127.0.0.1:9000", False),
        ("http://localhost.evil.example", "127.0.0.1:9000", False),
        ("http://localhost:6274", "memory.example", False),
        ("null", "127.0.0.1:9000", False),
        ("http://[", "127.0.0.1:9000", False),
    ],
)
def test_pages_of_elsewhere_may_not_call(origin: str | None, host: str, may: bool) -> None:
    assert page_may_call(origin, host, ["https://app.example"]) is may


def test_a_caller_reads_its_own_writes_and_waits_for_nobody_elses() -> None:
    written, ana, bo = Written(), Caller(identity="ana"), Caller(identity="bo")
    for position in (7, 9, 8):
        written.note(ana, position)
    assert (written.of(ana), written.of(bo)) == (9, None)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors.ConnectionFailed("refused"), "`agent-memory up --detach` starts it"),
        (errors.InvalidRequest("too long", status=422, field="text"), "too long (field text). Correct that"),
        (errors.NotFound("no such memory", status=404), "no such memory. Look for the right id"),
        (errors.Unauthorized("Invalid token", status=401), "AGENT_MEMORY_TOKEN"),
        (errors.Forbidden("out of reach", status=403), "out of reach. This connection's credential"),
        (errors.Conflict("changed", status=409), "read it again"),
        (errors.ServerUnavailable("ingest is down", status=503), "ingest is down. A part of the memory server is down"),
        (errors.ServerError("oops", status=500), "`agent-memory doctor`"),
    ],
)
def test_every_failure_says_what_to_do(error: errors.MemoryClientError, told: str) -> None:
    assert told in advice(error, "http://127.0.0.1:8000")


def test_started_by_itself_it_asks_where_the_memory_server_is() -> None:
    with pytest.raises(SettingsError, match="AGENT_MEMORY_URL must be set"):
        load_mcp(mode_of([]), {"AGENT_MEMORY_TOKEN": "t"})
    found = load_mcp(mode_of(["--mode", "sse"]), {"AGENT_MEMORY_URL": "http://memory:8000/"})
    assert (found.mode, found.server, found.token) == ("sse", "http://memory:8000", None)
    with pytest.raises(SettingsError, match="without /v1 behind it"):
        load_mcp("stdio", {"AGENT_MEMORY_URL": "http://memory:8000/v1/"})


@pytest.mark.parametrize(
    ("week", "node"), [("2026-W05", "2026-W05"), ("toc:week:2026-W5", "2026-W05"), (" 2020w53 ", "2020-W53"), ("", "2026-W05")]
)
def test_a_week_is_named_as_people_write_it(week: str, node: str) -> None:
    assert week_node(week, date(2026, 1, 30)) == f"toc:week:{node}"


@pytest.mark.parametrize("week", ["last", "2026-W54", "2026-W0", "2026-05"])
def test_what_is_no_week_is_told_with_what_would_be_one(week: str) -> None:
    with pytest.raises(Misused, match="say 2026-W05"):
        week_node(week, date(2026, 1, 30))


@pytest.mark.parametrize(
    ("body", "permission"),
    [
        (b"", "read"),
        (b"no json", "read"),
        (b'{"method": "tools/list"}', "read"),
        (b'{"method": "tools/call", "params": {"name": "forget"}}', "write"),
        (b'{"method": "tools/call", "params": {"name": "nobody knows"}}', "read"),
        (b'{"method": "tools/call", "params": []}', "read"),
        (b'[{"method": "ping"}, {"method": "tools/call", "params": {"name": "forget"}}, 7]', "write"),
        (b"[]", "read"),
    ],
)
def test_what_a_request_needs_stands_in_its_body(body: bytes, permission: str) -> None:
    assert needed(body, {"forget": "write", "search": "read"}) == permission


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (rb'"\ud83d"', "\ufffd"),
        (rb'"\uD83D\uDE00 \ude00\ud83d!"', "\U0001f600 \ufffd\ufffd!"),
        (rb'"\\ud83d \\\ud83d"', "\\ud83d \\\ufffd"),
        (rb'"\u00e9\n\"\ud83d\ud83d\ude00"', '\u00e9\n"\ufffd\U0001f600'),
        (rb'"plain \u00e9"', "plain \u00e9"),
    ],
)
def test_half_a_character_is_read_as_one_that_is_not_known(said: bytes, read: str) -> None:
    assert len(made_whole(said)) == len(said)
    assert msgspec.json.decode(made_whole(said)) == read


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_a_client_writes_can_be_read(text: str) -> None:
    written = json.dumps(text)
    whole = written.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert msgspec.json.decode(made_whole(whole.encode())) == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
