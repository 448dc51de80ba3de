"""Writes docs/settings.md from the structs that hold the settings, and from who reads them. `--check`: is it current?"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec

from agent_memory.runtime.settings.accepted import Accepted
from agent_memory.runtime.settings.auth import AuthSettings, Switches
from agent_memory.runtime.settings.kinds import marks
from agent_memory.runtime.settings.settings import Settings

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "settings.md"
FOLDER = ROOT / "libs/runtime/src/agent_memory/runtime/settings"
SECTIONS = (
    ("Servers", "servers.py", Settings),
    ("Models", "models.py", Settings),
    ("Working memory", "working.py", Settings),
    ("Long-term memory", "longterm.py", Settings),
    ("Timeline", "timeline.py", Settings),
    ("Authentication", "auth.py", AuthSettings),
    ("Authentication, said otherwise", "auth.py", Switches),
)
WITHOUT_EFFECT = ("accepted.py", Accepted)
CONTRACT = """
REDIS_URL LONG_TERM_MEMORY OPENAI_API_KEY ANTHROPIC_API_KEY OPENAI_API_BASE ANTHROPIC_API_BASE GENERATION_MODEL
EMBEDDING_MODEL REGION_NAME AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN SLOW_MODEL FAST_MODEL PORT MCP_HOST
MCP_PORT MEMORY_VECTOR_DB_FACTORY REDISVL_INDEX_NAME ENABLE_DISCRETE_MEMORY_EXTRACTION TOPIC_MODEL_SOURCE TOPIC_MODEL
ENABLE_TOPIC_EXTRACTION TOP_K_TOPICS NER_MODEL_SOURCE NER_MODEL ENABLE_NER INDEX_ALL_MESSAGES_IN_LONG_TERM_MEMORY
REDISVL_DISTANCE_METRIC REDISVL_VECTOR_DIMENSIONS REDISVL_INDEX_PREFIX REDISVL_INDEXING_ALGORITHM WORKING_MEMORY_INDEX_NAME
WORKING_MEMORY_INDEX_PREFIX DEDUPLICATION_DISTANCE_THRESHOLD DOCKET_NAME USE_DOCKET DISABLE_AUTH AUTH_MODE OAUTH2_ISSUER_URL
OAUTH2_AUDIENCE OAUTH2_JWKS_URL OAUTH2_ALGORITHMS TOKEN_AUTH_ENABLED AUTH0_CLIENT_ID AUTH0_CLIENT_SECRET
ENABLE_WORKING_MEMORY_SUMMARIZATION SUMMARIZATION_THRESHOLD REQUIRE_MESSAGE_TIMESTAMPS MAX_FUTURE_TIMESTAMP_SECONDS
WORKING_MEMORY_MIGRATION_COMPLETE EXTRACTION_DEBOUNCE_SECONDS QUERY_OPTIMIZATION_PROMPT_TEMPLATE MIN_OPTIMIZED_QUERY_LENGTH
LOG_LEVEL DEFAULT_MCP_USER_ID DEFAULT_MCP_NAMESPACE FORGETTING_ENABLED FORGETTING_EVERY_MINUTES FORGETTING_MAX_AGE_DAYS
FORGETTING_MAX_INACTIVE_DAYS FORGETTING_BUDGET_KEEP_TOP_N SUMMARY_VIEW_REFRESH_EVERY_MINUTES COMPACTION_EVERY_MINUTES
COMPACT_SEMANTIC_DUPLICATES LLM_TASK_TIMEOUT_MINUTES PROGRESSIVE_SUMMARIZATION_PROMPT WINDOW_SIZE
"""
"""What the Redis agent memory server reads, and did in its time (WINDOW_SIZE)."""
HEAD = """# Settings

Made by `python docs/make_settings.py` from the code; not to be edited here. Each is an environment variable, or a line
`NAME=value` of `.env` in the working directory of the process; the environment wins. `agent-memory config` shows what holds.

Truth values are `1`, `true`, `t`, `yes`, `y`, `on` and `0`, `false`, `f`, `no`, `n`, `off`, in any case; lists and
objects are JSON. An empty variable counts as unset, unless it is text. A value that cannot be used stops the start of every
service, with the name of the variable and what would do. Variables not named here are ignored. 🔑 marks what is
shown nowhere: neither in logs nor by `agent-memory config`; of addresses the password is left out.

