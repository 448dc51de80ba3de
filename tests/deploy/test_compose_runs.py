"""What compose.yaml says is what works: its commands and environments, run as processes on real servers.

Only addresses differ from containers: names of hosts become loopback, and ports are chosen by the system.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from agent_memory.embedded.ports import free_ports
from agent_memory.embedded.probes import is_healthy
from agent_memory.embedded.processes import until
from support.composed import PASSWORDS, ROOT, composed, environment_of
from support.forks import python

IMAGE = ROOT / "deploy" / "image"
STARTED = ("embeddings", "ingest", "indexer", "gateway")
SECONDS = 60.0


def translated(text: str, ports: dict[str, int]) -> str:
    """An address of a container as it is here."""
    return text.replace("embeddings:8080", f"127.0.0.1:{ports['embeddings']}")


class Containers:
    """The services of compose.yaml as processes."""

    def __init__(self, database_url: str, redis_url: str, folder: Path, stack: ExitStack) -> None:
        self._services: dict[str, Any] = composed(**PASSWORDS)["services"]
        self._folder, self._stack = folder, stack
        names = (*STARTED, "grpc")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        database = urlsplit(database_url)
        where = f"{database.hostname}:{database.port}{database.path}"
        self._servers = {
            "DATABASE_URL": f"postgresql://{database.username}@{where}",
            "PGPASSWORD": database.password or "",
            "REDIS_URL": redis_url,
        }

    def environment(self, name: str) -> dict[str, str]:
        """As the image and compose.yaml make it."""
        given = {key: translated(value, self.ports) for key, value in environment_of(self._services[name]).items()}
        ours = {
            "HOST": "127.0.0.1",
            "GRPC_HOST": "127.0.0.1",
            "PORT": str(self.ports["gateway"]),
            "GRPC_PORT": str(self.ports["grpc"]),
        }
        image = {
            "AGENT_MEMORY_SERVICE": name,
            "METRICS_PORT": str(self.ports.get(name, 0)),
            "HOME": "/tmp",
            "PATH": os.environ["PATH"],
        }
        return {**image, **given, **ours, **{key: value for key, value in self._servers.items() if key in given}}

    def run(self, name: str, *command: str) -> None:
        """A one-shot to its end."""
        program = python("agent_memory.cli.main", *command)
        found = subprocess.run(program, env=self.environment(name), cwd=self._folder, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        """A service, until the test ends or it is stopped."""
        if name == "embeddings":
            program = ["-m", "agent_memory.runtime.embed_server", "--host", "127.0.0.1", "--port", str(self.ports[name])]
        else:
            program = [str(IMAGE / "start.py")]
        log = self._stack.enter_context((self._folder / f"{name}.log").open("wb"))
        process = subprocess.Popen([sys.executable, *program], env=self.environment(name), cwd=self._folder, stdout=log, stderr=log)
        self._stack.callback(self.stop, process)
        return process

    def stop(self, process: "subprocess.Popen[bytes]") -> int:
        """Its exit code, after SIGTERM."""
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    def address(self, name: str) -> str:
        """Where it says whether it is ready."""
        return f"http://127.0.0.1:{self.ports[name]}/{'health' if name == 'embeddings' else 'ready'}"

    def healthy(self, name: str) -> bool:
        """What the health check of its container says."""
        program = [sys.executable, "-I", "-S", str(IMAGE / "healthy.py")]
        return subprocess.run(program, env=self.environment(name), capture_output=True, check=False).returncode == 0


@pytest.fixture
def containers(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Containers]:
    with ExitStack() as stack:
        yield Containers(database_url, redis_url, tmp_path, stack)


def test_what_compose_says_stores_finds_and_stops(containers: Containers, tmp_path: Path) -> None:
    containers.run("migrate", "migrate")
    assert not containers.healthy("gateway")
    processes = {name: containers.start(name) for name in STARTED}
    for name in STARTED:
        assert until(lambda name=name: is_healthy(containers.address(name)), SECONDS), (tmp_path / f"{name}.log").read_text()
    assert containers.healthy("gateway")
    assert containers.healthy("ingest")
    with httpx.Client(base_url=f"http://127.0.0.1:{containers.ports['gateway']}", timeout=SECONDS) as gateway:
        event = {"event_id": "e1", "session_id": "s1", "role": "user", "text": "From today we deploy on Thursdays."}
        position = gateway.post("/v1/events", json={"events": [event]}).raise_for_status().json()["position"]
        asked = {"text": "when do we ship?", "mode": "semantic"}
        found = gateway.post(f"/v1/timeline/search?min_position={position}", json=asked).raise_for_status().json()
        assert [hit["event_id"] for hit in found["events"]] == ["e1"]
    assert {name: containers.stop(process) for name, process in processes.items()} == dict.fromkeys(STARTED, 0)
