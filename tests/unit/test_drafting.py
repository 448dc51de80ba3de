"""Segments and periods put into words without a model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.toc import Bullet
from agent_memory.runtime.embed_hash import HashEmbedder
from agent_memory.runtime.embed_vectors import unpacked
from agent_memory.summarizer.draft_text import joined, spans
from agent_memory.summarizer.drafting import (
    ChildDraft,
    Said,
    SegmentDraft,
    draft_period,
    draft_segment,
    readable,
    worth_reading,
)
from agent_memory.summarizer.extractive import sentence_spans

EMBEDDER = HashEmbedder(64)
ANY_TEXT = st.text(max_size=300) | st.lists(
    st.sampled_from(
        [*"ab .!?\n-*`[](){}'\"", "👩‍👩‍👧", "🇩🇪", "e\u0301", "한", "的", "库", "ひ", "カ", "ש", "م", "ि", "क", "\u200d"]
    ),
    max_size=100,
).map("".join)
TYPES = st.sampled_from(["user_message", "assistant_message", "tool_result", "session_start", "session_end"])


def said(*texts: str, kind: str = "user_message") -> list[Said]:
    return [
        Said(event_id=f"e{number}", timestamp_ms=number, event_type=kind, role="user", text=text)
        for number, text in enumerate(texts)
    ]


def drafted(events: list[Said]) -> SegmentDraft:
    read = worth_reading(events)
    return draft_segment(
        events, unpacked(EMBEDDER.vectors([readable(one) for one in read])) if read else np.zeros((0, 64), np.float32)
    )


def excerpts(draft: SegmentDraft, events: list[Said]) -> list[str]:
    texts = {one.event_id: one.text for one in events}
    return [texts[span.event_id][span.start : span.end] for one in draft.bullets for quote in one.quotes for span in quote.spans]


RUST = said(
    "Hey! How are you?",
    "Can you explain how ownership works in Rust?",
    "Rust ownership means that every value has exactly one owner. The value is dropped when its owner goes out of scope.",
    "I see, thanks!",
    "The borrow checker rejects two mutable references to the same value at once.",
    "```rust\nlet x = vec![1];\nlet y = &mut x;\n```",
    "We decided to use lifetimes in the parser of our billing service by 12 March.",
    "ok",
)


def test_a_segment_has_a_title_a_summary_bullets_and_keywords_that_speak_of_it() -> None:
    draft = drafted(RUST)
    assert "rust" in draft.title.lower()
    assert 2 <= len(draft.title.split()) <= 6
    assert draft.summary.endswith(".")
    assert 3 <= len(draft.bullets) <= 5
    assert 3 <= len(draft.keywords) <= 7
    assert next(iter(draft.keywords.values())) == 1
    assert all(word == word.lower() for word in draft.keywords)
    assert draft.made_by == "extractive"


def test_a_summary_is_the_best_bullet_and_what_no_bullet_says_in_the_order_in_which_it_was_said() -> None:
    places = ("Berlin", "Hamburg", "Lisbon", "Porto", "Kyoto", "Osaka", "Lyon")
    events = said(*(f"The office in {place} opens its own warehouse for {place} on Monday." for place in places))
    draft = drafted(events)
    told = [one for one in events if one.text in draft.summary]
    assert draft.summary == " ".join(one.text for one in told)
    assert len(told) == 3
    assert {bullet.text for bullet in draft.bullets} & {one.text for one in told} == {draft.bullets[0].text}
    few = said("The office in Porto opens on Monday.", "The warehouse in Kyoto is closed.")
    assert drafted(few).summary == " ".join(one.text for one in few)


def test_bullets_are_whole_sentences_and_no_boilerplate_or_code() -> None:
    draft = drafted(RUST)
    for excerpt in excerpts(draft, RUST):
        assert excerpt.endswith(".")
        assert not any(word in excerpt for word in ("vec!", "thanks", "How are", "ok"))


@pytest.mark.parametrize(
    "text",
    [
        'Traceback (most recent call last):\n  File "a.py", line 3, in main\nValueError: no such thing as this',
        '{"status": "the deployment of the billing service failed", "code": 3}',
        "```\nthe deployment of the billing service failed\n```",
        "java.lang.IllegalStateException: connection pool exhausted\n    at com.example.Pool.take(Pool.java:31)",
        "const total = prices.reduce((sum, price) => sum + price, 0);",
        "2026-01-30 10:00:00 INFO the deployment of the billing service began",
        "ok",
        "Thanks!",
        "Sure, I'll look at that.",
        "Hello, how are you today?",
        "Danke, alles klar!",
        "Obrigado, até logo!",
        "👍",
    ],
)
def test_what_nobody_would_look_for_is_no_bullet(text: str) -> None:
    draft = drafted(said(text))
    assert draft.bullets == ()
    assert draft.title
    assert draft.summary


def test_nothing_but_markers_has_a_title_and_no_bullets() -> None:
    draft = drafted(said("", "  ", kind="session_start"))
    assert (draft.title, draft.bullets, draft.keywords) == ("Session without messages", (), {})
    assert drafted([]).title == draft.title


def test_a_note_of_what_was_sent_along_is_no_bullet_and_names_nothing() -> None:
    events = said(
        "The vet looked at the puppy on Monday. [image: a photo of a dog on a brown couch]",
        "[image: a photo of a couch] The puppy chews the couch. [Image #2]",
        "[image: a photo of a brown couch]",
        "See the [file list](https://example.org) of the vet.",
    )
    draft = drafted(events)
    assert not {"photo", "image", "brown"} & set(f"{draft.title} {draft.summary} {' '.join(draft.keywords)}".lower().split())
    assert set(excerpts(draft, events)) == {
        "The vet looked at the puppy on Monday.",
        "The puppy chews the couch.",
        "See the [file list](https://example.org) of the vet.",
    }


def test_where_nothing_was_said_it_tells_what_is_to_be_seen_on_what_was_sent_along() -> None:
    events = said("[image: a photo of a dog on a couch]", "Ann: [image: the vet with a puppy]", "[image image/png]", "[Image #3]")
    draft = drafted(events)
    assert sorted(excerpts(draft, events)) == ["a photo of a dog on a couch", "the vet with a puppy"]
    assert draft.title != drafted(events[2:]).title


def test_notes_without_an_end_are_read_in_no_more_time_than_other_text() -> None:
    (event,) = said(("[image:" + " " * 480) * 40 + "] The puppy chews the couch.")
    assert excerpts(drafted([event]), [event]) == ["The puppy chews the couch."]


def test_one_event_is_one_bullet() -> None:
    assert len(drafted(said("The database migration is rolled back on Friday. The replica keeps its data.")).bullets) == 1


def test_a_long_event_has_more() -> None:
    places = ("Berlin", "Hamburg", "Lisbon", "Porto", "Kyoto", "Osaka", "Lyon", "Turin", "Graz")
    assert len(drafted(said(" ".join(f"The office in {place} opens its own warehouse." for place in places))).bullets) == 2


def test_what_has_no_words_that_can_be_told_is_titled_by_its_beginning() -> None:
    draft = drafted(said("การย้ายฐานข้อมูลจะเริ่มในวันจันทร์หน้าเวลาเก้าโมงเช้าตามแผนที่ตกลงกันไว้กับทีมปฏิบัติการแล้ว"))
    assert draft.bullets[0].text.startswith(draft.title)
    assert len(draft.title) <= 60


@pytest.mark.parametrize(
    ("texts", "word"),
    [
        (
            ("Wir haben gestern die Datenbankmigration besprochen.", "Die Datenbankmigration beginnt am Montag um neun Uhr."),
            "datenbankmigration",
        ),
        (("A equipe decidiu adiar a migração do banco de dados.", "A migração do servidor começa na segunda-feira."), "migração"),
        (("我们决定下周迁移数据库。", "数据库的备份已经完成了。"), "数据库"),
        (("データベースの移行は来週始まります。", "バックアップとデータベースを確認しました。"), "データベース"),
        (("Мы решили перенести миграцию базы данных.", "Резервная копия базы данных готова к понедельнику."), "данных"),
    ],
)
def test_other_languages_and_scripts_have_key_phrases_and_bullets(texts: tuple[str, ...], word: str) -> None:
    draft = drafted(said(*texts))
    assert any(word in keyword for keyword in draft.keywords)
    assert len(draft.bullets) == len(texts)
    assert word in draft.title.lower()


def test_a_title_names_things_before_what_they_are_like_or_do() -> None:
    draft = drafted(
        said(
            "The pottery class makes me creative.",
            "I feel creative in the pottery class.",
            "We get creative and the bowl is done.",
            "She is creative, and the bowl was sold.",
        )
    )
    assert draft.title == "Pottery class and bowl"
    assert "creative" in draft.keywords


def test_a_title_keeps_what_is_one_name() -> None:
    assert drafted(said("We flew to New York City in May.", "The hotel in New York City was small.")).title.startswith(
        "New York City"
    )
    clock = drafted(said("The test fails because expires_at is rounded.", "A migration gives expires_at six digits."))
    assert "expires_at" in clock.title
    assert "expires_at" in clock.keywords


def test_pictures_numbers_and_units_are_in_no_title() -> None:
    draft = drafted(
        said(
            "Here is the photo of the harbour, eleven km from the house.",
            "The photo shows the harbour and eleven boats.",
            "The photo was taken in the harbour, ten km away.",
        )
    )
    assert draft.title.startswith("Harbour")
    assert not {"photo", "km", "ten", "eleven"} & set(draft.title.lower().split())


def test_names_of_those_who_are_spoken_to_are_not_what_it_is_about() -> None:
    draft = drafted(
        said("Hey Melanie, the adoption agency called.", "Great, Caroline! The adoption agency sounds right.", "Thanks, Melanie!")
    )
    assert next(iter(draft.keywords)) == "adoption agency"
    assert "Melanie" not in draft.title


def test_who_speaks_is_not_part_of_what_is_said_and_names_nothing() -> None:
    events = said(
        "Ann: The adoption agency called on Monday.",
        "Bob Lee: Note: the interview is in March.",
        "Ann: Bob and Ann bring the papers to the agency.",
        "Ann: Thanks!",
    )
    draft = drafted(events)
    assert set(excerpts(draft, events)) == {
        "The adoption agency called on Monday.",
        "Note: the interview is in March.",
        "Bob and Ann bring the papers to the agency.",
    }
    assert "Ann:" not in draft.summary
    assert not {"ann", "bob"} & set(draft.title.lower().split())


def test_a_word_and_a_colon_before_a_sentence_is_nobody_who_speaks() -> None:
    events = said(
        "Decision: we move the database to Frankfurt.", "Postgres: it refuses two claims.", "The cut-over is in May.", "ok", "ok"
    )
    assert {"Decision: we move the database to Frankfurt.", "Postgres: it refuses two claims."} <= set(
        excerpts(drafted(events), events)
    )


def test_facts_come_before_praise_thanks_and_what_is_said_of_the_other_one() -> None:
    facts = (
        "We sold the harbour house in Gdynia last week.",
        "I signed the contract of the harbour house on Monday.",
        "The bank paid for the harbour house on 12 May.",
        "My sister moved to Gdynia yesterday.",
    )
    kind = (
        "Your harbour house in Gdynia is so inspiring to see!",
        "Thanks for telling about the harbour house in Gdynia!",
        "You always find the best harbour house for your family.",
        "Let's keep the harbour house in Gdynia in mind!",
    )
    events = said(*(text for pair in zip(kind, facts, strict=True) for text in pair))
    assert set(excerpts(drafted(events), events)) <= set(facts)


def test_somebody_who_tells_of_himself_comes_before_one_who_speaks_of_the_other() -> None:
    events = said("I like that your sister opens her boat yard in Gdynia.", "I like that my sister opens her boat yard in Gdynia.")
    assert excerpts(drafted(events), events)[0] == events[1].text


def test_a_sentence_is_not_shown_with_a_courtesy_beside_it() -> None:
    events = said("Thanks, Melanie! This necklace was a gift from my grandmother in Sweden. You are so kind!")
    assert excerpts(drafted(events), events) == ["This necklace was a gift from my grandmother in Sweden."]


def test_sentences_of_scripts_with_and_without_spaces_are_parted_as_these_are() -> None:
    assert joined(["数据库已经迁移。", "备份完成了。", "The replica stays"]) == "数据库已经迁移。备份完成了。 The replica stays."


def test_a_tools_result_is_read_up_to_the_border_of_a_character() -> None:
    family = "👩‍👩‍👧"
    (event,) = said("x" * 998 + family, kind="tool_result")
    assert readable(event) == "x" * 998
    (flags,) = said("x" * 999 + "🇩🇪🇫🇷", kind="tool_result")
    assert readable(flags) == "x" * 999
    (accent,) = said("x" * 999 + "e\u0301", kind="tool_result")
    assert readable(accent) == "x" * 999


def test_what_begins_with_more_white_space_than_is_read_says_nothing() -> None:
    (event,) = said(" " * 1_000 + "x", kind="tool_result")
    assert readable(event) == ""
    assert drafted([event]).bullets == ()


def test_list_markers_and_emphasis_are_not_in_a_bullets_text_but_its_excerpt_is_exact() -> None:
    events = said("1. The **billing service** moves to [Frankfurt](https://example.org/x) in March.")
    (bullet,) = drafted(events).bullets
    assert bullet.text == "The billing service moves to Frankfurt in March."
    assert excerpts(drafted(events), events) == ["The **billing service** moves to [Frankfurt](https://example.org/x) in March."]


def test_a_sentence_of_a_summary_begins_with_a_capital_but_a_name_from_code_stays_what_it_is() -> None:
    assert drafted(said("the database moves to Frankfurt on Monday.")).summary == "The database moves to Frankfurt on Monday."
    for name in ("settings.py", "hold_seconds", "iPhone", "render()", "web/api", "int64"):
        assert drafted(said(f"{name} is what the deployment of the database reads.")).summary.startswith(f"{name} is")


def test_a_sentence_without_an_end_is_cut_after_a_word() -> None:
    events = said("The migration plan names " + "another database server and " * 40)
    (bullet,) = drafted(events).bullets
    assert bullet.text.endswith(" …")
    (excerpt,) = excerpts(drafted(events), events)
    assert len(excerpt) <= 300
    assert events[0].text[len(excerpt)] == " "


def test_another_number_of_vectors_is_an_error_and_none_is_not() -> None:
    with pytest.raises(ValueError, match="1 vectors for 7 events"):
        draft_segment(RUST, np.ones((1, 4), np.float32))
    assert len(draft_segment(RUST, None).bullets) >= 3


@given(st.lists(st.tuples(ANY_TEXT, TYPES), max_size=6))
def test_whatever_was_said_spans_are_exact_and_begin_and_end_with_sentences(events: list[tuple[str, str]]) -> None:
    everything = [
        Said(event_id=str(number), timestamp_ms=number, event_type=kind, role="user", text=text)
        for number, (text, kind) in enumerate(events)
    ]
    draft = drafted(everything)
    assert draft == drafted(list(everything))
    assert draft.title
    assert draft.summary
    assert len(draft.bullets) <= 5
    texts = {one.event_id: one.text for one in everything}
    for bullet in draft.bullets:
        assert bullet.text
        (span,) = bullet.quotes[0].spans
        assert 0 <= span.start < span.end <= len(texts[span.event_id])
        excerpt = texts[span.event_id][span.start : span.end]
        assert excerpt == excerpt.strip()
        sentences = spans(next(one for one in everything if one.event_id == span.event_id))
        assert span.start in {start for start, _ in sentences}
        assert bullet.text.endswith(" …") or span.end in {end for _, end in sentences}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Dr. Meyer comes at 5 p.m. on Monday. Bring e.g. the invoice.", 2),
        ("Frau Schneider braucht ihn am 15. März. Danach nicht mehr.", 2),
        ("1. Stop the service.\n2. Run the migration.", 2),
        ("I met the supplier of the new machines in the\nafternoon. It went well.", 2),
        ("数据库已经迁移。备份完成了。", 2),
    ],
)
def test_a_full_stop_that_ends_no_sentence_parts_none(text: str, count: int) -> None:
    assert len(sentence_spans(text)) == count


def test_a_sentence_that_leans_on_the_one_before_is_shown_with_it() -> None:
    events = said("The migration script holds a lock on the orders table. That lock blocked the checkout for 12 minutes.")
    assert excerpts(drafted(events), events) == [events[0].text]


@given(ANY_TEXT)
def test_sentences_lie_in_order_and_all_that_is_between_them_is_white_space(text: str) -> None:
    spans = sentence_spans(text)
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    assert edges == sorted(edges)
    assert all(not text[end:start].strip() for end, start in zip(edges[::2], edges[1::2], strict=True))


def child(number: int, keywords: dict[str, float], *bullets: str, events: int = 10) -> ChildDraft:
    return ChildDraft(
        node_id=f"n{number}",
        title=f"Part {number}",
        summary=f"Part {number} begins well. It ends well.",
        bullets=tuple(Bullet(text=text, grip_ids=(f"grip:{number}-{at}",)) for at, text in enumerate(bullets)),
        keywords=keywords,
        events=events,
    )


PARTS = [
    child(1, {"rust ownership": 1.0, "parser": 0.4}, "Rust ownership makes the parser safe.", "The parser reads invoices."),
    child(2, {"database": 1.0, "rust ownership": 0.5}, "The database moves to Frankfurt.", "Rust ownership was explained again."),
    child(3, {"holiday": 1.0}, "The holiday begins in July.", events=1),
]


def test_a_period_merges_keywords_by_weight_and_events() -> None:
    assert list(draft_period(PARTS).keywords)[:2] == ["rust ownership", "database"]
    assert next(iter(draft_period(PARTS).keywords.values())) == 1


def test_a_period_quotes_its_parts_with_their_grips_one_of_each_first() -> None:
    bullets = draft_period(PARTS).bullets
    assert len(bullets) == 3
    assert {one.grip_ids[0].split("-")[0] for one in bullets} == {"grip:1", "grip:2", "grip:3"}
    assert set(bullets) <= {bullet for part in PARTS for bullet in part.bullets}


def test_the_summary_of_a_period_tells_what_happened_in_order_of_time_and_not_only_what_its_bullets_say() -> None:
    parts = [
        child(1, {"database": 1.0}, "the database moves to Frankfurt", "The old database is kept until Easter.", "Tea was had."),
        child(2, {"parser": 0.9}, "The parser reads the invoices of March.", "render() calls the parser"),
    ]
    draft = draft_period(parts)
    moves, kept, _, reads, calls = (bullet.text for part in parts for bullet in part.bullets)
    assert [bullet.text for bullet in draft.bullets] == [moves, kept, calls]
    assert draft.summary == f"The database moves to Frankfurt. {reads} {calls}."


def test_a_period_tells_facts_before_praise_and_short_calls() -> None:
    parts = [
        child(1, {"parser": 1.0}, "Your parser is the best parser!", "We sold the parser to a bank on Monday and kept the source."),
        child(2, {"parser": 1.0}, "Parser!", "I moved the parser to another server last week, and it is faster."),
        child(3, {"parser": 1.0}, "Thanks for the parser!", "Our parser was shown to two more banks in the office in May."),
    ]
    assert draft_period(parts).summary == " ".join(part.bullets[1].text for part in parts)


def test_a_period_whose_parts_have_no_bullets_begins_as_they_do() -> None:
    assert draft_period([child(1, {"tea": 1.0}), child(2, {})]).summary == "Part 1 begins well. Part 2 begins well."


def test_a_period_of_one_part_says_what_that_says_and_one_of_none_nothing() -> None:
    assert draft_period(PARTS[:1]).summary == PARTS[0].summary
    empty = draft_period([])
    assert (empty.summary, empty.bullets, empty.keywords) == ("", (), {})


@given(st.lists(st.tuples(st.lists(ANY_TEXT, max_size=3), st.dictionaries(ANY_TEXT, st.floats(0, 1), max_size=3)), max_size=5))
def test_whatever_its_parts_are_a_period_has_bullets_of_theirs(parts: list[tuple[list[str], dict[str, float]]]) -> None:
    children = [child(number, words, *texts, events=number) for number, (texts, words) in enumerate(parts)]
    draft = draft_period(children)
    assert draft == draft_period(list(children))
    assert len(draft.bullets) <= 5
    assert all(any(bullet in one.bullets for one in children) for bullet in draft.bullets)
