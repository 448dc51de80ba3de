"""compose.yaml as the real parser of Docker Compose reads it. No engine is asked."""

import json
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PASSWORDS = {"POSTGRES_PASSWORD": "p-ostgres", "REDIS_PASSWORD": "redis1"}


class ComposeError(Exception):
    """What the parser said of the file."""


def parser() -> Path:
    """The program. Its launcher on the path tells nobody when it fails."""
    carrier = find_spec("compose")
    if carrier is None or carrier.origin is None:
        raise ComposeError("the parser is not installed here")
    return Path(carrier.origin).with_name("docker-compose")


def composed(*profiles: str, files: tuple[str, ...] = (), **variables: str) -> dict[str, Any]:
    """The services of compose.yaml, everything filled in. `variables` are all that the shell says. Raises ComposeError."""
    chosen = [word for profile in profiles for word in ("--profile", profile)]
    env_files = [word for file in ("/dev/null", *files) for word in ("--env-file", file)]
    command = [str(parser()), *env_files, "-f", str(ROOT / "compose.yaml"), *chosen, "config", "--format", "json"]
    run = subprocess.run(command, env={"HOME": "/nonexistent", **variables}, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        raise ComposeError(run.stderr.strip())
    parsed: dict[str, Any] = json.loads(run.stdout)
    return parsed


def environment_of(service: Mapping[str, Any]) -> dict[str, str]:
    """What a container of the service has in its environment: what has no value is not there."""
    return {name: value for name, value in (service.get("environment") or {}).items() if value is not None}
