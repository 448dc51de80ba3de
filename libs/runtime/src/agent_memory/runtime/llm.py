"""Completions by settings: OpenAI-compatible HTTP asked directly, other providers through litellm, none without a key."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from agent_memory.contracts.errors import Refused, Unavailable
from agent_memory.runtime.llm_catalogue import cost
from agent_memory.runtime.llm_credentials import credentials, is_anthropic
from agent_memory.runtime.llm_http import IDEMPOTENCY_KEY, ProviderHttp, endpoint
from agent_memory.runtime.llm_litellm import Litellm
from agent_memory.runtime.llm_retry import ProviderRefused
from agent_memory.runtime.settings import Settings, SettingsError

Messages = Sequence[Mapping[str, str]]
"""Each with `role` (system, user, assistant) and `content`."""


class NoModel(Refused):
    """No model is configured. What needs one does without, or says so."""


class CompletionRefused(ProviderRefused):
    """The provider will not answer this."""


class CompletionUnusable(Unavailable):
    """The provider answered, but with nothing that can be used: empty, cut off, or not the JSON that was asked for."""


class CompletionEmpty(CompletionUnusable):
    """The provider answered with nothing."""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a call took. `cost` in US dollars at list price, None when that is not known."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """What a model said. `model` is the one that answered, as it calls itself."""

    text: str
    usage: Usage
    model: str


class Completer(Protocol):
    """A model that answers."""

    @property
    def model(self) -> str:
        """The name it is asked by; empty when there is none."""

    async def complete(self, messages: Messages, *, json_schema: Mapping[str, Any] | None = None, key: str = "") -> Completion:
        """The answer; JSON of the schema when one is given. `key` is the same for the same request, so that a provider that heeds
        it charges once. Raises NoModel, CompletionRefused, CompletionUnusable, Unavailable.
        """

    async def close(self) -> None:
        """Close the connections."""


class _Spoken(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Spoken
    finish_reason: str | None = None


class _Used(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: _Used | None = None


def create_completer(settings: Settings, *, fast: bool = False) -> Completer:
    """The completer for GENERATION_MODEL, or FAST_MODEL with `fast`. Raises SettingsError for an address that is none."""
    name = (settings.fast_model if fast else settings.generation_model).strip().removeprefix("openai/")
    timeout = settings.generation_timeout_seconds
    if not name or name.lower() == "none":
        return Unconfigured()
    if _elsewhere(name):
        if is_anthropic(name) and not settings.anthropic_api_key:
            return Unconfigured()
        return LitellmCompleter(Litellm(name, timeout=timeout, credentials=credentials(name, settings)))
    try:
        where = endpoint(settings.openai_api_base)
    except ValueError as error:
        raise SettingsError(f"OPENAI_API_BASE={settings.openai_api_base!r} cannot be used: {error}") from None
    if not settings.openai_api_key and where.name.startswith("api.openai.com:"):
        return Unconfigured()
    return HttpCompleter(ProviderHttp(where, key=settings.openai_api_key, timeout=timeout), model=name)


def _elsewhere(name: str) -> bool:
    """Whether a model belongs to a provider that litellm must translate for."""
    return "/" in name or name.startswith(("claude", "gemini"))


class Unconfigured:
    """Stands where no model is."""

    model = ""

    async def complete(self, messages: Messages, *, json_schema: Mapping[str, Any] | None = None, key: str = "") -> Completion:
        """Raises NoModel."""
        raise NoModel("no model is configured: set OPENAI_API_KEY, or OPENAI_API_BASE, or ANTHROPIC_API_KEY, and GENERATION_MODEL")

    async def close(self) -> None:
        """Nothing to close."""


class HttpCompleter:
    """An OpenAI-compatible model."""

    def __init__(self, http: ProviderHttp, *, model: str) -> None:
        self.model = model
        self._http = http

    async def complete(self, messages: Messages, *, json_schema: Mapping[str, Any] | None = None, key: str = "") -> Completion:
        """POST /chat/completions."""
        body = msgspec.json.encode({"model": self.model, **_request(messages, json_schema)})
        answered = await self._http.post("/chat/completions", body, refused=CompletionRefused, key=key)
        try:
            answer = msgspec.json.decode(answered, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CompletionUnusable(f"{self.model} answered with something that is not a completion: {error}") from None
        return _completion(self.model, answer, json_schema)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()


class LitellmCompleter:
    """A model of any other provider."""

    def __init__(self, litellm: Litellm) -> None:
        self.model = litellm.model
        self._litellm = litellm

    async def complete(self, messages: Messages, *, json_schema: Mapping[str, Any] | None = None, key: str = "") -> Completion:
        """Ask through litellm."""
        request = _request(messages, json_schema)
        if key:
            request["extra_headers"] = {IDEMPOTENCY_KEY: key}
        answered = await self._litellm.complete(request, refused=CompletionRefused)
        try:
            answer = msgspec.convert(answered, _Answer)
        except msgspec.ValidationError as error:
            raise CompletionUnusable(f"{self.model} answered with something that is not a completion: {error}") from None
        return _completion(self.model, answer, json_schema)

    async def close(self) -> None:
        """Nothing is held open."""


def _request(messages: Messages, json_schema: Mapping[str, Any] | None) -> dict[str, Any]:
    request: dict[str, Any] = {"messages": [dict(message) for message in messages]}
    if json_schema is not None:
        named = {"name": "answer", "schema": dict(json_schema), "strict": True}
        request["response_format"] = {"type": "json_schema", "json_schema": named}
    return request


def _completion(model: str, answer: _Answer, json_schema: Mapping[str, Any] | None) -> Completion:
    if not answer.choices:
        raise CompletionUnusable(f"{model} answered with no choice")
    choice = answer.choices[0]
    if choice.message.refusal:
        raise CompletionRefused(f"{model} declined: {choice.message.refusal[:500]}", status=422)
    text = choice.message.content or ""
    if choice.finish_reason in ("length", "content_filter"):
        raise CompletionUnusable(f"{model} was cut off ({choice.finish_reason}) after {len(text)} characters")
    if not text.strip():
        raise CompletionEmpty(f"{model} answered with nothing")
    if json_schema is not None:
        _check_json(model, text)
    used = answer.usage or _Used()
    price = cost(model, used.prompt_tokens, used.completion_tokens) if answer.usage else None
    usage = Usage(prompt_tokens=used.prompt_tokens, completion_tokens=used.completion_tokens, cost=price)
    return Completion(text=text, usage=usage, model=answer.model or model)


def _check_json(model: str, text: str) -> None:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise CompletionUnusable(f"{model} was asked for JSON and answered with something else: {error}") from None
