"""The one list of invariants."""

from agent_memory.cli.invariants import ledger_checks, log_checks, shown_checks
from agent_memory.cli.invariants.results import Result
from agent_memory.cli.invariants.system import System


async def check_all(system: System, *, quick: bool = False) -> list[Result]:
    """All invariants, in their order. With `quick` nothing that reads the whole log or every document."""
    results = [
        await log_checks.whole(system, quick=quick),
        await log_checks.once(system, quick=quick),
        await ledger_checks.accounted(system, quick=quick),
        *await shown_checks.check(system, quick=quick),
    ]
    return sorted(results, key=lambda result: result.number)
