"""Commands to the writer of the log and back: one entry on the stream, one reply on this gateway's channel."""

import asyncio
import time
from collections.abc import Callable, Coroutine

import msgspec
from redis.exceptions import RedisError, ResponseError

from agent_memory.contracts.codec import encode
from agent_memory.contracts.commands import AnyCommand, AppendMessages, DeleteWorkingMemory, RecordEvents, ReplaceWorkingMemory
from agent_memory.contracts.envelope import CommandEnvelope
from agent_memory.contracts.errors import Unavailable
from agent_memory.contracts.records import Scope
from agent_memory.contracts.replies import Failed, ReplyEnvelope, WorkingMemoryChanged
from agent_memory.contracts.streams import COMMANDS, DATA_FIELD, replies_channel, session_stream, working_memory_keys
from agent_memory.gateway.bus_replies import ReplyListener
from agent_memory.gateway.pipelined import Pipelined
from agent_memory.gateway.ports import Answer, Log
from agent_memory.readmodels.sessions import DROP_STALE
from agent_memory.runtime import telemetry

MOST_WAITING = 10_000


class Waiting(msgspec.Struct, frozen=True):
    """A command that was sent, and where its answer goes."""

    scope: Scope
    command: AnyCommand
    answer: "asyncio.Future[ReplyEnvelope]"


