"""Forked programs of tests do what started ones do, so that a test may use either."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from agent_memory.embedded.processes import Launch
from support.controls import wait_until_now
from support.forks import fork, python

PROGRAM = """
import os, signal, sys
match sys.argv[1:]:
    case ["tell"]:
        print(__name__, sys.argv[1:], sys.stdin.read(), os.environ["TOLD"], "PATH" in os.environ, os.getcwd())
        print("and that", file=sys.stderr)
        sys.exit(7)
    case ["wait"]:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        print(os.getpid(), flush=True)
        while True:
            signal.pause()
    case ["fall"]:
        raise RuntimeError("it fell")
"""


def made(folder: Path) -> dict[str, str]:
    (folder / "forked_program.py").write_text(PROGRAM)
    return {"PYTHONPATH": str(folder), "TOLD": "yes"}


def test_a_forked_program_has_arguments_streams_environment_folder_and_exit_code_of_its_own(tmp_path: Path) -> None:
    environment = made(tmp_path)
    by = {"env": environment, "cwd": tmp_path, "input": "heard", "capture_output": True, "text": True, "check": False}
    forked, started = (
        subprocess.run(argv, **by)  # type: ignore[call-overload]
        for argv in (python("forked_program", "tell"), [sys.executable, "-m", "forked_program", "tell"])
    )
    assert forked.stdout == f"__main__ ['tell'] heard yes False {tmp_path}\n"
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)
    fallen = subprocess.run(python("forked_program", "fall"), env=environment, capture_output=True, text=True, check=False)
    assert (fallen.returncode, "RuntimeError: it fell" in fallen.stderr) == (1, True)


def test_signals_reach_a_forked_program_and_it_ends_with_whoever_asked_for_it(tmp_path: Path) -> None:
    environment, ends = made(tmp_path), []
    for number in (signal.SIGTERM, signal.SIGKILL):
        with subprocess.Popen(python("forked_program", "wait"), env=environment, stdout=subprocess.PIPE, text=True) as asked:
            assert asked.stdout
            pid = int(asked.stdout.readline())
            asked.send_signal(number)
            ends.append((asked.wait(60), pid))
    assert [code for code, _ in ends] == [5, -signal.SIGKILL]
    wait_until_now(lambda: not any(Path(f"/proc/{pid}").exists() for _, pid in ends), "both have ended")


def test_a_launched_module_is_forked_too_and_killed_when_it_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    argv = (sys.executable, "-m", "forked_program", "wait")
    process = fork(Launch(argv=argv, environment={**os.environ, **made(tmp_path)}, log=log, folder=tmp_path, nice=3))
    wait_until_now(lambda: log.exists() and log.read_text().strip() == str(process.pid), "it has begun")
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == os.nice(0) + 3
    assert process.poll() is None
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    assert not Path(f"/proc/{process.pid}").exists()
