"""`agent-memory`, or `memory-daemon`, as it is typed, in this process: arguments in; code, output and errors out."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from agent_memory.cli.main import main


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, for programs."""
        assert self.out, f"nothing was put out; exit code {self.code}: {self.err}"
        return json.loads(self.out)


class Typed:
    """The command line of one test."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *arguments: str, program: Callable[[Sequence[str]], None] = main) -> Ran:
        """What the program, `agent-memory` unless another is given, does when this is typed."""
        code: object = 0
        try:
            program(arguments)
        except SystemExit as ended:
            code = ended.code
        out, err = self._capsys.readouterr()
        assert code is None or isinstance(code, int)
        return Ran(code=code or 0, out=out, err=err)

    def where(self, environment: Mapping[str, str], *arguments: str, program: Callable[[Sequence[str]], None] = main) -> Ran:
        """The same where the environment is this one. (A test with an event loop calls it in a thread: commands run their own.)"""
        with self._monkeypatch.context() as context:
            for name in os.environ.keys() - environment.keys():
                context.delenv(name)
            for name, value in environment.items():
                context.setenv(name, value)
            return self(*arguments, program=program)
