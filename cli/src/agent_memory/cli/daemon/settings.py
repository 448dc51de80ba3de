"""Settings of `memory-daemon` and `memory-ingest`: defaults, then config.toml, then the environment, then what was typed."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent_memory.cli.daemon.pidfile import home_in, pid_path, running_in
from agent_memory.client.endpoint import DEFAULT_PORT
from agent_memory.embedded.home import Home, home_path

LEVELS = ("trace", "debug", "info", "warn", "error")


class DaemonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`db_path`: the home of the stack; empty, AGENT_MEMORY_HOME or the usual place. `endpoint`: empty, the stack of that home,
    or else the one that `memory-daemon start` started, wherever its home is.
    `ca_file`: the certificates to trust with https (PEM); empty, those of this system, or the certificate of that stack.
    `cert_file` and `key_file` (PEM): what is shown to a server that asks who connects.
    `grpc_host`: empty, both loopbacks; beyond them it needs authentication. `log_level`: empty, LOG_LEVEL, or info.
    """

    db_path: str = ""
    grpc_host: str = ""
    grpc_port: int = DEFAULT_PORT
    log_level: str = ""
    endpoint: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    token: str | None = None
    namespace: str | None = None
    user_id: str | None = None

    def home(self, environment: Mapping[str, str]) -> Home:
        """Where the stack keeps everything."""
        return Home(path=Path(self.db_path).expanduser().absolute() if self.db_path else home_path(environment))

    def reach(self, environment: Mapping[str, str]) -> "Reach":
        """The endpoint that is set, or that of the stack that runs here, or the usual one."""
        mine = Reach(endpoint=self.endpoint, ca_file=self.ca_file, cert_file=self.cert_file, key_file=self.key_file)
        if self.endpoint:
            return mine
        started = None if self.db_path else home_in(pid_path(environment))
        for home in (self.home(environment), started):
            state = running_in(home) if home else None
            if state and state.grpc_port:
                return mine.at(state.grpc_endpoint, state.grpc_certificate)
        return mine.at(f"http://[::1]:{self.grpc_port or DEFAULT_PORT}")


class Certificates(msgspec.Struct, frozen=True, kw_only=True):
    """PEM: `roots` are trusted; `chain` with its `key` is shown. None: those of this system, and nothing."""

    roots: bytes | None = None
    chain: bytes | None = None
    key: bytes | None = None


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service is, which certificates (a PEM file) are trusted there, empty those of this system, and which one is shown."""

    endpoint: str
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def at(self, endpoint: str, certificate: str = "") -> "Reach":
        """The same at another place, where this certificate is trusted unless others are named."""
        return msgspec.structs.replace(self, endpoint=endpoint, ca_file=self.ca_file or certificate)

    def certificates(self) -> Certificates:
        """Raises BadConfig."""
        if bool(self.cert_file) != bool(self.key_file):
            raise BadConfig("cert_file and key_file go together: set both, or none")
        read = {name: _content(name, getattr(self, name)) for name in ("ca_file", "cert_file", "key_file")}
        return Certificates(roots=read["ca_file"], chain=read["cert_file"], key=read["key_file"])


def _content(name: str, file: str) -> bytes | None:
    try:
        return Path(file).expanduser().read_bytes() if file else None
    except OSError as error:
        raise BadConfig(f"{name} {file} cannot be read: {error.strerror}") from None


ENVIRONMENT = {
    "db_path": ("MEMORY_DB_PATH",),
    "grpc_host": ("MEMORY_GRPC_HOST",),
    "grpc_port": ("MEMORY_GRPC_PORT", "GRPC_PORT"),
    "log_level": ("MEMORY_LOG_LEVEL",),
    "endpoint": ("MEMORY_ENDPOINT", "MEMORY_DAEMON_ADDR"),
    "ca_file": ("MEMORY_CA_FILE",),
    "cert_file": ("MEMORY_CERT_FILE",),
    "key_file": ("MEMORY_KEY_FILE",),
    "token": ("MEMORY_TOKEN", "AGENT_MEMORY_TOKEN"),
    "namespace": ("MEMORY_NAMESPACE",),
    "user_id": ("MEMORY_USER_ID",),
}
"""Each setting's variables; the first that is set holds."""


class BadConfig(Exception):
    """A setting that cannot be used; the text says which, where, and why."""


def config_path(environment: Mapping[str, str]) -> Path:
    """The usual place of the config file."""
    folder = environment.get("XDG_CONFIG_HOME", "").strip()
    return (Path(folder) if folder else Path.home() / ".config") / "agent-memory" / "config.toml"


def load_settings(environment: Mapping[str, str], file: Path | None = None, **typed: Any) -> DaemonSettings:
    """The settings that hold. `file` must be there when it was named; `typed` are options, None where one was not given.

    Raises BadConfig.
    """
    told = file_content(environment, file)
    given = {name: told[name] for name in ENVIRONMENT if name in told}
    for name, variables in ENVIRONMENT.items():
        value = next((value for variable in variables if (value := environment.get(variable, "").strip())), None)
        if value is not None:
            given[name] = _number(value, variables[0]) if name == "grpc_port" else value
    if environment.get("AGENT_MEMORY_HOME", "").strip() and not environment.get("MEMORY_DB_PATH", "").strip():
        # That names the home too, and is nearer than the file.
        given.pop("db_path", None)
    given |= {name: value for name, value in typed.items() if value is not None}
    try:
        settings = msgspec.convert(given, DaemonSettings)
    except msgspec.ValidationError as error:
        raise BadConfig(str(error)) from None
    if settings.log_level and settings.log_level.lower() not in LEVELS:
        raise BadConfig(f"log_level is one of {', '.join(LEVELS)}, not {settings.log_level!r}")
    if not 0 <= settings.grpc_port < 65_536:
        raise BadConfig(f"grpc_port is 0 (any that is free) to 65535, not {settings.grpc_port}")
    return msgspec.structs.replace(settings, log_level=settings.log_level.lower())


def file_content(environment: Mapping[str, str], file: Path | None = None) -> dict[str, Any]:
    """What the config file says, also what is none of our settings; nothing where the usual one is not there. Raises BadConfig."""
    place = file or config_path(environment)
    try:
        return tomllib.loads(place.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError) as error:
        if file is not None:
            raise BadConfig(f"{place} cannot be read: {error.strerror}") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadConfig(f"{place} cannot be read: {error}") from None


def _number(value: str, variable: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise BadConfig(f"{variable} is a number, not {value!r}") from None
