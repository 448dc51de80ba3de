"""What a check found."""

import msgspec

EXAMPLES = 5


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One invariant. `checked` counts what was looked at, `wrong` what broke it; `examples` are the first few of those.

    `digests`: of each read model what the log says it should be, and what it is.
    """

    number: int
    name: str
    ok: bool
    checked: dict[str, int]
    wrong: int = 0
    examples: list[str] = []
    warnings: list[str] = []
    hint: str = ""
    digests: dict[str, tuple[str, str]] = {}


class Findings:
    """Gathers what one check sees. Cheap to call for each of a million things: only the first few are kept."""

    def __init__(self) -> None:
        self.checked: dict[str, int] = {}
        self.wrong = 0
        self.examples: list[str] = []
        self.warnings: list[str] = []
        self.digests: dict[str, tuple[str, str]] = {}

    def looked_at(self, what: str, count: int = 1) -> None:
        """So many more were looked at."""
        self.checked[what] = self.checked.get(what, 0) + count

    def broken(self, example: str) -> None:
        """One thing is wrong."""
        self.wrong += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)

    def warn(self, example: str) -> None:
        """Worth knowing, but nothing that the system promised is broken."""
        if len(self.warnings) < EXAMPLES:
            self.warnings.append(example)

    def result(self, number: int, name: str, hint: str) -> Result:
        """The verdict."""
        return Result(
            number=number,
            name=name,
            ok=self.wrong == 0,
            checked=self.checked,
            wrong=self.wrong,
            examples=self.examples,
            warnings=self.warnings,
            hint=hint if self.wrong else "",
            digests=self.digests,
        )
