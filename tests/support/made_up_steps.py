"""Steps of the schema that only tests know: those of a version that is still to come."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent_memory.embedded.prepare import last_step

STEP = """
from alembic import op
from agent_memory.migrations.steps import add_index
revision, down_revision, branch_labels, depends_on, oldest = {revision!r}, {before!r}, None, None, {oldest!r}
def upgrade(): {upgrade}
def downgrade(): pass
"""


@contextmanager
def newer_version(folder: Path, *steps: str, oldest: str | None = None) -> Iterator[str]:
    """Within the block, the migrations of a version that has these further steps, 9001 and so on. Yields the last.

    `oldest`: the oldest schema whose programs work with the last one; that of this version, unless it is given.
    """
    before = known = last_step()
    for number, upgrade in enumerate(steps, 9001):
        last = number == 9000 + len(steps)
        text = STEP.format(revision=str(number), before=before, oldest=oldest if oldest and last else known, upgrade=upgrade)
        (folder / f"{number}_made_up.py").write_text(text)
        before = str(number)
    migrations = importlib.import_module("agent_memory.migrations.upgrade")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(migrations, "FOLDERS", (*migrations.FOLDERS, folder))
        yield before