*Origin*: `server` for what the Redis agent memory server reads too, with the same meaning; `own` for what is of this one alone.
"""
TAIL = """
Beside these: `AGENT_MEMORY_HOME` (`~/.local/share/agent-memory`) is where `agent-memory up` keeps data and logs;
`AGENT_MEMORY_URL` and `AGENT_MEMORY_TOKEN` are for the commands that talk to a server; further variables that begin with `OTEL_`
are those of OpenTelemetry.
"""


class Field(msgspec.Struct, frozen=True):
    """A setting as its struct declares it."""

    name: str
    type: Any
    default: Any
    meaning: str


def fields(file: str, struct: type[msgspec.Struct]) -> Iterator[Field]:
    """Those that a file adds. Raises SystemExit for one without a docstring."""
    declared = {field.name: field for field in msgspec.structs.fields(struct)}
    for of in (node for node in ast.parse((FOLDER / file).read_text()).body if isinstance(node, ast.ClassDef)):
        for line, after in zip(of.body, [*of.body[1:], None], strict=True):
            if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or line.target.id not in declared:
                continue
            field = declared[line.target.id]
            if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str)):
                raise SystemExit(f"{file}: {field.name} says nothing of itself")
            yield Field(field.name, field.type, _usual(field), " ".join(after.value.value.split()))


def readers() -> dict[str, set[str]]:
    """By field, which parts of the system read it."""
    found: dict[str, set[str]] = {}
    through = _properties()
    for path in sorted(path for part in ("libs", "services", "cli") for path in (ROOT / part).rglob("src/**/*.py")):
        part = _part(path)
        if part is None:
            continue
        for name in _read(ast.parse(path.read_text())):
            for field in through.get(name, {name}):
                found.setdefault(field, set()).add(part)
    return found


def _read(tree: ast.AST) -> Iterator[str]:
    """Names read from something that holds settings, and names of variables asked of the environment."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            holder = ast.unparse(node.value)
            if holder.endswith(("settings", "auth", "chosen", "switches")) or holder.startswith("parsed("):
                yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isupper():
            yield node.value.lower()


def _properties() -> dict[str, set[str]]:
    """Properties of the structs, and the fields that they are made of."""
    return {
        node.name: {
            inner.attr
            for inner in ast.walk(node)
            if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "self"
        }
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and any(ast.unparse(one) == "property" for one in node.decorator_list)
    }


def _part(path: Path) -> str | None:
    parts = path.relative_to(ROOT).parts
    if path.is_relative_to(FOLDER):
        return "every service, at the start" if path.name == "auth.py" else None
    if parts[0] == "services":
        return parts[1]
    if parts[0] == "cli":
        return "`agent-memory`"
    if parts[1] == "auth":
        return "whoever checks tokens"
    if parts[1] == "runtime":
        for start, who in (("embed", "whoever embeds"), ("llm", "whoever asks a model")):
            if path.name.startswith(start):
                return who
        return "every service"
    return "`agent-memory up`" if parts[1] == "embedded" else None


def page() -> str:
    """The whole text."""
    who = readers()
    lines = [HEAD]
    for title, file, struct in SECTIONS:
        lines += [f"## {title}", "", "| variable | type | default | meaning | read by | origin |", "|---|---|---|---|---|---|"]
        lines += [_row(field, ", ".join(sorted(who.get(field.name, {"nobody"})))) for field in fields(file, struct)]
        lines.append("")
    lines += ["## Accepted, without effect", "", "They may stay set. A value that never was one of theirs stops the start.", ""]
    lines += ["| variable | type | default | why it has none |", "|---|---|---|---|"]
    lines += [_cells(_name(field), _type(field.type), _default(field), field.meaning) for field in fields(*WITHOUT_EFFECT)]
    return "\n".join(lines) + "\n" + TAIL


def _row(field: Field, who: str) -> str:
    origin = "server" if field.name.upper() in CONTRACT.split() else "own"
    return _cells(_name(field), _type(field.type), _default(field), field.meaning, who, origin)


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _name(field: Field) -> str:
    return f"`{field.name.upper()}`{' 🔑' if 'secret' in marks(field.type) else ''}"


def _type(kind: Any) -> str:
    inner = [one for one in get_args(kind) if one is not type(None)]
    if inner and all(isinstance(one, str) for one in inner):
        return " or ".join(inner)
    names = {str: "text", int: "whole number", float: "number", bool: "truth value"}
    if "address" in marks(kind):
        return "address"
    if get_origin(kind) is dict:
        return "object"
    return "list" if ... in inner else names[inner[0] if inner else kind]


def _usual(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def _default(field: Field) -> str:
    if field.default in ("", None):
        return "–"
    if isinstance(field.default, str) and len(field.default) > 80:
        return "a prompt"
    value = field.default
    if isinstance(value, tuple):
        value = msgspec.json.encode(value).decode()
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main() -> None:
    """Write the page, or with `--check` exit with 1 when it is not current."""
    if "--check" in sys.argv[1:]:
        raise SystemExit(PAGE.read_text() != page())
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
