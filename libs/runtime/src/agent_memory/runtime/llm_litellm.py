"""The one module that imports litellm, and only when a model that is not OpenAI-compatible is called: 3 s and 190 MB."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent_memory.runtime.llm_http import RETRIED, without_key
from agent_memory.runtime.llm_retry import Persistence, ProviderRefused, Transient, hinted_wait


def _load() -> Any:
    # Without this it asks the internet for its price list at import.
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm  # noqa: PLC0415 - heavy, see above

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.drop_params = True
    return litellm


class Litellm:
    """Calls models by litellm's names (`ollama/…`, `bedrock/…`). `credentials` go with every call; a provider that needs others
    has them from the environment variables litellm documents.
    """

    def __init__(
        self, model: str, *, timeout: float, persistence: Persistence | None = None, credentials: Mapping[str, str] | None = None
    ) -> None:
        self.model = model
        self._credentials = dict(credentials or {})
        self._timeout = timeout
        self._persistence = persistence or Persistence(model)

    async def embed(self, texts: list[str], *, refused: type[ProviderRefused], dimensions: int | None = None) -> list[list[float]]:
        """One list of floats per text. Raises `refused` and Unavailable."""
        extra = {"dimensions": dimensions} if dimensions else {}
        answer = await self._call("aembedding", refused, input=texts, **extra)
        return [item["embedding"] for item in sorted(answer.data, key=lambda item: item["index"])]

    async def complete(self, request: dict[str, Any], *, refused: type[ProviderRefused]) -> dict[str, Any]:
        """The completion in OpenAI's shape. Raises `refused` and Unavailable."""
        answer = await self._call("acompletion", refused, **request)
        shown: dict[str, Any] = answer.model_dump()
        return shown

    async def _call(self, operation: str, refused: type[ProviderRefused], **request: Any) -> Any:
        litellm = await asyncio.to_thread(_load)
        call: Callable[..., Awaitable[Any]] = getattr(litellm, operation)

        async def attempt() -> Any:
            try:
                return await call(model=self.model, timeout=self._timeout, num_retries=0, **self._credentials, **request)
            except litellm.exceptions.openai.OpenAIError as error:
                raise self._translated(error, refused) from None

        return await self._persistence.call(attempt)

    def _translated(self, error: Exception, refused: type[ProviderRefused]) -> Exception:
        status = getattr(error, "status_code", None)
        status = status if isinstance(status, int) else 503
        reason = self._told(error)[:500]
        if status in RETRIED or status >= 500:
            headers = getattr(getattr(error, "response", None), "headers", None) or {}
            return Transient(f"answered {status}: {reason}", hint=hinted_wait(headers.get("retry-after")))
        return refused(f"{self.model} answered {status}: {reason}", status=status)

    def _told(self, error: Exception) -> str:
        said = str(error)
        for name in ("api_key", "aws_access_key_id", "aws_secret_access_key", "aws_session_token"):
            said = without_key(said, self._credentials.get(name, ""))
        return said
