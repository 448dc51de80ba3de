"""The Helm chart, rendered, and what stands in it. No cluster is asked."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

import kubernetes_validate
from kubernetes_validate import utils as validating

from support.composed import ROOT

# It reads, and parses, all definitions of a version of Kubernetes for each object.
validating.schema_contents = cache(validating.schema_contents)

K8S = ROOT / "deploy" / "k8s"
Object = dict[str, Any]

PEERS = {server: {"peers": [{"ipBlock": {"cidr": "10.0.0.10/32"}}]} for server in ("postgres", "redis")}
EXTERNAL: Object = {"networkPolicy": PEERS}
BUNDLED: Object = {"postgres": {"bundled": True}, "redis": {"bundled": True}}
EVERYTHING: Object = {
    **BUNDLED,
    "image": {"tag": "1.2.3", "digests": {"gateway": "sha256:" + "a" * 64}, "pullSecrets": ["registry"]},
    "settings": {"LOG_LEVEL": "DEBUG", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.telemetry:4318"},
    "models": {"existingSecret": "agent-memory-models"},
    "certificates": {"existingConfigMap": "authorities"},
    "backup": {"enabled": True, "storage": "50Gi", "storageClass": "slow"},
    "mcp": {"enabled": True, "settings": {"DEFAULT_MCP_NAMESPACE": "work"}},
    "grpc": {"tlsSecret": "grpc-tls"},
    "ingress": {"enabled": True, "annotations": {"cert-manager.io/cluster-issuer": "ca"}},
    "networkPolicy": {
        "telemetry": {"peers": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "telemetry"}}}]}
    },
    "monitoring": {
        "serviceMonitor": True,
        "tokenSecret": "metrics-token",
        "prometheusRule": True,
        "dashboards": True,
        "labels": {"release": "prometheus"},
    },
    "serviceDefaults": {"priorityClassName": "high", "nodeSelector": {"disk": "ssd"}, "podAnnotations": {"a/b": "c"}},
    "services": {
        "ingest": {"autoscaling": {"by": "lag"}, "settings": {"LOG_LEVEL": "INFO"}},
        "indexer": {"autoscaling": {"by": "lag", "min": 0}},
        "summarizer": {"tolerations": [{"key": "spot", "operator": "Exists"}]},
        "ops": {"replicas": 1},
    },
}
PROVIDER: Object = {
    **EXTERNAL,
    "settings": {
        "EMBEDDING_MODEL": "text-embedding-3-small",
        "OAUTH2_ISSUER_URL": "https://issuer.example/",
        "OAUTH2_AUDIENCE": "memory",
    },
    "auth": {"mode": "oauth2"},
    "models": {"existingSecret": "agent-memory-models"},
    "backup": {"enabled": True, "existingClaim": "mine", "keep": 30, "schedule": "@hourly"},
    "redis": {"address": "redis.example:6380", "tls": True},
    "services": {"embeddings": {"enabled": False}, "ops": {"enabled": False}, "rollup": {"autoscaling": {"by": "lag"}}},
    "podDisruptionBudget": {"enabled": False},
}
STANDALONE: Object = {
    **BUNDLED,
    "settings": {"OAUTH2_ISSUER_URL": "https://issuer.example/", "OAUTH2_AUDIENCE": "memory"},
    "auth": {"mode": "oauth2"},
    "mcp": {"enabled": True, "mode": "standalone", "nodeSelector": {"disk": "none"}, "settings": {"LOG_LEVEL": "DEBUG"}},
    "ingress": {"enabled": True, "mcp": {"host": "mcp.memory.example"}},
    "monitoring": {"serviceMonitor": True, "tokenSecret": "metrics-token"},
}
OPEN: Object = {
    "auth": {"mode": "disabled", "allowOpen": True},
    "networkPolicy": {"enabled": False},
    "migrations": {"enabled": False},
}
SETS = {
    "external": EXTERNAL,
    "bundled": BUNDLED,
    "everything": EVERYTHING,
    "provider": PROVIDER,
    "standalone": STANDALONE,
    "open": OPEN,
}


def made() -> ModuleType:
    """The program that writes what follows from the chart."""
    if "k8s_make" not in sys.modules:
        spec = importlib.util.spec_from_file_location("k8s_make", K8S / "make.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules["k8s_make"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["k8s_make"])
    return sys.modules["k8s_make"]


@cache
def _rendered(values: str) -> list[Object]:
    objects: list[Object] = made().rendered(json.loads(values), name="am", namespace="memory")
    return objects


def rendered(values: Object) -> list[Object]:
    """All objects of the chart. Raises helm_python.HelmError."""
    return _rendered(json.dumps(values))


def accept(one: Object, version: str) -> None:
    """Raises kubernetes_validate.ValidationError for an object that this version of Kubernetes would not take to the letter."""
    kubernetes_validate.validate(one, version, strict=True)


def component(one: Object) -> str:
    """Which part of the system an object belongs to."""
    label: str = one["metadata"].get("labels", {}).get("app.kubernetes.io/component", "")
    return label


def kind(objects: list[Object], name: str) -> dict[str, Object]:
    """Objects of a kind by their part, or by their name where they have none."""
    return {component(one) or one["metadata"]["name"]: one for one in objects if one["kind"] == name}


def pods(objects: list[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Every pod that is to run: its name, labels, spec."""
    for one in objects:
        if one["kind"] == "Pod":
            yield one["metadata"]["name"], one["metadata"].get("labels", {}), one["spec"]
        elif one["kind"] in ("Deployment", "StatefulSet", "Job", "CronJob"):
            template = one["spec"].get("jobTemplate", one)["spec"]["template"]
            yield one["metadata"]["name"], template["metadata"]["labels"], template["spec"]


def environment(container: Object) -> dict[str, Object]:
    """Variables of a container by name."""
    return {each["name"]: each for each in container.get("env", ())}
