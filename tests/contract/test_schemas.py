"""A change of what travels between versions, or is kept for ever, is seen, and is one that both old and new can live with.

`python tests/support/contract_schemas.py` records such a change and refuses any other: that takes a new tag and an upcaster.
"""

import copy
from collections.abc import Callable

import pytest

from agent_memory.contracts.upcasters import UPCASTERS
from support.contract_schemas import Schemas, breaking, current_schemas, recorded_schemas

Change = Callable[[Schemas], object]


def test_no_change_of_the_contract_breaks_an_older_or_a_newer_version() -> None:
    assert breaking(recorded_schemas(), current_schemas(), UPCASTERS.keys()) == []


def test_the_contract_is_the_one_that_is_recorded() -> None:
    assert current_schemas() == recorded_schemas(), "record the change: python tests/support/contract_schemas.py"


BREAKS: dict[str, tuple[Change, str]] = {
    "a field is taken away": (lambda new: new["JobDue"]["properties"].pop("due_ms"), "JobDue: the field due_ms is gone"),
    "a field gets another type": (
        lambda new: new["JobDue"]["properties"].update(due_ms={"type": "string"}),
        'JobDue: the field due_ms was {"type":"integer"} and is {"type":"string"}',
    ),
    "a field gets another default": (
        lambda new: new["MemoryForgotten"]["properties"]["reason"].update(default="none"),
        "MemoryForgotten: the field reason was",
    ),
    "a choice gets one more": (
        lambda new: new["MemoryStored"]["properties"]["reason"]["enum"].append("guessed"),
        "MemoryStored: the field reason was",
    ),
    "a new field has to be there": (
        lambda new: (new["JobDue"]["properties"].update(more={}), new["JobDue"]["required"].append("more")),
        "JobDue: the new field more has no default",
    ),
    "a field has to be there from now on": (
        lambda new: new["MemoryForgotten"]["required"].append("reason"),
        "MemoryForgotten: the field reason has to be there now",
    ),
    "a field may be left out from now on": (
        lambda new: new["JobDue"]["required"].remove("due_ms"),
        "JobDue: the field due_ms may be left out now",
    ),
    "a part is taken away": (lambda new: new.pop("JobDue"), "JobDue: it is gone"),
    "a kind of event is taken away": (
        lambda new: new["AnyEvent"]["kinds"].remove("JobDue"),
        "AnyEvent: JobDue is none of them any more",
    ),
    "a kind of command is taken away": (
        lambda new: new["CommandEnvelope"]["properties"]["command"]["kinds"].remove("Tick"),
        "CommandEnvelope: the field command may not be Tick any more",
    ),
}
HARMLESS: dict[str, Change] = {
    "a field that has a default": lambda new: new["JobDue"]["properties"].update(more={"type": "integer", "default": 0}),
    "a new kind of event": lambda new: (new.update(JobMoved={"type": "object"}), new["AnyEvent"]["kinds"].append("JobMoved")),
    "a new kind of command": lambda new: new["CommandEnvelope"]["properties"]["command"]["kinds"].append("MoveJob"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_what_one_version_could_not_read_of_the_other_is_named(name: str) -> None:
    change, said = BREAKS[name]
    new = copy.deepcopy(recorded_schemas())
    change(new)
    found = breaking(recorded_schemas(), new)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_both_can_live_with_is_let_pass(name: str) -> None:
    new = copy.deepcopy(recorded_schemas())
    HARMLESS[name](new)
    assert breaking(recorded_schemas(), new) == []


def test_a_kind_of_event_may_go_when_it_is_brought_to_another() -> None:
    new = copy.deepcopy(recorded_schemas())
    del new["JobDue"]
    new["AnyEvent"]["kinds"].remove("JobDue")
    assert breaking(recorded_schemas(), new, {"JobDue"}) == []
