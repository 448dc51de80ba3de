"""What the custom resources of the chart may hold, strictly: those fields of KEDA's and the Prometheus Operator's that it uses."""

from typing import Any

import jsonschema

Schema = dict[str, Any]
TEXT: Schema = {"type": "string", "minLength": 1}
TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
COUNT: Schema = {"type": "integer", "minimum": 0}


def exact(required: str, **fields: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "required": required.split(), "properties": fields}


def listed(item: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": item}


SECRET_KEY = exact("name key", name=TEXT, key=TEXT)
RULE = exact("alert expr labels annotations", alert=TEXT, expr=TEXT, **{"for": TEXT}, labels=TEXTS, annotations=TEXTS)
SPECS: dict[str, Schema] = {
    "keda.sh/v1alpha1/ScaledObject": exact(
        "scaleTargetRef triggers",
        scaleTargetRef=exact("name", apiVersion=TEXT, kind=TEXT, name=TEXT),
        minReplicaCount=COUNT,
        maxReplicaCount=COUNT,
        pollingInterval=COUNT,
        cooldownPeriod=COUNT,
        triggers=listed(exact("type metadata", type=TEXT, metadata=TEXTS, authenticationRef=exact("name", name=TEXT))),
    ),
    "keda.sh/v1alpha1/TriggerAuthentication": exact(
        "secretTargetRef", secretTargetRef=listed(exact("parameter name key", parameter=TEXT, name=TEXT, key=TEXT))
    ),
    "monitoring.coreos.com/v1/ServiceMonitor": exact(
        "selector endpoints",
        selector=exact("matchLabels", matchLabels=TEXTS),
        endpoints=listed(
            exact(
                "port",
                port=TEXT,
                path=TEXT,
                honorLabels={"type": "boolean"},
                interval=TEXT,
                authorization=exact("credentials", credentials=SECRET_KEY),
            )
        ),
    ),
    "monitoring.coreos.com/v1/PrometheusRule": exact("groups", groups=listed(exact("name rules", name=TEXT, rules=listed(RULE)))),
}


def check(one: dict[str, Any]) -> bool:
    """Whether it is a custom resource that is known here. Raises jsonschema.ValidationError when it does not fit."""
    spec = SPECS.get(f"{one['apiVersion']}/{one['kind']}")
    if spec is None:
        return False
    jsonschema.validate(one["spec"], spec)
    return True
