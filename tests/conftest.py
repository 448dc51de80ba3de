"""Fixtures that every test may ask for. Servers start with the first test that needs them, once per session."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from support.forked import Forking
from support.forks import NEST
from support.servers import Servers, flush, fresh_database, started_servers
from support.typed import Typed

# A busy machine is no fault: how long an example takes says nothing about it.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Without a configuration structlog draws tracebacks with all that is known in every frame: half a second for each.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Real Postgres and Redis for the whole session."""
    with started_servers() as started:
        yield started


@pytest.fixture(scope="session", autouse=True)
def nest() -> Iterator[None]:
    """Where `support/forks.py` forks programs. It is made when the first one is asked for."""
    yield
    NEST.stop()


@pytest.fixture
def database_url(servers: Servers) -> Iterator[str]:
    """A migrated, empty database of this test alone."""
    with fresh_database(servers) as url:
        yield url


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """Redis, empty."""
    flush(servers.redis_url)
    return servers.redis_url


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """The command line, whoever runs the tests."""
    for name in ("AGENT_MEMORY_PROGRAM", "AGENT_MEMORY_URL", "AGENT_MEMORY_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Typed(capsys, monkeypatch)


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Forking:
    """Starts services, and workers of tests, quickly."""
    return Forking(tmp_path_factory.mktemp("forked"))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Files: a certificate for localhost that signs itself, and its key."""
    folder: Path = tmp_path_factory.mktemp("tls")
    key, chain = folder / "key.pem", folder / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(chain)]
    subprocess.run(made, check=True, capture_output=True)
    return str(chain), str(key)
