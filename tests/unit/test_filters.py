"""Filters as queries: what is written into them can never be more than a value."""

import re

from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.queries import MemoryFilters, SearchTimeline, TagFilter
from agent_memory.contracts.records import Scope
from agent_memory.readmodels.documents import prefix, tag
from agent_memory.readmodels.filters import compile_filters, compile_timeline

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def test_no_filter_leaves_the_tenant_alone() -> None:
    assert compile_filters("acme", MemoryFilters()) == "@tenant:{vacme}"
    assert compile_filters("acme", MemoryFilters(topics=TagFilter())) == "@tenant:{vacme}"


def test_all_operators_of_one_filter_are_kept() -> None:
    topics = TagFilter(all=["a", "b"], not_in=["c"], startswith="d", none=False)
    compiled = compile_filters("t", MemoryFilters(topics=topics))
    assert compiled == "@tenant:{vt} @topics:{va} @topics:{vb} -@topics:{vc} @topics:{vd*} -ismissing(@topics)"


def test_a_session_and_times_narrow_a_timeline_to_their_both_ends() -> None:
    query = SearchTimeline(scope=Scope(tenant="t"), text="x", session_id="s-1", from_ms=-5, to_ms=7)
    assert compile_timeline(query) == "@scope:{vt_2F_2F} @session_id:{vs_2D1} @timestamp_ms:[-5 7]"


@given(TEXT)
def test_a_tag_holds_letters_and_digits_only(value: str) -> None:
    assert re.fullmatch(r"v(?:[A-Za-z0-9]|_[0-9A-F]{2})*(?:_h[0-9a-f]{64})?", tag(value))


@given(TEXT, TEXT)
def test_tags_are_equal_only_when_values_are_and_keep_prefixes(one: str, other: str) -> None:
    assert (tag(one) == tag(other)) == (one == other)
    assert tag(one + other).startswith(prefix(one))
    assert tag(one).startswith(prefix(other)) == one.startswith(other)


def test_values_too_long_for_the_index_are_still_told_apart() -> None:
    assert tag("x" * 5000) != tag("x" * 5001)
    assert len(tag("é" * 5000)) < 1100