class RedisCommandBus:
    """Sends each command once and waits for its reply; a reply that is lost is looked up in the log by the command's id."""

    def __init__(
        self,
        redis_url: str,
        outcomes: Log,
        *,
        gateway_id: str,
        timeout_seconds: float,
        new_id: Callable[[], str],
        now_ms: Callable[[], int],
        views_url: str = "",
    ) -> None:
        """`views_url`: where working memory is shown, when that is not where the bus is."""
        self._outcomes = outcomes
        self._gateway_id = gateway_id
        self._timeout = timeout_seconds
        self._new_id = new_id
        self._now_ms = now_ms
        self._waiting: dict[str, Waiting] = {}
        self._sender = Pipelined(redis_url)
        self._views = Pipelined(views_url) if views_url not in ("", redis_url) else self._sender
        self._listener = ReplyListener(redis_url, replies_channel(gateway_id), heard=self._heard, back=self._back, down=self._down)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen. Does not wait for Redis: until it is there, `ask` raises Unavailable."""
        await self._listener.start()

    async def stop(self) -> None:
        """Stop listening and close the connections. Commands still waiting are answered Unavailable."""
        self._fail_all("the gateway is stopping")
        for task in list(self._tasks):
            task.cancel()
        await self._listener.stop()
        await self._sender.stop()
        if self._views is not self._sender:
            await self._views.stop()

    async def listening(self) -> bool:
        """Whether replies can be heard now."""
        return await self._listener.listening()

    async def ask(
        self,
        scope: Scope,
        command: AnyCommand,
        *,
        idempotency_key: str = "",
        fingerprint: str = "",
        correlation_id: str = "",
        traceparent: str = "",
    ) -> Answer:
        """What the command led to. Raises the fault it was refused with, or Unavailable with the command id."""
        command_id = self._new_id()
        kind = type(command).__name__
        started = time.perf_counter()
        with telemetry.span("command.send", parent=traceparent, command=kind):
            envelope = CommandEnvelope(
                id=command_id,
                scope=scope,
                issued_ms=self._now_ms(),
                command=command,
                correlation_id=correlation_id or command_id,
                traceparent=telemetry.traceparent_of() or traceparent,
                reply_to=self._gateway_id,
                idempotency_key=idempotency_key,
                fingerprint=fingerprint,
            )
            reply = await self._exchange(scope, command, command_id, encode(envelope))
        telemetry.COMMANDS_SENT.labels(kind).inc()
        telemetry.COMMAND_SECONDS.labels(kind).observe(time.perf_counter() - started)
        if isinstance(reply.reply, Failed):
            raise reply.reply.fault.error(command_id)
        return Answer(command_id=command_id, position=reply.position, reply=reply.reply)

    async def _exchange(self, scope: Scope, command: AnyCommand, command_id: str, entry: bytes) -> ReplyEnvelope:
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable("too many commands are waiting; try again", command_id=command_id)
        if not await self._listener.listening():
            raise Unavailable("the command bus cannot be reached; try again", command_id=command_id)
        waiter: asyncio.Future[ReplyEnvelope] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[command_id] = Waiting(scope, command, waiter)
        try:
            sent = self._sender.send("XADD", COMMANDS, "*", DATA_FIELD, entry)
            sent.add_done_callback(lambda sent: _not_sent(sent, waiter, command_id))
            async with asyncio.timeout(self._timeout):
                return await waiter
        except TimeoutError:
            found = await self._lookup(waiting, command_id)
            if found is None:
                raise Unavailable(
                    f"no answer within {self._timeout:g} s; it may still take effect, retrying is safe", command_id=command_id
                ) from None
            return found
        finally:
            del self._waiting[command_id]

    async def _lookup(self, waiting: "Waiting", command_id: str) -> ReplyEnvelope | None:
        """What the log says of a command. Whoever recorded it may have died before it showed it: views are folded anew first."""
        telemetry.REPLIES_LOST.inc()
        try:
            found = await self._outcomes.outcome(waiting.scope.tenant, command_id)
            if found is not None:
                await self._drop_views(waiting, found)
        except (Unavailable, RedisError) as error:
            detail = error.detail if isinstance(error, Unavailable) else "working memory cannot be brought up to date; try again"
            raise Unavailable(detail, command_id=command_id) from error
        return found

    async def _drop_views(self, waiting: "Waiting", found: ReplyEnvelope) -> None:
        for session_id in sessions_of(waiting.command):
            keys = working_memory_keys(session_stream(waiting.scope, session_id))
            # A session's version is never beyond its position in the log: so the view is absent for a minute, and nobody who read
            # before this command shows what was before it.
            version = found.reply.version if isinstance(found.reply, WorkingMemoryChanged) else found.position
            await self._views.send("EVAL", DROP_STALE, len(keys), *keys, version)

    def _heard(self, reply: ReplyEnvelope) -> None:
        found = self._waiting.get(reply.command_id)
        if found is not None and not found.answer.done():
            found.answer.set_result(reply)

    def _back(self) -> None:
        """Replies may have been said while nobody listened: whatever waits now is looked up once, then waits on."""
        self._sender.reconnect()
        self._spawn(self._look_up_all())

    def _down(self) -> None:
        """Redis cannot be reached: what is in the log is answered, the rest is told so at once."""
        self._spawn(self._look_up_all(then="the command bus was lost; it may still take effect, retrying is safe"))

    async def _look_up_all(self, then: str | None = None) -> None:
        for command_id, waiting in list(self._waiting.items()):
            try:
                found = None if waiting.answer.done() else await self._lookup(waiting, command_id)
            except Unavailable:
                found = None
            if found is not None:
                self._heard(found)
            elif then is not None:
                _fail(waiting.answer, then, command_id)

    def _fail_all(self, detail: str) -> None:
        for command_id, waiting in self._waiting.items():
            _fail(waiting.answer, detail, command_id)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        if not self._waiting:
            work.close()
            return
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def sessions_of(command: AnyCommand) -> set[str]:
    """The sessions whose working memory a command may change."""
    match command:
        case RecordEvents(events=events):
            return {event.session_id for event in events}
        case ReplaceWorkingMemory(session_id=id_) | AppendMessages(session_id=id_) | DeleteWorkingMemory(session_id=id_):
            return {id_}
        case _:
            return set()


def _not_sent(sent: "asyncio.Future[object]", waiter: "asyncio.Future[ReplyEnvelope]", command_id: str) -> None:
    error = None if sent.cancelled() else sent.exception()
    if isinstance(error, ResponseError):
        _fail(waiter, f"the command bus refused the command: {error}", command_id)
    elif error is not None:
        _fail(waiter, "the command bus cannot be reached; try again", command_id)


def _fail(waiter: "asyncio.Future[ReplyEnvelope]", detail: str, command_id: str) -> None:
    if not waiter.done():
        waiter.set_exception(Unavailable(detail, command_id=command_id))
