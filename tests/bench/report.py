"""Everything that one run of the program found out, as it is written to the JSON file."""

import msgspec

from bench.figures import Figure
from bench.idle import Idle
from bench.machine import Machine, Speed
from bench.processes import Memory


class Report(msgspec.Struct, kw_only=True):
    """`memory` is of each configuration after its last measurement; `idle` of a stack that has nothing to do; `speed` of the
    machine at the start and after each configuration.
    """

    started_at: str
    machine: Machine
    seed: int
    repetitions: int
    scale: float
    figures: list[Figure] = []
    idle: Idle | None = None
    memory: dict[str, dict[str, Memory]] = {}
    speed: list[Speed] = []
    seconds: float = 0.0

    def as_json(self) -> bytes:
        """Indented; each figure has its summary beside its runs."""
        plain = msgspec.to_builtins(self)
        by_name = {figure.name: figure for figure in self.figures}
        for figure, shown in zip(self.figures, plain["figures"], strict=True):
            shown["summary"] = figure.summary() | {"compared": msgspec.to_builtins(figure.compared(by_name))}
        return msgspec.json.format(msgspec.json.encode(plain), indent=1)
