"""Carrying programs out: the same loop for asyncio and for everything else, whatever a step travels over."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

import msgspec

from agent_memory.client.errors import MemoryClientError
from agent_memory.client.program import Answer, Call, Caller, Pause, Program, Reply, Request, Step

P = ParamSpec("P")
T = TypeVar("T")
Came = Answer | Reply | MemoryClientError | None


class Runner:
    """What both kinds of client are. `position`: the newest log position that an answer to this client named."""

    caller: Caller
    position: int = 0

    def _note(self, came: Came) -> None:
        if isinstance(came, Answer | Reply) and came.position > self.position:
            self.position = came.position


class AsyncRunner(Runner, ABC):
    """A client whose operations are awaited. Use it with `async with`, or call `aclose` at the end."""

    async def run(self, program: Program[T]) -> T:
        """Carry a program out: send its requests, sleep its pauses."""
        came: Came = None
        while not isinstance(step := _advance(program, came), Finished):
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                came = None
            else:
                came = await self._send(step)
                self._note(came)
        return step.result

    @abstractmethod
    async def _send(self, step: Request | Call) -> Came: ...

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connections."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class BlockingRunner(Runner, ABC):
    """A client whose operations block. Use it as a context manager, or call `close` at the end."""

    def run(self, program: Program[T]) -> T:
        """Carry a program out: send its requests, sleep its pauses."""
        came: Came = None
        while not isinstance(step := _advance(program, came), Finished):
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                came = None
            else:
                came = self._send(step)
                self._note(came)
        return step.result

    @abstractmethod
    def _send(self, step: Request | Call) -> Came: ...

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Operation(Generic[P, T]):
    """A program as a method: awaitable on an async client, blocking on a sync one."""

    def __init__(self, program: Callable[Concatenate[Caller, P], Program[T]]) -> None:
        self.program = program
        self.__doc__ = program.__doc__

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: AsyncRunner, owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    @overload
    def __get__(self, client: BlockingRunner, owner: type) -> Callable[P, T]: ...
    def __get__(self, client: AsyncRunner | BlockingRunner | None, owner: type) -> Any:
        if client is None:
            return self

        def call(*args: P.args, **kwargs: P.kwargs) -> Any:
            return client.run(self.program(client.caller, *args, **kwargs))

        call.__doc__, call.__name__ = self.__doc__, self.program.__name__
        return call


class Finished(msgspec.Struct, Generic[T], frozen=True):
    """A program has ended, with this."""

    result: T


def _advance(program: Program[T], came: Came) -> Step | Finished[T]:
    try:
        return program.throw(came) if isinstance(came, MemoryClientError) else program.send(came)
    except StopIteration as done:
        return Finished(done.value)
