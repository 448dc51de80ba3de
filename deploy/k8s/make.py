"""Writes what follows from the chart: its schema, the README of its values, and the plain manifests. `./run manifests` runs it."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import helm_python
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from dashboards import DASHBOARDS, dashboard
from schema import schema

HERE = Path(__file__).parent
CHART = HERE / "chart"
NAMESPACE = "agent-memory"
MCP: dict[str, Any] = {"mcp": {"enabled": True, "mode": "standalone"}}
"""By itself, so that an overlay can leave it out, or have more of it, as of any other service."""
PLAIN: dict[str, Any] = {**MCP, "networkPolicy": {"enabled": False}}
"""The base has no policies: they must name where Postgres and Redis are, which only an overlay knows."""
SERVERS: dict[str, Any] = {**MCP, "postgres": {"bundled": True}, "redis": {"bundled": True}}
OUTSIDE: dict[str, Any] = {
    **MCP,
    "ingress": {"enabled": True},
    "networkPolicy": {
        server: {"peers": [{"ipBlock": {"cidr": cidr}}]}
        for server, cidr in (("postgres", "10.0.0.10/32"), ("redis", "10.0.0.11/32"))
    },
}
"""What the production overlay adds. The addresses are examples, to be changed."""
LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same in C, ten times as fast, where PyYAML brings it."""
_KEY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z]+):(?P<value>.*)$")


def rendered(values: dict[str, Any], name: str = "agent-memory", namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """All objects of the chart, in the order of their files. Raises helm_python.HelmError for values that it refuses."""
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name=name, namespace=namespace)
    texts = [text for path, text in sorted(files.items()) if path.endswith(".yaml")]
    return [one for text in texts for one in yaml.load_all(text, Loader=LOADER) if one]


def is_test(one: dict[str, Any]) -> bool:
    """Whether Helm alone knows when to run it."""
    return bool(one["metadata"].get("annotations", {}).get("helm.sh/hook", "") == "test")


def plain(objects: list[dict[str, Any]]) -> str:
    """Objects as kubectl applies them: nothing says that Helm made them."""
    for one in objects:
        metadata = one["metadata"]
        metadata["labels"] = {
            key: value
            for key, value in metadata.get("labels", {}).items()
            if key not in ("helm.sh/chart", "app.kubernetes.io/managed-by")
        }
        kept = {key: value for key, value in metadata.get("annotations", {}).items() if not key.startswith("helm.sh/")}
        metadata.pop("annotations", None)
        if kept:
            metadata["annotations"] = kept
    head = "# Made by `./run manifests` from deploy/k8s/chart; not to be edited here.\n"
    return head + yaml.safe_dump_all(objects, sort_keys=False, width=120)


def base() -> str:
    """Everything, with Postgres and Redis of your own."""
    return plain([one for one in rendered(PLAIN) if not is_test(one)])


def servers() -> str:
    """The bundled Postgres and Redis, and who may talk to whom then."""
    wanted = ("postgres", "redis")
    return plain(
        [
            one
            for one in rendered(SERVERS)
            if one["kind"] == "NetworkPolicy" or one["metadata"].get("labels", {}).get("app.kubernetes.io/component") in wanted
        ]
    )


def outside() -> str:
    """The ingresses and policies of the production overlay."""
    return plain([one for one in rendered(OUTSIDE) if one["kind"] in ("Ingress", "NetworkPolicy")])


MADE: dict[Path, Callable[[], str]] = {
    CHART / "values.schema.json": lambda: json.dumps(schema(), indent=2) + "\n",
    CHART / "README.md": lambda: readme(),
    **{CHART / "files" / "dashboards" / f"{name}.json": partial(dashboard, name) for name in DASHBOARDS},
    HERE / "base" / "agent-memory.yaml": base,
    HERE / "servers" / "servers.yaml": servers,
    HERE / "overlays" / "prod" / "outside.yaml": outside,
}
"""Every file that is made, and how. The schema comes first: the others are rendered by it."""


def described(text: str) -> Iterator[tuple[str, str, str]]:
    """Each key of values.yaml that has a comment: its path, its default, what the comment says."""
    path: list[str] = []
    said: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith("#"):
            said.append(line.strip().lstrip("# "))
            continue
        found = _KEY.match(line)
        if found:
            depth = len(found["indent"]) // 2
            path = [*path[:depth], found["name"]]
            if said:
                yield ".".join(path), found["value"].strip(), " ".join(said)
        said = []


def readme() -> str:
    """README.md of the chart."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    rows = []
    for path, _, meaning in described((CHART / "values.yaml").read_text()):
        default: Any = values
        for part in path.split("."):
            default = default[part]
        simple = not isinstance(default, dict) or not default
        shown = f"`{json.dumps(default, ensure_ascii=False)}`" if simple else ""
        rows.append(_row(path, shown, meaning))
    return README.replace("ROWS", "\n".join(rows))


def _row(path: str, shown: str, meaning: str) -> str:
    escaped = meaning.replace("|", r"\|")
    return f"| `{path}` | {shown} | {escaped} |"


README = """# agent-memory

One Helm chart for all services. How to install, scale, upgrade and look after it: `docs/operations.md`.

```sh
kubectl create namespace agent-memory
kubectl --namespace agent-memory create secret generic agent-memory-postgres --from-literal=DATABASE_URL=postgresql://…
kubectl --namespace agent-memory create secret generic agent-memory-redis --from-literal=REDIS_URL=redis://…
helm install agent-memory deploy/k8s/chart --namespace agent-memory --values your-values.yaml
helm test agent-memory --namespace agent-memory
```

Your values name at least `image.registry`, and, while `networkPolicy.enabled`, where Postgres and Redis are
(`networkPolicy.postgres.peers`, `networkPolicy.redis.peers`). A key that is not in the table is refused.

## Values

Made by `./run manifests` from values.yaml.

| key | default | meaning |
|---|---|---|
ROWS
"""


if __name__ == "__main__":
    for file, make in MADE.items():
        file.write_text(make())
