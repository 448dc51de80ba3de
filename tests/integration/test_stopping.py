"""A service that is told to stop while it still imports ends with success, as one that was told later."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent_memory.embedded.services import EMBEDDINGS, SERVICES, ServiceSpec
from support.controls import wait_until_now
from support.servers import stack_environment


def catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal."""
    words = Path(f"/proc/{pid}/status").read_text().split()
    return bool(int(words[words.index("SigCgt:") + 1], 16) & 1 << (number - 1))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("service", [*SERVICES, EMBEDDINGS], ids=lambda service: service.name)
def test_a_signal_amid_the_imports_ends_a_service_cleanly(service: ServiceSpec, number: int, tmp_path: Path) -> None:
    arguments = ("--socket", str(tmp_path / "socket")) if service is EMBEDDINGS else ()
    argv = [sys.executable, "-m", service.module, *arguments]
    started = subprocess.Popen(argv, env=stack_environment(), stderr=subprocess.PIPE)
    assert started.stderr is not None
    with started.stderr as errors:
        wait_until_now(lambda: catches(started.pid, signal.SIGTERM), "the service takes signals")
        started.send_signal(number)
        assert started.wait(20) == 0
        assert b"Traceback" not in errors.read()


def test_a_program_that_imports_a_service_keeps_its_own_signals() -> None:
    program = "import signal, agent_memory.ingest; print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "True\n"
