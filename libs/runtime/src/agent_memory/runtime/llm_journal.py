"""What a model answered is kept before anything is made of it: a crash in between is not paid for twice.

The same request (tenant, model, messages, schema) has the same hash. It is the key of the journal and goes out as
`Idempotency-Key`, so that a provider that knows such keys does not charge again for an answer that was lost on the way either.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from agent_memory.runtime import telemetry
from agent_memory.runtime.llm import Completer, Completion, CompletionUnusable, Messages

T = TypeVar("T")
MOST_REFUSED = 1_000


class Answers(Protocol):
    """Where answers are kept (`eventlog.completions.CompletionStore`)."""

    async def find(self, request_hash: bytes) -> bytes | None: ...
    async def keep(self, request_hash: bytes, answer: bytes) -> bytes: ...


def request_hash(tenant: str, model: str, messages: Messages, json_schema: Mapping[str, Any] | None) -> bytes:
    """256 bits that stand for a request; the same in every process and for ever."""
    request = {"tenant": tenant, "model": model, "messages": [dict(message) for message in messages], "schema": json_schema}
    return blake2b(msgspec.json.encode(request, order="deterministic"), digest_size=32).digest()


class Journal:
    """A model that is asked the same question once."""

    def __init__(self, completer: Completer, answers: Answers) -> None:
        self._completer = completer
        self._answers = answers
        self._refused: OrderedDict[bytes, int] = OrderedDict()

    @property
    def model(self) -> str:
        """The name it is asked by; empty when there is none."""
        return self._completer.model

    async def ask(
        self, tenant: str, messages: Messages, read: Callable[[str], T], *, schema: Mapping[str, Any] | None = None
    ) -> "Read[T]":
        """The answer, which no other tenant ever gets, as `read` makes sense of it. One that it cannot (ValueError) is not kept, so
        it is asked for again.

        Raises NoModel, CompletionRefused, CompletionUnusable, Unavailable.
        """
        digest = request_hash(tenant, self.model, messages, schema)
        kept = await self._answers.find(digest)
        if kept is not None:
            telemetry.MODEL_ANSWERS.labels(self.model, "journal").inc()
            completion = msgspec.json.decode(kept, type=Completion)
            return Read(value=read(completion.text), completion=completion)
        with telemetry.measured("model", telemetry.MODEL_SECONDS.labels(self.model), "model.ask"):
            completion = await self._completer.complete(messages, json_schema=schema, key=self._key(digest))
        count(self.model, completion)
        try:
            read(completion.text)
        except ValueError as error:
            self._refuse(digest)
            raise CompletionUnusable(f"{self.model} answered with something else than was asked for: {error}") from None
        # Another replica may have been as fast: then its answer stands, so that both make the same of it.
        completion = msgspec.json.decode(await self._answers.keep(digest, msgspec.json.encode(completion)), type=Completion)
        return Read(value=read(completion.text), completion=completion)

    def _key(self, digest: bytes) -> str:
        """Another one after each answer that was of no use: a provider that knows such keys would give the same one for ever."""
        attempt = self._refused.get(digest, 0)
        return f"{digest.hex()}-{attempt}" if attempt else digest.hex()

    def _refuse(self, digest: bytes) -> None:
        self._refused[digest] = self._refused.pop(digest, 0) + 1
        if len(self._refused) > MOST_REFUSED:
            self._refused.popitem(last=False)

    async def close(self) -> None:
        """Close the connections."""
        await self._completer.close()


class Read(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """An answer that makes sense, and what it took."""

    value: T
    completion: Completion


def count(model: str, completion: Completion) -> None:
    """Note what a call took."""
    telemetry.MODEL_ANSWERS.labels(model, "model").inc()
    telemetry.MODEL_TOKENS.labels(model, "prompt").inc(completion.usage.prompt_tokens)
    telemetry.MODEL_TOKENS.labels(model, "completion").inc(completion.usage.completion_tokens)
