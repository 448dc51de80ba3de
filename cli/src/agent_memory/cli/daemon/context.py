"""What every command of `memory-daemon` is told: the settings that hold, and the environment they stand in."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from agent_memory.cli.daemon.old_keys import variables, without_effect
from agent_memory.cli.daemon.settings import BadConfig, DaemonSettings, config_path, file_content, load_settings
from agent_memory.cli.output import CommandError, callable_here, note, print_json, printable
from agent_memory.client.errors import ConnectionFailed, InvalidEndpoint, MemoryClientError, Unauthorized
from agent_memory.embedded.home import Home

if TYPE_CHECKING:
    from agent_memory.client.grpc_clients import SyncTimelineClient

NOT_RUNNING = 3
CALL_SECONDS = 30.0
CREDENTIAL = (
    "AGENT_MEMORY_TOKEN (or MEMORY_TOKEN, or token in the config file) is the credential; `agent-memory token add` makes one"
)
Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint", "-e", metavar="URL", help="gRPC endpoint (default: http://[::1]:50051)", show_default=False),
]


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """`file` and `log_level` as they were typed; further options of a command are laid over them with `given`."""

    environment: Mapping[str, str]
    file: Path | None = None
    log_level: str | None = None

    def given(self, **typed: Any) -> DaemonSettings:
        """The settings with these options. Raises CommandError (code 2)."""
        try:
            return load_settings(self.environment, self.file, log_level=self.log_level, **typed)
        except BadConfig as error:
            raise CommandError(str(error), hint="memory-daemon --help shows where settings come from", code=2) from None

    def models(self) -> dict[str, str]:
        """Variables for the stack that the file's `[summarizer]` stands for; notes what of the file has no effect here.

        Raises CommandError (code 2).
        """
        place = self.file or config_path(self.environment)
        try:
            told = file_content(self.environment, self.file)
            found = variables(told, self.environment)
        except BadConfig as error:
            hint = "memory-daemon --help shows where settings come from"
            raise CommandError(f"{place}: {error}", hint=hint, code=2) from None
        if idle := without_effect(told):
            note(f"{place}: without effect here: {', '.join(idle)}")
        return found


def context_of(context: typer.Context) -> Context:
    """What `main` found out before the command."""
    found = context.find_object(Context)
    return found or Context(environment=os.environ)


@contextmanager
def timeline_at(
    settings: DaemonSettings, environment: Mapping[str, str], *, start: str = "memory-daemon start"
) -> Iterator["SyncTimelineClient"]:
    """A connected client. `start`: the command that whoever asks would start a stack with.

    Raises CommandError: code 3 when nobody answers, 1 for what the service refuses.
    """
    # What gRPC itself logs of a connection that fails is in the error, too.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    # Loaded when somebody is to be asked: --help need not wait for it.
    from agent_memory.client.grpc_clients import SyncTimelineClient  # noqa: PLC0415

    reach = settings.reach(environment)
    endpoint = reach.endpoint
    try:
        certificates = reach.certificates()
        with SyncTimelineClient.connect(
            endpoint,
            settings.token,
            namespace=settings.namespace,
            user_id=settings.user_id,
            timeout=CALL_SECONDS,
            root_certificates=certificates.roots,
            private_key=certificates.key,
            certificate_chain=certificates.chain,
        ) as timeline:
            yield timeline
    except BadConfig as error:
        raise CommandError(str(error), code=2) from None
    except ConnectionFailed as error:
        raise CommandError(
            f"memory daemon not running -- start with: {callable_here(start)} (endpoint: {endpoint})",
            hint=error.detail + (f"; where it speaks TLS: https://{endpoint.rpartition('://')[2]}" if _hung_up(error) else ""),
            code=NOT_RUNNING,
        ) from None
    except Unauthorized as error:
        raise CommandError(str(error), hint=CREDENTIAL) from None
    except InvalidEndpoint as error:
        raise CommandError(str(error), hint="--endpoint http://host:port", code=2) from None
    except MemoryClientError as error:
        raise CommandError(str(error)) from None


def _hung_up(error: ConnectionFailed) -> bool:
    """Whether somebody listens, and closes what is said without TLS."""
    return "Socket closed" in error.detail


def enter(home: Home) -> None:
    """Makes this home the one that everything here looks into from now on."""
    os.environ["AGENT_MEMORY_HOME"] = str(home.path)


def _whole(answer: Any) -> Any:
    """With every field, also where it says what is usual: programs are not told what that is."""
    if isinstance(answer, msgspec.Struct):
        return {name: _whole(getattr(answer, name)) for name in answer.__struct_fields__}
    if isinstance(answer, Mapping):
        return {name: _whole(value) for name, value in answer.items()}
    return [_whole(one) for one in answer] if isinstance(answer, list) else answer


def tell(lines: list[str], answer: object, *, as_json: bool) -> None:
    """Prints an answer for people or for programs."""
    if as_json:
        print_json(_whole(answer))
    else:
        print("\n".join(printable(line) for told in lines for line in told.split("\n")))
