"""What of the bench is measured."""

import sys

import pytest

from bench.__main__ import main


def test_names_that_no_figure_has_are_said_and_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "nonesuch"])
    with pytest.raises(SystemExit, match=r"nonesuch\n.*--list"):
        main()
