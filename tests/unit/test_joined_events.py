"""Events recorded at the same time travel together, and every caller is answered as if alone."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_memory.contracts.commands import RecordEvents
from agent_memory.contracts.errors import Invalid, Unavailable
from agent_memory.contracts.records import Scope, TimelineEvent
from agent_memory.gateway.joined_events import FEW, MOST_EVENTS, JoinedEvents
from agent_memory.gateway.memory import MemorySystem

ALICE, BOB = Scope(tenant="t", namespace="alice"), Scope(tenant="t", namespace="bob")


class GatedSystem(MemorySystem):
    """Answers nobody before it is told to, and refuses one event that it is told of."""

    def __init__(self, refused=""):
        super().__init__()
        self.open = asyncio.Event()
        self.refused = refused

    async def ask(self, scope, command, **about):
        await self.open.wait()
        if any(event.event_id == self.refused for event in command.events):
            raise Invalid("this event cannot be recorded")
        return await super().ask(scope, command, **about)

    @property
    def sizes(self):
        return [len(command.events) for _, command in self.sent]


def events(*ids):
    return RecordEvents(events=[TimelineEvent(event_id=one, session_id="s", timestamp_ms=1) for one in ids])


async def all_of(system, asked, **about):
    """What everybody is told who asks at the same time."""
    bus = JoinedEvents(system)
    tasks = [asyncio.ensure_future(bus.ask(scope, command, **about)) for scope, command in asked]
    await asyncio.sleep(0)
    system.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    await bus.stop()
    return answers


async def test_whoever_comes_while_others_are_under_way_goes_with_all_who_wait():
    system = GatedSystem()
    answers = await all_of(system, [(ALICE, events(f"e{n}")) for n in range(16)])
    assert [answer.reply.event_ids for answer in answers] == [[f"e{n}"] for n in range(16)]
    assert system.sizes == [1, 15]


async def test_of_many_senders_of_one_id_one_is_told_that_it_was_new():
    answers = await all_of(GatedSystem(), [(ALICE, events("same"))] * 64)
    assert sorted(answer.reply.created[0] for answer in answers) == [False] * 63 + [True]


async def test_events_of_two_scopes_never_share_a_command():
    system = GatedSystem()
    await all_of(system, [(scope, events(f"{scope.namespace}{n}")) for n in range(10) for scope in (ALICE, BOB)])
    for scope, command in system.sent:
        assert {event.event_id.rstrip("0123456789") for event in command.events} == {scope.namespace}


@pytest.mark.parametrize("said", ["idempotency_key", "correlation_id", "traceparent"])
async def test_what_a_caller_says_about_itself_is_said_of_its_own_command_alone(said):
    system = GatedSystem()
    await all_of(system, [(ALICE, events(f"e{n}")) for n in range(8)], **{said: ""})
    assert len(system.sent) < 8
    apart = GatedSystem()
    bus = JoinedEvents(apart)
    apart.open.set()
    await asyncio.gather(*(bus.ask(ALICE, events(f"e{n}"), **{said: f"of {n}"}) for n in range(8)))
    assert apart.sizes == [1] * 8


async def test_nobody_is_told_of_the_mistake_of_another():
    answers = await all_of(GatedSystem(refused="e7"), [(ALICE, events(f"e{n}")) for n in range(12)])
    assert isinstance(answers.pop(7), Invalid)
    assert all(answer.reply.created == [True] for answer in answers)


async def test_when_the_bus_is_away_everybody_is_told_so():
    system = GatedSystem()
    system.fault = Unavailable("the command bus cannot be reached; try again", command_id="c")
    answers = await all_of(system, [(ALICE, events(f"e{n}")) for n in range(5)])
    assert [type(answer) for answer in answers] == [Unavailable] * 5


async def test_a_command_that_is_lost_holds_nobody_up():
    system = GatedSystem()
    bus = JoinedEvents(system)
    lost = asyncio.ensure_future(bus.ask(ALICE, events("lost")))
    await asyncio.sleep(0)
    system.open, gate = asyncio.Event(), system.open
    system.open.set()
    assert (await bus.ask(ALICE, events("next"))).reply.created == [True]
    gate.set()
    assert (await lost).reply.created == [True]
    await bus.stop()


async def test_a_caller_that_goes_away_takes_nobody_along():
    system = GatedSystem()
    bus = JoinedEvents(system)
    tasks = [asyncio.ensure_future(bus.ask(ALICE, events(f"e{n}"))) for n in range(8)]
    await asyncio.sleep(0)
    for gone in (tasks[0], tasks[4]):
        gone.cancel()
    await asyncio.sleep(0)
    system.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [n in (0, 4) for n in range(8)]
    await bus.stop()
    assert (await bus.ask(ALICE, events("afterwards"))).reply.created == [True]


async def test_a_large_batch_needs_no_company_and_no_command_grows_without_end():
    system = GatedSystem()
    few = [(ALICE, events(*[f"e{n}-{m}" for m in range(FEW)])) for n in range(60)]
    large = (ALICE, events(*[f"large{m}" for m in range(FEW + 1)]))
    await all_of(system, [*few, large])
    assert FEW + 1 in system.sizes
    assert max(system.sizes) <= MOST_EVENTS
    assert sum(system.sizes) == 60 * FEW + FEW + 1


@given(st.lists(st.tuples(st.sampled_from([ALICE, BOB]), st.lists(st.integers(0, 9), min_size=1, max_size=3)), max_size=30))
def test_every_caller_is_answered_for_its_own_events_and_each_event_is_new_once(asked):
    async def answered():
        return await all_of(GatedSystem(), [(scope, events(*map(str, ids))) for scope, ids in asked])

    new = set()
    for (scope, ids), answer in zip(asked, asyncio.run(answered()), strict=True):
        assert answer.reply.event_ids == [str(one) for one in ids]
        for one, created in zip(ids, answer.reply.created, strict=True):
            if created:
                assert (scope, one) not in new
                new.add((scope, one))
    assert new == {(scope, one) for scope, ids in asked for one in ids}
