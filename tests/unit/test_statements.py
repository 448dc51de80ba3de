"""Statements of the search index: what earns a score and what only filters."""

from agent_memory.readmodels.statements import STEMS_IN_CONTEXT, any_part, any_word, best, unscored
from agent_memory.readmodels.words import wanted


def test_filters_earn_no_score() -> None:
    assert unscored("@tenant:{vt} -@topics:{va} @created_at:[(1 +inf] ismissing(@user_id)") == (
        "(@tenant:{vt|v_})=>{$weight:0} -@topics:{va} @created_at:[(1 +inf] ismissing(@user_id)"
    )
    assert unscored("@topics:{va|vb} @entities:{vc*}") == "(@topics:{va|vb|v_})=>{$weight:0} (@entities:{vc*|v_})=>{$weight:0}"
    assert best("i", "@scope:{vs} x", 3, ())[2] == "(@scope:{vs|v_})=>{$weight:0} x"


def test_a_clause_asks_for_stems_and_quotes_words() -> None:
    assert any_word(wanted("running shoes")) == (
        '@stems:("_run"|"_shoe")=>{$weight:0} ~@stems:("_run") ~@stems:("_shoe") (~@stems:("_run _shoe"))=>{$weight:0.5}'
    )
    assert any_word(wanted('"Running shoes" tea'), STEMS_IN_CONTEXT) == (
        '@text:("running shoes") @stems|before:("_tea")=>{$weight:0} ~@stems|before:("_tea")'
    )
    assert any_word(wanted('"tea"')) == '@text:("tea")'


def test_common_words_find_and_do_not_rank() -> None:
    assert any_part(wanted("the tea")) == '(@stems:("_tea"|"_the"))=>{$weight:0} ~@stems:("_tea")'
    assert any_part(wanted("is it")) == '(@stems:("_is"|"_it"))=>{$weight:0} ~@stems:("_is") ~@stems:("_it")'
    assert "_the" not in any_part(wanted("the tea"), common=False)


def test_a_document_has_the_words_itself_and_what_was_said_before_it_counts() -> None:
    assert any_part(wanted('"a b" tea'), STEMS_IN_CONTEXT) == (
        '(@text:("a b")|@stems:("_tea"))=>{$weight:0} ~@text:("a b") ~@stems|before:("_tea")'
    )
