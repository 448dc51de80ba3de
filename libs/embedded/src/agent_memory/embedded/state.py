"""What runs in a home, as its supervisor last wrote it: read by `status`, `down`, `doctor` and the next start."""

from typing import Literal

import msgspec

from agent_memory.embedded.home import Home, write_private
from agent_memory.embedded.ports import LOOPBACK
from agent_memory.embedded.processes import is_alive

Phase = Literal["starting", "ready", "stopping", "stopped", "failed"]
Role = Literal["server", "nursery", "model", "service", "gateway"]


class ProcessState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process. `pid` and `born` together are its identity; `port` is 0 when it listens nowhere.

    `health` answers 200 when it works: an http URL, or `unix:SOCKET`; empty where only the supervisor can tell.
    """

    name: str
    role: Role
    pid: int
    born: str | None
    port: int = 0
    health: str = ""
    restarts: int = 0
    ready: bool = False
    log: str = ""

    @property
    def alive(self) -> bool:
        """Whether this very process runs now."""
        return is_alive(self.pid, self.born)


class StackState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The whole stack. The URLs carry passwords: the file is readable by its owner only.

    `grpc_host`: where this machine reaches gRPC, as it stands in a URL. `grpc_certificate`: file of what is shown there to
    those who connect; empty without TLS.
    """

    phase: Phase
    pid: int
    born: str | None
    home: str
    started_ms: int
    database_url: str = ""
    redis_url: str = ""
    working_memory_redis_url: str = ""
    embeddings_url: str = ""
    http_urls: list[str] = []
    grpc_host: str = LOOPBACK
    grpc_port: int = 0
    grpc_certificate: str = ""
    postgres_data: str = ""
    error: str = ""
    hint: str = ""
    processes: list[ProcessState] = []

    @property
    def alive(self) -> bool:
        """Whether its supervisor runs now."""
        return is_alive(self.pid, self.born)

    @property
    def grpc_endpoint(self) -> str:
        """Where it answers gRPC; empty where it does not. A certificate is for a name, not for an address."""
        if not self.grpc_port:
            return ""
        if not self.grpc_certificate:
            return f"http://{self.grpc_host}:{self.grpc_port}"
        return f"https://{'localhost' if self.grpc_host in (LOOPBACK, '[::1]') else self.grpc_host}:{self.grpc_port}"


def write_state(home: Home, state: StackState) -> None:
    """Replaces the state at once. Raises StackError when the folder no longer takes it."""
    write_private(home.state, msgspec.json.format(msgspec.json.encode(state)))


def read_state(home: Home) -> StackState | None:
    """The last state, or None when there is none that can be read (an older version's, or a half-erased home)."""
    try:
        return msgspec.json.decode(home.state.read_bytes(), type=StackState)
    except (OSError, msgspec.DecodeError):
        return None
