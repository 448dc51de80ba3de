"""The walk and the comparison with gold: pure functions, on a made-up table of contents."""

from collections.abc import Mapping

from msgspec.structs import replace

from agent_memory.contracts.records import TimelineEvent
from agent_memory.contracts.toc import Bullet, Grip, NodeLevel, Span, TocNode
from recall.conversations import Conversation, Fact, Turn
from walks.gold import Anchored, anchored, covered, facts_quoted, inexact, keywords_shared
from walks.report import coverage, summed
from walks.tree import Expanded, Tree
from walks.walking import flat, parts, walk

TEXTS = {f"D1:{number}": text for number, text in enumerate(("Hello.", "I bought a boat.", "A red boat?", "Yes, and a dog."), 1)}
TURNS = [Turn(name, "session_1", number, text) for number, (name, text) in enumerate(TEXTS.items())]
EVENTS = {turn.id: TimelineEvent(event_id=turn.id, session_id=turn.session, timestamp_ms=0, text=turn.text) for turn in TURNS}
TALK = Conversation(
    "talk",
    TURNS,
    [],
    [Fact("has a boat", frozenset({"D1:2", "D1:3"})), Fact("a dog", frozenset({"D1:4"}))],
    {"session_1": "A boat."},
)


def node(node_id: str, level: NodeLevel, *bullets: Bullet, **given: object) -> TocNode:
    made: dict[str, object] = {"title": node_id, "summary": f"about {node_id}", "start_time_ms": 0, "end_time_ms": 0, **given}
    return TocNode(node_id=node_id, level=level, bullets=bullets, **made)  # type: ignore[arg-type]


def grip(name: str, turn: str, excerpt: str, before: str = "", after: str = "", *, session: str = "session_1") -> Expanded:
    start = TEXTS[turn].find(excerpt)
    span = Span(event_id=turn, start=start, end=start + len(excerpt))
    found = Grip(grip_id=name, session_id=session, node_id="s", excerpt=excerpt, spans=(span,), timestamp_ms=0)
    beside = [tuple(EVENTS[one] for one in names.split()) for names in (before, after)]
    return Expanded(found, beside[0], (EVENTS[turn],), beside[1])


def changed(**given: object) -> Expanded:
    """The grip of the boat, with something else in it."""
    return Expanded(replace(grip("boat", "D1:2", "a boat").grip, **given), (), (), ())


def tree(boat: Expanded | None = None) -> Tree:
    bought, dog = Bullet(text="A boat was bought", grip_ids=("boat",)), Bullet(text="There is a dog", grip_ids=("dog",))
    segment = node("s", "segment", bought, dog, keywords=("boat", "red dog"), session_id="session_1")
    return Tree(
        {"": [node("2025", "year", bought), node("2024", "year")], "2025": [segment], "2024": []},
        {"boat": boat or grip("boat", "D1:2", "a boat", "D1:1", "D1:3 D1:4"), "dog": grip("dog", "D1:4", "a dog")},
    )


def near(of: Tree, **scores: float) -> Mapping[str, float]:
    """Texts that begin with a word are as near as given, others not at all."""
    texts = {text for each in of.nodes() for text in parts(each)}
    return {text: next((score for word, score in scores.items() if word in text), 0.0) for text in texts}


def characters(text: str) -> int:
    return len(text)


def test_a_walk_goes_first_where_it_is_most_like_the_question_and_reads_from_the_grip_outwards() -> None:
    of = tree()
    whole = walk(of, near(of, boat=0.9), characters, budget=1_000, count_nodes=False)
    assert (whole.turns, whole.nodes, whole.tokens) == (set(TEXTS), 3, sum(map(len, TEXTS.values())))
    first = walk(of, near(of, boat=0.9), characters, budget=len("I bought a boat.Hello."), count_nodes=False)
    assert first.turns == {"D1:2", "D1:1"}
    deep = walk(of, {**near(of), "about 2025": 0.9, "There is a dog": 0.8}, characters, budget=15, count_nodes=False)
    assert (deep.turns, deep.nodes) == ({"D1:4"}, 3)


def test_what_is_shown_counts_where_everything_does() -> None:
    of = tree()
    years = sum(len(text) for each in of.children[""] for text in parts(each))
    read = walk(of, near(of, boat=0.9), characters, budget=years + 16, count_nodes=True)
    assert (read.turns, read.nodes, read.tokens) == ({"D1:2"}, 2, years + 16)
    assert walk(of, near(of), characters, budget=3, count_nodes=True).nodes == 0


def test_a_search_is_read_from_the_best_on_until_one_does_not_fit() -> None:
    assert flat([EVENTS["D1:1"], EVENTS["D1:2"], EVENTS["D1:3"]], characters, budget=17).turns == {"D1:1"}


def test_bullets_and_facts_are_held_against_the_turns_they_quote() -> None:
    found = summed([*anchored(tree(), TALK), *anchored(tree(), Conversation("other", TURNS, []))])
    assert found[0] == Anchored("segment", 4, 2)
    assert found[-1] == Anchored("year", 2, 1)
    assert facts_quoted(tree(), TALK) == 2


def test_a_grip_that_is_not_what_was_said_is_named() -> None:
    assert list(inexact(tree(), TALK)) == []
    for wrong in (
        grip("boat", "D1:2", "a boat.", session="session_2"),
        changed(excerpt="a ship"),
        changed(spans=(Span(event_id="D9:9", start=0, end=6),)),
    ):
        assert [one.node_id for one in inexact(tree(wrong), TALK)] == ["s"]
    bare = Tree({"": [node("2025", "year", Bullet(text="Nobody said so"))]}, {})
    assert [one.what for one in inexact(bare, TALK)] == ["no grip: Nobody said so"]


def test_what_is_written_about_a_session_is_held_against_its_summary_by_stems() -> None:
    found = {one.said_by: one.share for one in coverage(covered(tree(), TALK))}
    assert (found["keywords"], found["title and summary"], found["bullets"], found["all that was said"]) == (1.0, 0.0, 1.0, 1.0)
    assert keywords_shared(tree(), TALK) == (2, 1)
