"""Commands in batches: load, decide, append in one transaction, show, answer. The only writer of the log.

A batch is tried first on what this process remembers. When the log contradicts it (another replica was faster, a command or
an event id is known already), nothing was written, and the batch is decided again from the log itself, with appending locked
for everybody else. So two attempts always suffice. A replica that was contradicted looks first, for a while, at what others
wrote to the sessions that it remembers: that costs less than doing everything twice.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from random import randrange

import msgspec
import structlog
from redis.asyncio import Redis

from agent_memory.contracts.codec import decode_command, decode_outcome, encode
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.errors import Conflict, Fault, Invalid, MemoryFault, NeedsUpgrade, as_fault
from agent_memory.contracts.replies import AnyReply, Failed, ReplyEnvelope
from agent_memory.contracts.streams import COMMANDS, DATA_FIELD, INGEST_GROUP, replies_channel
from agent_memory.eventlog.relay import Relay
from agent_memory.eventlog.rows import Duplicate, LogUnavailable, Unwritable
from agent_memory.eventlog.store import EventStore, Writing
from agent_memory.ingest import loading
from agent_memory.ingest.cache import SessionCache
from agent_memory.ingest.domain import decide
from agent_memory.ingest.facts import Facts, Request, session_streams
from agent_memory.ingest.settings import DEFAULTS
from agent_memory.ingest.showing import ShownApart, ShownWithAnswers
from agent_memory.ingest.unread import KEPT, LEFT_FOR_NEWER, PATIENCE_MS, Header, header_of
from agent_memory.ingest.writing import Plan, Planned
from agent_memory.readmodels.sessions import ViewWrite
from agent_memory.runtime import telemetry
from agent_memory.runtime.broker import Entry
from agent_memory.runtime.dead_letters import DeadLetter, bury

log = structlog.get_logger("ingest")

DATA = DATA_FIELD.encode()
CRASHING_DELIVERIES = 5
SET_ASIDE = "set-aside"
"""Consumer that holds commands while Postgres, working memory or a version that knows them is away, until a replica claims them."""
SHARED_SECONDS = 30.0
"""For so long after a contradiction it is taken that other replicas write, too."""

AWAY = Fault(
    name="Unavailable", detail="the event log cannot be reached; send the same request again with the same Idempotency-Key"
)


NOT_SHOWN = Fault(
    name="Unavailable",
    detail="recorded, but working memory cannot be brought up to date; send the same request again with the same Idempotency-Key",
)


class Received(msgspec.Struct, frozen=True):
    """A command as it came from the bus."""

    entry: Entry
    envelope: CommandEnvelope
    request: Request


class Unread(msgspec.Struct, frozen=True):
    """A command that this version cannot read, and what it says of itself all the same."""

    entry: Entry
    envelope: Header


class Answered(msgspec.Struct, frozen=True):
    """How a command ended: what to reply, and at which position."""

    received: Received
    reply: AnyReply
    position: int


class Answers(msgspec.Struct):
    """What is left to do for commands that are in the log: show the sessions they changed, tell who waits, acknowledge."""

    answered: list[Answered] = []
    views: list[ViewWrite] = []


class Ingest:
    """Handles batches of commands. Doing a command twice does nothing: its id is in the log with its outcome."""

    def __init__(
        self,
        store: EventStore,
        redis: Redis,
        relay: Relay,
        *,
        views: Redis | None = None,
        clock_ms: Callable[[], int] | None = None,
    ) -> None:
        """`views`: where working memory is shown, when that is not where the bus is."""
        self._store = store
        self._redis = redis
        self._relay = relay
        self._show = ShownWithAnswers(redis) if views is None or views is redis else ShownApart(views)
        self._cache = SessionCache()
        self._clock_ms = clock_ms or (lambda: int(time.time() * 1000))
        self._turn = asyncio.Lock()
        self._shared_until = 0.0

    async def handle(self, entries: Sequence[Entry]) -> None:
        """One batch from beginning to end."""
        await self.answer(await self.record(entries))

    async def record(self, entries: Sequence[Entry]) -> Answers:
        """Decides a batch and writes it to the log, one batch at a time.

        When Postgres is away all waiting callers are told at once; what was not written stays pending on the bus.
        """
        telemetry.BATCH.labels("ingest").observe(len(entries))
        done = Answers()
        async with self._turn:
            received = await self._receive(entries)
            if received:
                try:
                    await self._record(received, done)
                except LogUnavailable as error:
                    written = {id(one.received) for one in done.answered}
                    await self._away([one for one in received if id(one) not in written], error)
        return done

    async def answer(self, answers: Answers) -> None:
        """Shows, tells and acknowledges what was recorded. May overlap with the next batch: a view that is older than the
        one shown is refused. What cannot be shown is not answered as done: it stays pending, and is shown when it is claimed again.
        """
        if not answers.answered:
            return
        pipeline = self._redis.pipeline(transaction=False)
        behind = await self._show.show(answers.views, pipeline)
        done, late = _parted(answers.answered, behind)
        if late:
            await self._set_aside([one.received for one in late], NOT_SHOWN)
        for answer in done:
            envelope = answer.received.envelope
            if envelope.reply_to:
                body = encode(ReplyEnvelope(command_id=envelope.id, position=answer.position, reply=answer.reply))
                pipeline.publish(replies_channel(envelope.reply_to), body)
        self._acknowledge(pipeline, [answer.received.entry.id for answer in done])
        await pipeline.execute()

    async def _receive(self, entries: Sequence[Entry]) -> list[Received]:
        now_ms = self._clock_ms()
        received = []
        for entry in entries:
            try:
                if entry.deliveries > CRASHING_DELIVERIES:
                    raise RuntimeError(f"given up after {entry.deliveries} deliveries: whoever takes it does not come back")
                envelope = decode_command(entry.fields[DATA])
            except (msgspec.MsgspecError, KeyError, RuntimeError) as error:
                await self._unread(entry, error, now_ms)
                continue
            request = Request(command=envelope.command, scope=envelope.scope, sequence=entry.sequence, now_ms=now_ms)
            received.append(Received(entry, envelope, request))
        return received

    async def _record(self, received: list[Received], done: Answers, *, again: bool = False) -> None:
        first, twins = split_twins(received)
        await self._record_batch(first, done, again=again or any(one.entry.deliveries > 1 for one in first))
        if twins:
            await self._record(twins, done, again=True)

    async def _record_batch(self, received: list[Received], done: Answers, *, again: bool) -> None:
        try:
            answers, views = await self._attempt(received, again=again)
        except LogUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - outermost loop of a batch: isolated, then named and dead-lettered
            return await self._record_apart(received, error, done)
        done.answered += answers
        done.views += views

    async def _attempt(self, received: list[Received], *, again: bool) -> tuple[list[Answered], list[ViewWrite]]:
        traces = [one.envelope.traceparent for one in received if one.envelope.traceparent]
        if not again:
            try:
                with telemetry.measured("ingest", telemetry.APPEND_SECONDS, "log.append", traces):
                    return await self._try_remembered(received)
            except (Duplicate, LogUnavailable, NeedsUpgrade) as error:
                # A lost connection may have been one that lay idle while Postgres restarted; the log knows what got through,
                # and what a newer version did meanwhile with what this one cannot read.
                telemetry.RETRIES.labels("ingest").inc()
                self._shared_until = time.monotonic() + SHARED_SECONDS
                log.debug("deciding from the log", because=str(error), commands=len(received))
        with telemetry.measured("ingest", telemetry.APPEND_SECONDS, "log.append", traces):
            return await self._try_locked(received)

    async def _record_apart(self, received: list[Received], error: Exception, done: Answers) -> None:
        """One of the batch cannot be recorded: each on its own, so that nothing waits behind it."""
        telemetry.ERRORS.labels("ingest", type(error).__name__).inc()
        if len(received) > 1:
            for one in received:
                await self._record([one], done)
            return
        one = received[0]
        if isinstance(error, NeedsUpgrade) and await self._left_for_newer(one, error, one.request.now_ms):
            return
        log.error("command given up", command_id=one.envelope.id, exc_info=error)
        fault = KEPT
        if isinstance(error, Unwritable):
            fault = as_fault(Invalid(f"the request holds something that cannot be stored: {error}"))
        await self._give_up(one.entry, error, one.envelope, fault)

    async def _unread(self, entry: Entry, error: Exception, now_ms: int) -> None:
        """A command that cannot be read, or that nobody survives. Whoever sent it is told, as far as it says who that is."""
        header = header_of(entry.fields.get(DATA, b""))
        if header is not None and header.is_newer and entry.deliveries <= CRASHING_DELIVERIES:
            unknown = NeedsUpgrade(f"there is no command {header.command.type!r} in this version")
            if await self._left_for_newer(Unread(entry, header), unknown, now_ms):
                return
            error = unknown
        await self._give_up(entry, error, header, KEPT)

    async def _left_for_newer(self, one: "Received | Unread", error: NeedsUpgrade, now_ms: int) -> bool:
        """Leaves a command to an ingest of a newer version; False when it has waited for one for too long."""
        if now_ms - int(one.entry.id.split(b"-")[0]) > PATIENCE_MS:
            return False
        log.warning("left for a newer version", command_id=one.envelope.id, because=error.detail)
        telemetry.COMMANDS_LEFT.inc()
        # Replicas look for what was left in steps of one length: without chance it could be this one that finds it, each time.
        await self._set_aside([one], LEFT_FOR_NEWER, idle_ms=randrange(DEFAULTS.claim_after_ms))
        return True

    async def _try_remembered(self, received: list[Received]) -> tuple[list[Answered], list[ViewWrite]]:
        requests = [one.request for one in received]
        async with self._store.reading() as writing:
            facts = await loading.load(requests, writing, self._cache, shared=time.monotonic() < self._shared_until)
            plan = self._decide(received, facts)
            if plan.lost_races:
                # What this replica remembers may be old, and a request that is repeated must hear what became of it.
                raise Duplicate("a race is lost in the log only")
            await self._check_quiet(plan, writing)
        first = await self._store.append(plan.batch, requests[0].now_ms)
        return self._committed(received, plan, facts, first)

    async def _try_locked(self, received: list[Received]) -> tuple[list[Answered], list[ViewWrite]]:
        async with self._store.exclusive() as writing:
            known = await self._known(received, writing)
            fresh = [one for one in received if one.envelope.id not in known]
            requests = [one.request for one in fresh]
            facts = await loading.load(requests, writing, None)
            await loading.load_taken(requests, writing, facts)
            plan = self._decide(fresh, facts)
            first = await writing.append(plan.batch, self._clock_ms() if not requests else requests[0].now_ms)
            stale = await self._stale_views([one for one in received if one.envelope.id in known], writing)
        answers, views = self._committed(fresh, plan, facts, first)
        answers += [Answered(one, *known[one.envelope.id]) for one in received if one.envelope.id in known]
        return answers, [*stale, *views]

    async def _known(self, received: list[Received], writing: Writing) -> dict[str, tuple[AnyReply, int]]:
        """Answers for commands that took effect before, or whose idempotency key did; also within this batch."""
        keys = [(one.envelope.scope.tenant, one.envelope.idempotency_key) for one in received if one.envelope.idempotency_key]
        outcomes = await writing.outcomes([one.envelope.id for one in received], keys)
        by_id = {outcome.id: outcome for outcome in outcomes}
        by_key = {(outcome.tenant, outcome.idempotency_key): outcome for outcome in outcomes if outcome.idempotency_key}
        known: dict[str, tuple[AnyReply, int]] = {}
        for one in received:
            outcome = by_id.get(one.envelope.id)
            if outcome is None and one.envelope.idempotency_key:
                outcome = by_key.get((one.envelope.scope.tenant, one.envelope.idempotency_key))
                if outcome is not None and outcome.fingerprint != one.envelope.fingerprint:
                    key_reused = Conflict("this Idempotency-Key was used for a different request; use a new one")
                    known[one.envelope.id] = Failed(fault=as_fault(key_reused)), 0
                    continue
            if outcome is not None:
                telemetry.COMMANDS_REPEATED.labels(type(one.envelope.command).__name__).inc()
                known[one.envelope.id] = decode_outcome(outcome.outcome), outcome.position
        return known

    def _decide(self, received: list[Received], facts: Facts) -> Plan:
        plan = Plan()
        for one in received:
            try:
                plan.add(one.entry.id, one.envelope, one.request, decide(one.request, facts), facts)
            except MemoryFault as fault:
                telemetry.COMMANDS_REFUSED.labels(type(one.envelope.command).__name__, type(fault).__name__).inc()
                plan.refuse(one.entry.id, as_fault(fault))
        plan.finish(facts)
        return plan

    async def _check_quiet(self, plan: Plan, writing: Writing) -> None:
        """A remembered session that led to no event was not checked by an append; another replica may have changed it."""
        if not plan.quiet:
            return
        rows = await writing.sessions(list(plan.quiet))
        if any(version != (rows[stream].version if stream in rows else 0) for stream, version in plan.quiet.items()):
            raise Duplicate("session changed elsewhere")

    def _committed(self, received: list[Received], plan: Plan, facts: Facts, first: int) -> tuple[list[Answered], list[ViewWrite]]:
        if plan.batch.events:
            self._relay.offer(plan.published(first, received[0].request.now_ms))
        for stream, session in facts.sessions.items():
            self._cache.put(stream, session)
        head = first + len(plan.batch.events) - 1
        telemetry.LOG_POSITION.set(head)
        answers = []
        for one, planned in zip(received, plan.planned, strict=True):
            count_accepted(one, planned)
            position = first + planned.last_event if planned.last_event >= 0 else head
            answers.append(Answered(one, planned.reply, position))
        return answers, plan.views

    async def _stale_views(self, known: list[Received], writing: Writing) -> list[ViewWrite]:
        """Views of sessions whose command was recorded by someone who may not have got to show it."""
        streams = {stream for one in known for stream in session_streams(one.request)}
        rows = await writing.sessions(list(streams)) if streams else {}
        return [ViewWrite(how="drop", stream=row.stream, version=row.version) for row in rows.values()]

    def _acknowledge(self, pipeline: Redis, ids: list[bytes]) -> None:
        if ids:
            pipeline.xack(COMMANDS, INGEST_GROUP, *ids)
            pipeline.xdel(COMMANDS, *ids)

    async def _away(self, received: list[Received], error: LogUnavailable) -> None:
        """Nobody waits for Postgres: callers hear now, the commands stay pending and are recorded when it is back.

        However long that takes: a delivery that ended so is no sign of a command that kills whoever takes it, and does not count.
        """
        telemetry.ERRORS.labels("ingest", "LogUnavailable").inc()
        log.warning("log unavailable", error=error.args[0], commands=len(received))
        await self._set_aside(received, AWAY)

    async def _set_aside(self, received: "Sequence[Received | Unread]", fault: Fault, *, idle_ms: int = 0) -> None:
        """Tells who waits, and leaves the commands pending until a replica claims them again, `idle_ms` sooner than otherwise."""
        pipeline = self._redis.pipeline(transaction=False)
        for one in received:
            if one.envelope.reply_to:
                body = encode(ReplyEnvelope(command_id=one.envelope.id, reply=Failed(fault=fault)))
                pipeline.publish(replies_channel(one.envelope.reply_to), body)
        ids = [one.entry.id for one in received]
        pipeline.xclaim(COMMANDS, INGEST_GROUP, SET_ASIDE, 0, ids, idle=idle_ms, retrycount=1, justid=True)
        await pipeline.execute()

    async def _give_up(self, entry: Entry, error: Exception, envelope: CommandEnvelope | Header | None, fault: Fault) -> None:
        body = entry.fields.get(DATA, b"")
        letter = DeadLetter(
            body=body, source=COMMANDS, group=INGEST_GROUP, error=error, attempts=entry.deliveries, sequence=entry.sequence
        )
        await bury(self._redis, letter)
        pipeline = self._redis.pipeline(transaction=False)
        if envelope is not None and envelope.reply_to:
            reply = encode(ReplyEnvelope(command_id=envelope.id, reply=Failed(fault=fault)))
            pipeline.publish(replies_channel(envelope.reply_to), reply)
        self._acknowledge(pipeline, [entry.id])
        await pipeline.execute()


def _parted(answered: list[Answered], behind: frozenset[str]) -> tuple[list[Answered], list[Answered]]:
    """Those whose sessions are shown, and those of which one is behind."""
    if not behind:
        return answered, []
    late = [not behind.isdisjoint(session_streams(one.received.request)) for one in answered]
    return [one for one, is_late in zip(answered, late, strict=True) if not is_late], [
        one for one, is_late in zip(answered, late, strict=True) if is_late
    ]


def count_accepted(one: Received, planned: Planned) -> None:
    """The ledger's left side."""
    telemetry.COMMANDS_ACCEPTED.labels(type(one.envelope.command).__name__).inc()
    for kind, count in planned.event_types.items():
        telemetry.EVENTS_ACCEPTED.labels(kind).inc(count)


def split_twins(received: list[Received]) -> tuple[list[Received], list[Received]]:
    """Commands of one id or one idempotency key cannot be decided together: the first, and those that must see its outcome."""
    seen: set[tuple[str, str]] = set()
    first: list[Received] = []
    twins: list[Received] = []
    for one in received:
        names = {("", one.envelope.id)}
        if one.envelope.idempotency_key:
            names.add((one.envelope.scope.tenant, one.envelope.idempotency_key))
        (twins if names & seen else first).append(one)
        seen |= names
    return first, twins
