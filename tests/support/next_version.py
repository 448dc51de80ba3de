"""The version after this one, as processes: the same code with a kind of event renamed, and a further step of the schema."""

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.forks import python
from support.made_up_steps import STEP

ROOT = Path(__file__).parents[2]
WAS, IS = "MemoryEdited", "MemoryChanged"
STEPS = "agent_memory/migrations/versions"
NO_UPCASTERS, ONE = "= {}\n", f'= {{"{WAS}": Upcaster("{IS}", dict)}}\n'


def made(folder: Path, *, before: str) -> str:
    """Writes the code of the next version into a folder; what PYTHONPATH must be for it. `before`: the schema of this one."""
    found = []
    for source in sorted([*ROOT.glob("libs/*/src"), *ROOT.glob("services/*/src"), *ROOT.glob("*/src")]):
        target = folder / source.relative_to(ROOT)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        found.append(str(target))
        for path in target.rglob("*.py"):
            text = path.read_text()
            if WAS in text:
                path.write_text(re.sub(rf"\b{WAS}\b", IS, text))
    upcasters = folder / "libs/contracts/src/agent_memory/contracts/upcasters.py"
    text = upcasters.read_text()
    assert text.count(NO_UPCASTERS) == 1, "the next version has one upcaster more: write it into the table that is there"
    upcasters.write_text(text.replace(NO_UPCASTERS, ONE))
    step = STEP.format(revision="9001", before=before, oldest=before, upgrade="add_index('more', 'events (type)')")
    (folder / "migrations/src" / STEPS / "9001_more.py").write_text(step)
    return os.pathsep.join(found)


@asynccontextmanager
async def running(service: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """One replica of a service while the block runs; it ends with 0 when it is told to stop. PYTHONPATH says whose code."""
    module = f"agent_memory.{service}.app"
    argv = [sys.executable, "-m", module] if "PYTHONPATH" in environment else python(module)
    process = await asyncio.create_subprocess_exec(*argv, env={**os.environ, **environment}, stderr=asyncio.subprocess.PIPE)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
