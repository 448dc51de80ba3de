"""The account of what was found: pure functions, on made-up conversations."""

import json
from pathlib import Path

import pytest

from recall.conversations import found_in
from recall.scores import mean, percentile, scored


def test_evidence_counts_by_how_much_of_it_is_found_and_how_early() -> None:
    found = scored(["a", "x", "b", *"pqrstuv", "c"], {"a", "b", "c", "d"})
    assert (found.frac_5, found.frac_10, found.any_10, found.all_10, found.hit_1) == (0.5, 0.5, 1.0, 0.0, 1.0)
    assert found.ndcg_10 == pytest.approx((1 + 0.5) / (1 + 0.6309297 + 0.5 + 0.4306766))
    assert scored(["a", "b"], {"b"}).hit_1 == 0.0
    assert scored([], {"b"}) == scored(["x"], {"b"})
    assert mean([scored(["a"], {"a"}), scored(["x"], {"a"})]).frac_5 == 0.5


def test_a_percentile_is_one_of_the_values() -> None:
    assert [percentile([3.0, 1.0, 2.0], share) for share in (0.01, 0.5, 0.95)] == [1.0, 2.0, 3.0]


def test_conversations_are_read_in_order_and_odd_references_are_understood(tmp_path: Path) -> None:
    sample = {
        "sample_id": "c1",
        "conversation": {
            "session_10": [{"speaker": "Bo", "dia_id": "D10:1", "text": "Later"}],
            "session_10_date_time": "12:05 am on 2 January, 2026",
            "session_2": [
                {"speaker": "Ann", "dia_id": "D2:1", "text": "Look", "blip_caption": "a cat", "query": "never read"},
                {"speaker": "Bo", "dia_id": "D2:2", "text": "Nice"},
            ],
            "session_2_date_time": "1:56 pm on 8 May, 2025",
        },
        "qa": [
            {"question": "What?", "evidence": ["D:2:1; D2:2", "D9:9"], "category": 1},
            {"question": "None?", "evidence": [], "category": 5},
        ],
    }
    (tmp_path / "some.json").write_text(json.dumps([sample]))
    (tmp_path / "else.json").write_text('{"of": "another kind"}')
    (conversation,) = found_in(tmp_path)
    assert [(turn.id, turn.session, turn.text) for turn in conversation.turns] == [
        ("D2:1", "session_2", "Ann: Look [image: a cat]"),
        ("D2:2", "session_2", "Bo: Nice"),
        ("D10:1", "session_10", "Bo: Later"),
    ]
    assert [turn.timestamp_ms for turn in conversation.turns] == [1746712560000, 1746712561000, 1767312300000]
    (question,) = conversation.questions
    assert (question.evidence, question.category) == (frozenset({"D2:1", "D2:2"}), "multi-hop")
    assert found_in(tmp_path / "nowhere") == []
