"""The connection on which a gateway hears the replies to its commands."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec
import structlog
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from agent_memory.contracts.codec import decode_reply
from agent_memory.contracts.replies import ReplyEnvelope
from agent_memory.gateway.pipelined import CONNECT_SECONDS, connection_to
from agent_memory.runtime import telemetry

QUIET_SECONDS = 10.0
"""After this long without a reply the listener asks whether the connection is still alive."""
FIRST_RETRY_SECONDS, LAST_RETRY_SECONDS = 0.05, 0.5

log = structlog.get_logger(__name__)


class ReplyListener:
    """Hears the replies of one channel for as long as it runs, over any number of connections.

    `heard` gets each reply; `back` is called after every confirmed subscription, `down` when a lost one cannot be renewed.
    """

    def __init__(
        self,
        redis_url: str,
        channel: str,
        *,
        heard: Callable[[ReplyEnvelope], None],
        back: Callable[[], None],
        down: Callable[[], None],
    ) -> None:
        self._connection = connection_to(redis_url)
        self._channel = channel
        self._heard, self._back, self._down = heard, back, down
        self._subscribed = False
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen in the background."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop and close."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._connection.disconnect(nowait=True)

    async def listening(self) -> bool:
        """Whether replies can be heard now. Waits only for the very first attempt to connect."""
        if not self._subscribed:
            await self._tried.wait()
        return self._subscribed

    async def _run(self) -> None:
        attempts = 0
        while True:
            try:
                await self._subscribe()
                attempts = 0
                self._back()
                await self._listen()
            except Exception as error:  # noqa: BLE001 - the outermost loop of this task: whatever it was, replies must be heard again
                await self._lost(error, first=attempts == 0)
            self._tried.set()
            if attempts:
                self._down()
                await asyncio.sleep(min(FIRST_RETRY_SECONDS * 2**attempts, LAST_RETRY_SECONDS))
            attempts = min(attempts + 1, 10)

    async def _lost(self, error: Exception, *, first: bool) -> None:
        self._subscribed = False
        if first:
            log.warning("replies cannot be heard", error=f"{type(error).__name__}: {error}")
        telemetry.RECONNECTS.labels("redis").inc()
        with suppress(RedisError, OSError):
            await self._connection.disconnect(nowait=True)

    async def _subscribe(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS * 2):
            await self._connection.connect()
            await self._connection.send_command("SUBSCRIBE", self._channel, check_health=False)
            await self._connection.read_response(disable_decoding=True)
        self._subscribed = True
        self._tried.set()

    async def _listen(self) -> None:
        """Returns never; raises when the connection is gone or has not answered for twice the quiet time."""
        asked = False
        while True:
            message = await self._connection.read_response(disable_decoding=True, timeout=QUIET_SECONDS)
            if isinstance(message, list):
                asked = False
                if message[0] == b"message":
                    self._decode(message[2])
            elif asked:
                raise RedisTimeoutError("the reply connection went silent")
            else:
                asked = True
                await self._connection.send_command("PING", check_health=False)

    def _decode(self, payload: bytes) -> None:
        try:
            self._heard(decode_reply(payload))
        except msgspec.MsgspecError as error:
            telemetry.ERRORS.labels("command.reply", type(error).__name__).inc()
            log.warning("reply not understood", error=str(error))
