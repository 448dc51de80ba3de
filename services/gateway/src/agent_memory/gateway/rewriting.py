"""Queries made fitter for a search by meaning, by the fast model. Whatever goes wrong, the caller's own text is searched for."""

import asyncio
from collections import OrderedDict

import structlog

from agent_memory.contracts.errors import MemoryFault
from agent_memory.runtime import telemetry
from agent_memory.runtime.llm import Completer, NoModel

REWRITE_SECONDS = 10.0
"""Longest wait for the model; a search must not hang on it."""
KEPT = 4_096
log = structlog.get_logger(__name__)


class Rewriter:
    """Asks once for each text and keeps the answer: the pages of one search must all be of one query."""

    def __init__(self, completer: Completer, *, template: str, least: int, seconds: float = REWRITE_SECONDS) -> None:
        self._completer = completer
        self._template = template
        self._least = least
        self._seconds = seconds
        self._kept: OrderedDict[str, str] = OrderedDict()

    async def rewritten(self, text: str) -> str:
        """The text as the model puts it, or as it was given."""
        kept = self._kept.get(text)
        if kept is not None:
            self._kept.move_to_end(text)
            return kept
        try:
            async with asyncio.timeout(self._seconds):
                prompt = self._template.replace("{query}", text)
                answer = await self._completer.complete([{"role": "user", "content": prompt}])
        except NoModel:
            return text
        except (MemoryFault, TimeoutError) as error:
            telemetry.ERRORS.labels("query.rewrite", type(error).__name__).inc()
            log.warning("query not rewritten", error=f"{type(error).__name__}: {error}")
            return text
        better = answer.text.strip().strip("\"'").strip()
        self._kept[text] = better if len(better) >= self._least else text
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return self._kept[text]
