"""Writers: each has sessions and memories of its own, and some that all share. What is answered goes into the ledger."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from chaos.ledger import Ledger, MemoryState, Owner, SessionState
from chaos.sending import GaveUp, Sender

NOW_MS = 1_772_000_000_000
"""The first event's time; a run's events lie minutes apart, so that they fill months of contents."""
WORDS = ("tea", "deploy", "Friday", "walnuts", "Lisbon", "invoice", "postgres", "retry", "köln", "東京", "🌱", "schedule", "budget")
SHARED = "shared"
TWICE = "-twice"
"""Sessions that are written by several requests at a time: what stands in them is known, in which order is not."""
EVENTS = "/v1/events"
WORKING = "/v1/working-memory/"
MEMORIES = "/v1/long-term-memory/"


class Writer:
    """Writes one thing after the other, each until it is acknowledged, and now and then reads what it wrote."""

    def __init__(self, number: int, sender: Sender, ledger: Ledger, chance: random.Random) -> None:
        self._name = f"w{number}"
        self._owner: Owner = (f"chaos-{number % 3}", f"user-{number % 2}")
        self._sender = sender
        self._ledger = ledger
        self._chance = chance
        self._made = 0
        self._doing: list[tuple[Callable[[], Awaitable[None]], int]] = [
            (self._say_one, 5),
            (self._say_many, 2),
            (self._say_twice, 2),
            (self._replace, 4),
            (self._append, 5),
            (self._append_shared, 3),
            (self._forget_session, 1),
            (self._store, 4),
            (self._edit, 3),
            (self._forget_memory, 1),
            (self._read_session, 4),
            (self._read_memory, 2),
            (self._read_anything, 5),
        ]

    async def run(self, seconds: float, most_requests: int, pause: float) -> None:
        """Until the time or the requests are used up."""
        end = time.monotonic() + seconds
        actions, weights = zip(*self._doing, strict=True)
        while time.monotonic() < end and self._ledger.counts["requests"] < most_requests:
            await self._chance.choices(actions, weights)[0]()
            await asyncio.sleep(pause * self._chance.random())

    def _id(self, kind: str) -> str:
        self._made += 1
        return f"{self._name}-{kind}-{self._made}"

    def _text(self) -> str:
        return f"{self._name} {self._made} " + " ".join(self._chance.choices(WORDS, k=self._chance.randint(3, 12)))

    @property
    def _scope(self) -> dict[str, str]:
        return {"namespace": self._owner[0], "user_id": self._owner[1]}

    def _event(self, session_id: str) -> dict[str, object]:
        self._made += 1
        kind = self._chance.choice(("user_message", "assistant_message", "tool_result", "session_end"))
        text = "" if kind == "session_end" else self._text()
        at = NOW_MS + self._made * 240_000
        return {"event_id": self._id("e"), "session_id": session_id, "timestamp_ms": at, "event_type": kind, "text": text}

    async def _say(self, events: list[dict[str, object]], kind: str) -> list[bool] | None:
        """Posts events of one talk and notes what was acknowledged. None: no answer ever came."""
        talk = self._ledger.session(self._owner, str(events[0]["session_id"]))
        body: object = {"events": events, **self._scope} if len(events) > 1 else {**events[0], **self._scope}
        try:
            answer = await self._sender.write("POST", EVENTS, body)
        except GaveUp:
            talk.doubtful = True
            return None
        alone = not talk.session_id.endswith(TWICE)
        self._ledger.acknowledged(kind, talk if alone else None, answer.position)
        created = [bool(outcome["created"]) for outcome in answer.body["events"]]
        for event, new in zip(events, created, strict=True):
            event_id, text = str(event["event_id"]), str(event["text"])
            self._ledger.recorded(self._owner, event_id, text)
            self._ledger.created[event_id] += new
            if text and new:
                talk.alive = True
                talk.messages.append((event_id, text))
        return created

    async def _say_one(self) -> None:
        await self._say([self._event(f"{self._name}-talk-{self._chance.randint(0, 3)}")], "single events")

    async def _say_many(self) -> None:
        talk = f"{self._name}-talk-{self._chance.randint(0, 3)}"
        await self._say([self._event(talk) for _ in range(self._chance.randint(2, 40))], "batches of events")

    async def _say_twice(self) -> None:
        """The same event at the same time under two keys: one of the two is told that it is new."""
        event = self._event(f"{self._name}{TWICE}")
        told = await asyncio.gather(self._say([event], "same event twice"), self._say([event], "same event twice"))
        if None not in told:
            self._ledger.twice.add(str(event["event_id"]))

    def _own_session(self) -> SessionState:
        return self._ledger.session(self._owner, f"{self._name}-session-{self._chance.randint(0, 4)}")

    def _message(self) -> dict[str, object]:
        role = self._chance.choice(("user", "assistant"))
        message_id = self._id("m")
        seconds = f"{self._made % 60:02d}.{self._made % 1000:03d}"
        return {
            "id": message_id,
            "role": role,
            "content": self._text(),
            "created_at": f"2026-02-0{1 + self._made % 9}T10:00:{seconds}Z",
        }

    async def _replace(self) -> None:
        session = self._own_session()
        kept: list[dict[str, object]] = [
            {"id": id_, "role": "user", "content": text, "created_at": "2026-02-01T10:00:00Z"} for id_, text in session.messages
        ]
        kept = kept[-self._chance.randint(0, 10) :] if session.alive else []
        new = [self._message() for _ in range(self._chance.randint(0, 5))]
        if kept and self._chance.random() < 0.3:
            kept[0]["content"] = self._text()
        messages: list[dict[str, object]] = [*kept, *new]
        data = {"step": self._made, "by": self._name}
        try:
            answer = await self._sender.write(
                "PUT", WORKING + session.session_id, {"messages": messages, "data": data, **self._scope}
            )
        except GaveUp:
            session.doubtful = True
            return
        session.messages = [(str(message["id"]), str(message["content"])) for message in messages]
        session.data, session.alive = data, True
        for message in new:
            self._ledger.recorded(self._owner, str(message["id"]), str(message["content"]))
        self._ledger.acknowledged("documents replaced", session, answer.position)
        await self._look_at_once(session)

    async def _append(self) -> None:
        session = self._own_session()
        messages = [self._message() for _ in range(self._chance.randint(1, 4))]
        if not await self._appended(session, messages):
            return
        if not session.alive:
            session.messages, session.data, session.alive = [], {}, True
        session.messages += [(str(message["id"]), str(message["content"])) for message in messages]
        await self._look_at_once(session)

    async def _append_shared(self) -> None:
        owner: Owner = ("chaos-0", "")
        session = self._ledger.session(owner, SHARED)
        message = self._message()
        try:
            answer = await self._sender.write("POST", f"{WORKING}{SHARED}/messages", {"messages": [message], "namespace": owner[0]})
        except GaveUp:
            session.doubtful = True
            return
        self._ledger.acknowledged("messages appended", None, answer.position)
        session.alive = True
        session.messages.append((str(message["id"]), str(message["content"])))
        self._ledger.recorded(owner, str(message["id"]), str(message["content"]))

    async def _appended(self, session: SessionState, messages: list[dict[str, object]]) -> bool:
        path = f"{WORKING}{session.session_id}/messages"
        try:
            answer = await self._sender.write("POST", path, {"messages": messages, **self._scope})
        except GaveUp:
            session.doubtful = True
            return False
        self._ledger.acknowledged("messages appended", session, answer.position)
        if answer.body["created"] != [True] * len(messages):
            self._ledger.broken(f"new messages of {session.session_id} were told to be known: {answer.body}")
        for message in messages:
            self._ledger.recorded(self._owner, str(message["id"]), str(message["content"]))
        return True

    async def _forget_session(self) -> None:
        session = self._own_session()
        try:
            answer = await self._sender.write("DELETE", WORKING + session.session_id, params=self._scope)
        except GaveUp:
            session.doubtful = True
            return
        session.messages, session.data, session.alive = [], {}, False
        self._ledger.acknowledged("documents deleted", session, max(answer.position, session.position))

    async def _store(self) -> None:
        new = self._chance.randint(1, 8)
        states = [MemoryState(self._owner, self._id("memory")) for _ in range(new)]
        known = self._any_memory()
        states += [known] if known and self._chance.random() < 0.3 else []
        records = [
            {"id": state.memory_id, "text": self._text(), "topics": self._chance.sample(WORDS, 2), **self._scope}
            for state in states
        ]
        for state in states:
            self._ledger.memories.setdefault(state.memory_id, state)
        try:
            answer = await self._sender.write("POST", MEMORIES, {"memories": records})
        except GaveUp:
            for state in states:
                state.doubtful = True
            return
        for state, record in zip(states, records, strict=True):
            state.text, state.topics = str(record["text"]), list(record["topics"])
            self._ledger.acknowledged("memories stored", state, answer.position)

    def _any_memory(self) -> MemoryState | None:
        mine = [one for one in self._ledger.memories.values() if one.memory_id.startswith(f"{self._name}-") and not one.doubtful]
        return self._chance.choice(mine) if mine else None

    async def _edit(self) -> None:
        state = self._any_memory()
        if state is None:
            return
        text, topics = self._text(), self._chance.sample(WORDS, 3) if self._chance.random() < 0.5 else state.topics
        changes = {"text": text} | ({"topics": topics} if topics != state.topics else {})
        try:
            answer = await self._sender.write("PATCH", MEMORIES + state.memory_id, changes, accept=(404,))
        except GaveUp:
            state.doubtful = True
            return
        if (answer.status == 404) != (state.text is None):
            self._ledger.broken(f"editing {state} was answered {answer.status}")
        if answer.status != 404:
            state.text, state.topics = text, topics
            self._ledger.acknowledged("memories edited", state, answer.position)

    async def _forget_memory(self) -> None:
        state = self._any_memory()
        if state is None:
            return
        try:
            answer = await self._sender.write("DELETE", MEMORIES.rstrip("/"), params={"memory_ids": state.memory_id})
        except GaveUp:
            state.doubtful = True
            return
        state.text = None
        self._ledger.acknowledged("memories deleted", state, max(answer.position, state.position))

    async def _look_at_once(self, session: SessionState) -> None:
        """Now and then right after the acknowledgement: what was written must be what is read, through any gateway."""
        if self._chance.random() < 0.5:
            await self._look_at(session)

    async def _read_session(self) -> None:
        await self._look_at(self._own_session())

    async def _look_at(self, session: SessionState) -> None:
        if session.doubtful:
            return
        answer = await self._sender.read(WORKING + session.session_id, self._scope)
        if answer is not None:
            self._ledger.counts["reads checked"] += 1
            for wrong in session_differs(session, answer.status, answer.body):
                self._ledger.broken(f"during the run: {wrong}")

    async def _read_anything(self) -> None:
        """A session that somebody else may be writing: what such a reader brings back is checked when its writer looks."""
        session = self._chance.choice(list(self._ledger.sessions.values()) or [self._own_session()])
        scope = {name: value for name, value in zip(("namespace", "user_id"), session.owner, strict=True) if value}
        await self._sender.read(WORKING + session.session_id, scope)

    async def _read_memory(self) -> None:
        state = self._any_memory()
        if state is None:
            return
        answer = await self._sender.read(MEMORIES + state.memory_id, {})
        if answer is not None:
            self._ledger.counts["reads checked"] += 1
            for wrong in memory_differs(state, answer.status, answer.body):
                self._ledger.broken(f"during the run: {wrong}")


def session_differs(session: SessionState, status: int, body: dict[str, object]) -> list[str]:
    """In which way an answer is not what was acknowledged last."""
    name = f"session {session.session_id} of {session.owner}"
    if not session.alive:
        return [] if status == 404 else [f"{name} was deleted and is answered {status}"]
    if status == 404:
        return [f"{name} is not found"]
    shown = [(message["id"], message["content"]) for message in body["messages"]]  # type: ignore[attr-defined]
    wanted = session.messages
    if session.session_id == SHARED or session.session_id.endswith(TWICE):
        shown, wanted = sorted(shown), sorted(wanted)
    found = []
    if shown != wanted:
        lost = [id_ for id_, _ in wanted if id_ not in dict(shown)]
        more = [id_ for id_, _ in shown if id_ not in dict(wanted)]
        found.append(f"{name} shows {len(shown)} messages for {len(wanted)}; without {lost[:3]}, but with {more[:3]}")
    if (body.get("data") or {}) != session.data:
        found.append(f"{name} has data {body.get('data')} for {session.data}")
    return found


def memory_differs(state: MemoryState, status: int, body: dict[str, object]) -> list[str]:
    """In which way an answer is not what was acknowledged last."""
    name = f"memory {state.memory_id}"
    if state.text is None:
        return [] if status == 404 else [f"{name} was deleted and is answered {status}"]
    if status == 404:
        return [f"{name} is not found"]
    if (body["text"], sorted(body["topics"])) != (state.text, sorted(state.topics)):  # type: ignore[call-overload]
        return [f"{name} says {body['text']!r} for {state.text!r}"]
    return []
