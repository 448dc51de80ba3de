"""The models that summary views name. Each view may name its own; answers are journalled."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence

from agent_memory.contracts.records import ModelUse, SummaryView
from agent_memory.runtime.llm import Completer, Completion
from agent_memory.runtime.llm_catalogue import known
from agent_memory.runtime.llm_journal import Answers, Journal
from agent_memory.runtime.tokens import TokenCounter
from agent_memory.summarizer.partitions import Member, budget, chunks, instruction, messages, without_model
from agent_memory.summarizer.recording import used

MOST_MODELS = 16
"""Names that clients give; the connections of those asked least lately are closed."""


class ViewModels:
    """Summaries by the model of a view, or of `default` where it names none. `create` makes the completer of a name."""

    def __init__(self, create: Callable[[str], Completer], answers: Answers, counter: TokenCounter, *, default: str) -> None:
        self._create = create
        self._answers = answers
        self._counter = counter
        self._default = default
        self._journals: OrderedDict[str, Journal] = OrderedDict()

    async def name(self, view: SummaryView) -> str:
        """The model that the view's summaries come from; empty when there is none."""
        return (await self._journal(view)).model

    async def summary(self, tenant: str, view: SummaryView, members: Sequence[Member]) -> tuple[str, ModelUse]:
        """Of all members, prompt after prompt, each with the summary so far. What was asked before costs nothing again.

        Raises CompletionRefused, CompletionUnusable, Unavailable.
        """
        journal = await self._journal(view)
        if not journal.model:
            return without_model(members), ModelUse()
        so_far, answers = "", list[Completion]()
        for lines in await asyncio.to_thread(self._prompts, journal.model, view, members):
            read = await journal.ask(tenant, messages(view, lines, so_far), str.strip)
            so_far = read.value
            answers.append(read.completion)
        return so_far, used(*answers)

    async def close(self) -> None:
        """Close the connections."""
        while self._journals:
            await self._journals.popitem()[1].close()

    def _prompts(self, model: str, view: SummaryView, members: Sequence[Member]) -> list[list[str]]:
        asked = sum(self._counter.count([instruction(view)]))
        most = budget(known(model).max_input_tokens, asked)
        return chunks([one.line for one in members], most, self._counter.count)

    async def _journal(self, view: SummaryView) -> Journal:
        name = view.model_name or self._default
        if name not in self._journals:
            self._journals[name] = Journal(self._create(name), self._answers)
            if len(self._journals) > MOST_MODELS:
                # Whoever is still asking it makes a connection again: closing takes away what is idle.
                await self._journals.popitem(last=False)[1].close()
        self._journals.move_to_end(name)
        return self._journals[name]
