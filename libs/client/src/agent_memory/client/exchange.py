"""Sending a request until it is answered: retries with the same key, errors as exceptions, bodies as structs."""

from random import random
from typing import TypeVar
from uuid import uuid4

import msgspec

from agent_memory.client.errors import ConnectionFailed, MemoryClientError, ServerUnavailable, error_of, unreadable
from agent_memory.client.program import Answer, Program, Request, Retry, ask, pause

T = TypeVar("T")


def exchange(request: Request, retry: Retry) -> Program[Answer]:
    """The answer to a request, retried on connection errors and 503 with back-off. Raises MemoryClientError."""
    waits = retry.waits()
    while True:
        failure: MemoryClientError
        hinted = 0.0
        try:
            answer = yield from ask(request)
        except ConnectionFailed as error:
            failure = ConnectionFailed(error.detail, idempotency_key=request.idempotency_key)
        else:
            if answer.status < 400 or answer.status in request.accept:
                return answer
            failure = error_of(answer)
            if not isinstance(failure, ServerUnavailable):
                raise failure
            hinted = _retry_after(answer, retry)
        wait = next(waits, None)
        if wait is None:
            raise failure
        yield from pause(max(wait, hinted))


def fetch(request: Request, retry: Retry, into: type[T]) -> Program[T]:
    """The answer's JSON as `into`. Raises MemoryClientError."""
    answer = yield from exchange(request, retry)
    return read(answer, into)


def read(answer: Answer, into: type[T]) -> T:
    """The JSON of an answer. Raises ServerError when it has another shape."""
    try:
        return msgspec.json.decode(answer.body, type=into)
    except msgspec.MsgspecError as error:
        raise unreadable(answer, error) from None


def new_key(given: str | None) -> str:
    """The caller's idempotency key, or a fresh one."""
    return given or uuid4().hex


def _retry_after(answer: Answer, retry: Retry) -> float:
    """Seconds to wait because the server says so, lengthened at random: many that heard the same must not come back at once."""
    hint = answer.headers.get("retry-after", "")
    return min(float(hint), retry.longest_wait) * (1 + random() / 2) if hint.isdecimal() else 0.0
