"""The schema of the chart's values: every key by name, so that a misspelt one is refused and not ignored."""

from typing import Any

import msgspec

from agent_memory.runtime.settings import Settings
from agent_memory.runtime.settings.auth import AuthSettings
from agent_memory.runtime.settings.kinds import Secret

DECIDED = frozenset(
    {"DATABASE_URL", "REDIS_URL", "WORKING_MEMORY_REDIS_URL", "SERVICE_REPLICA", "AUTH_MODE"}
    | {"HOST", "PORT", "GRPC_HOST", "GRPC_PORT", "METRICS_PORT", "MCP_HOST", "MCP_PORT"}
    | {"GRPC_TLS_CERT_FILE", "GRPC_TLS_KEY_FILE", "GRPC_TLS_CLIENT_CA_FILE"}
)
"""Settings that the chart makes itself."""

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
YES: Schema = {"type": "boolean"}
NAME: Schema = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}
MAYBE_NAME: Schema = {"type": "string", "pattern": "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
AMOUNT: Schema = {"type": "string", "pattern": "^[0-9.]+(m|Ki|Mi|Gi|Ti)?$"}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
PERCENT: Schema = {"type": "integer", "minimum": 1, "maximum": 100}
PEERS: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {"namespaceSelector": {"type": "object"}, "podSelector": {"type": "object"}, "ipBlock": {"type": "object"}},
    },
}


def whole(least: int) -> Schema:
    """A whole number of at least `least`."""
    return {"type": "integer", "minimum": least}


def one_of(*words: str) -> Schema:
    """One of these words."""
    return {"enum": list(words)}


def table(**fields: Schema) -> Schema:
    """An object with these keys and no others."""
    return {"type": "object", "additionalProperties": False, "properties": fields}


def settings() -> list[str]:
    """Names that `settings` may hold: none that the chart decides, and no secrets, which values are no place for."""
    fields = (*msgspec.structs.fields(Settings), *msgspec.structs.fields(AuthSettings))
    return sorted(field.name.upper() for field in fields if field.type is not Secret and field.name.upper() not in DECIDED)


def schema() -> Schema:
    """The whole of it, as JSON Schema."""
    reference = {name: {"$ref": f"#/$defs/{name}"} for name in ("settings", "resources", "service", "server", "peers", "labels")}
    amounts = table(cpu=AMOUNT, memory=AMOUNT)
    stream = {**table(stream=TEXT, group=TEXT), "required": ["stream", "group"]}
    scaling = table(
        by=one_of("none", "cpu", "lag"),
        min=whole(0),
        max=whole(1),
        cpu=PERCENT,
        streams={"type": "array", "items": stream},
        lagCount=whole(1),
        activationLagCount=whole(0),
    )
    running: dict[str, Schema] = {
        "enabled": YES,
        "replicas": whole(0),
        "settings": reference["settings"],
        "resources": reference["resources"],
        "graceSeconds": whole(5),
        "nodeSelector": TEXTS,
        "tolerations": {"type": "array", "items": {"type": "object"}},
        "affinity": {"type": "object"},
        "priorityClassName": TEXT,
        "podAnnotations": TEXTS,
        "podLabels": reference["labels"],
    }
    kinds = one_of("gateway", "worker", "embeddings", "ops")
    service = table(**running, kind=kinds, servers=YES, models=YES, asks=YES, embeds=YES, autoscaling=scaling)
    by_cpu = table(by=one_of("none", "cpu"), min=whole(1), max=whole(1), cpu=PERCENT)
    server = {
        "bundled": YES,
        "existingSecret": NAME,
        "image": TEXT,
        "storage": AMOUNT,
        "storageClass": MAYBE_NAME,
        "resources": reference["resources"],
    }
    services = ("gateway", "ingest", "indexer", "summarizer", "rollup", "compactor", "scheduler", "embeddings", "ops")
    return {
        "$schema": "https://json-schema.org/draft-07/schema#",
        "$defs": {
            "settings": {
                "type": "object",
                "propertyNames": {"enum": settings()},
                "additionalProperties": {"type": ["string", "number", "boolean"]},
            },
            "resources": table(requests=amounts, limits=amounts),
            "service": service,
            "peers": PEERS,
            "labels": TEXTS,
        },
        **table(
            image=table(
                registry=TEXT,
                prefix=TEXT,
                tag={"type": "string", "not": {"enum": ["latest"]}},
                digests={"type": "object", "additionalProperties": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}},
                pullPolicy=one_of("Always", "IfNotPresent", "Never"),
                pullSecrets={"type": "array", "items": NAME},
            ),
            settings=reference["settings"],
            auth=table(mode=one_of("token", "oauth2", "disabled"), allowOpen=YES),
            models=table(existingSecret=MAYBE_NAME),
            certificates=table(existingConfigMap=MAYBE_NAME),
            postgres=table(**server),
            redis=table(**server, address=TEXT, tls=YES, maxmemory={"type": "string", "pattern": "^[0-9]+([kmg]b)?$"}),
            migrations=table(enabled=YES, timeoutSeconds=whole(1), backoffLimit=whole(0), resources=reference["resources"]),
            backup=table(
                enabled=YES,
                schedule={"type": "string", "pattern": r"^(@\w+|\S+( \S+){4})$"},
                keep=whole(1),
                existingClaim=MAYBE_NAME,
                storage=AMOUNT,
                storageClass=MAYBE_NAME,
                timeoutSeconds=whole(60),
                resources=reference["resources"],
            ),
            serviceDefaults=reference["service"],
            services=table(**dict.fromkeys(services, reference["service"])),
            mcp=table(**running, mode=one_of("sidecar", "standalone"), autoscaling=by_cpu),
            grpc=table(tlsSecret=MAYBE_NAME),
            ingress=table(
                enabled=YES,
                className=NAME,
                host=NAME,
                tlsSecret=MAYBE_NAME,
                annotations=TEXTS,
                grpc=table(enabled=YES, host=NAME, annotations=TEXTS),
                mcp=table(host=MAYBE_NAME, annotations=TEXTS),
            ),
            networkPolicy=table(
                enabled=YES,
                clients=reference["peers"],
                monitoring=reference["peers"],
                dns=reference["peers"],
                postgres=table(port=PORT, peers=reference["peers"]),
                redis=table(port=PORT, peers=reference["peers"]),
                providers=table(ports={"type": "array", "items": PORT}, peers=reference["peers"]),
                telemetry=table(port=PORT, peers=reference["peers"]),
                keda=reference["peers"],
            ),
            podDisruptionBudget=table(enabled=YES, maxUnavailable=whole(0)),
            monitoring=table(
                serviceMonitor=YES,
                intervalSeconds=whole(1),
                tokenSecret=MAYBE_NAME,
                prometheusRule=YES,
                labels=reference["labels"],
                dashboards=YES,
            ),
            **{"global": {"type": "object"}},
        ),
    }
