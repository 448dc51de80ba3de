"""The Helm chart renders, for every way to install it, what Kubernetes accepts to the letter; what makes no sense is refused."""

from collections import Counter
from typing import Any

import helm_python
import pytest
import typer

from agent_memory.cli.main import application
from agent_memory.contracts.streams import COMMANDS, EVENTS, INGEST_GROUP, PROJECTIONS
from agent_memory.embedded.services import EMBEDDINGS, SERVICES
from agent_memory.gateway.edges.http.routes_operations import handlers
from agent_memory.gateway.settings import check_open, load_auth, open_allowed
from agent_memory.runtime.embed_server import create_app
from agent_memory.runtime.metrics_server import _route
from agent_memory.runtime.redis_connection import connection_pool
from agent_memory.runtime.settings import Settings, load
from support import custom_resources
from support.charted import (
    BUNDLED,
    EVERYTHING,
    EXTERNAL,
    K8S,
    OPEN,
    PROVIDER,
    SETS,
    STANDALONE,
    Object,
    accept,
    component,
    environment,
    kind,
    made,
    pods,
    rendered,
)
from support.known_settings import SETTINGS

BACKED_UP = {**EXTERNAL, "backup": {"enabled": True, "existingClaim": "mine", "keep": 30}}
VERSIONS = ("1.27", "1.37")
"""The oldest that the chart says it runs on, and the newest that can be checked here."""


@pytest.mark.parametrize("name", sorted(SETS))
def test_what_is_rendered_is_accepted_to_the_letter(name: str) -> None:
    objects = rendered(SETS[name])
    for one in objects:
        if not custom_resources.check(one):
            for version in VERSIONS if name == "everything" else VERSIONS[-1:]:
                accept(one, version)
    twice = Counter((one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in objects)
    assert [key for key, count in twice.items() if count > 1] == []


@pytest.mark.parametrize("name", sorted(SETS))
def test_helm_finds_nothing_to_complain_about(name: str) -> None:
    report = helm_python.lint(str(K8S / "chart"), SETS[name], strict=True)
    assert (report["errors"] or [], [each for each in report["messages"] or [] if each["severity"] > 1]) == ([], [])


@pytest.mark.parametrize("file", sorted(made().MADE), ids=lambda file: file.name)
def test_what_follows_from_the_chart_is_current(file: Any) -> None:
    assert file.read_text() == made().MADE[file](), "run ./run manifests"


def test_every_service_of_the_stack_has_a_deployment_with_its_image() -> None:
    deployments = kind(rendered(EXTERNAL), "Deployment")
    ours = {service.name for service in (*SERVICES, EMBEDDINGS)}
    assert set(deployments) == {*ours, "ops"}
    for name, deployment in deployments.items():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"registry.example/agent-memory-{name}:0.1.0"
    assert deployments["ops"]["spec"]["replicas"] == 0


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({}, "networkPolicy.postgres.peers"),
        ({**EXTERNAL, "auth": {"mode": "disabled"}}, "allowOpen"),
        ({**EXTERNAL, "auth": {"mode": "oauth2"}}, "OAUTH2_ISSUER_URL"),
        ({**EXTERNAL, "services": {"ingest": {"autoscaling": {"by": "lag"}}}}, "redis.address"),
        ({**BUNDLED, "services": {"ingest": {"autoscaling": {"by": "lag", "min": 0}}}}, "ingest: autoscaling.min must be"),
        ({**EXTERNAL, "services": {"gateway": {"autoscaling": {"min": 0}}}}, "gateway: autoscaling.min must be"),
        (
            {**EXTERNAL, "services": {"gateway": {"autoscaling": {"min": 8}}}},
            r"autoscaling.min \(8\) is more than autoscaling.max \(6\)",
        ),
        ({**EXTERNAL, "services": {"embeddings": {"enabled": False}}}, "who embeds then"),
        ({**EXTERNAL, "ingress": {"enabled": True, "grpc": {"host": "memory.example"}}}, "names of their own"),
        ({**EXTERNAL, "ingress": {"enabled": True, "mcp": {"host": "memory.example"}}}, "names of their own"),
        ({**BUNDLED, "services": {"gateway": {"autoscaling": {"by": "lag"}}}}, "whose lag"),
        ({**STANDALONE, "settings": {"OAUTH2_ISSUER_URL": "https://issuer.example/", "OAUTH2_AUDIENCE": "*"}}, "another service"),
        ({**EXTERNAL, "mcp": {"enabled": True, "mode": "beside"}}, "mode"),
        ({**EXTERNAL, "mcp": {"enabled": True, "autoscaling": {"by": "lag"}}}, "by"),
        ({**EXTERNAL, "services": {"mcp": {"enabled": True}}}, "mcp"),
        ({**EXTERNAL, "monitoring": {"serviceMonitor": True}}, "monitoring.tokenSecret"),
        ({**EXTERNAL, "ingress": {"enabled": True, "tlsSecret": ""}}, "ingress.tlsSecret"),
        ({**EXTERNAL, "replicaCount": 3}, "replicaCount"),
        ({**EXTERNAL, "services": {"gateway": {"replica": 3}}}, "replica"),
        ({**EXTERNAL, "services": {"indexr": {}}}, "indexr"),
        ({**EXTERNAL, "settings": {"LOG_LEVL": "DEBUG"}}, "LOG_LEVL"),
        ({**EXTERNAL, "settings": {"OPENAI_API_KEY": "sk-1"}}, "OPENAI_API_KEY"),
        ({**EXTERNAL, "settings": {"DATABASE_URL": "postgresql://x"}}, "DATABASE_URL"),
        ({**EXTERNAL, "settings": {"WORKING_MEMORY_REDIS_URL": "redis://:secret@x"}}, "WORKING_MEMORY_REDIS_URL"),
        ({**EXTERNAL, "settings": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}}, "networkPolicy.telemetry.peers"),
        ({**EXTERNAL, "image": {"tag": "latest"}}, "tag"),
        ({**EXTERNAL, "backup": {"enabled": True, "schedule": "daily"}}, "schedule"),
        ({**EXTERNAL, "backup": {"enabled": True, "keep": 0}}, "keep"),
        ({**EXTERNAL, "image": {"digests": {"gateway": "sha256:short"}}}, "digests"),
        ({**EXTERNAL, "networkPolicy": {"clients": [{"podSelectr": {}}]}}, "podSelectr"),
    ],
)
def test_values_that_make_no_sense_are_refused_with_their_name(values: Object, complaint: str) -> None:
    with pytest.raises(helm_python.HelmError, match=complaint):
        rendered(values)


@pytest.mark.parametrize("name", sorted(SETS))
def test_every_variable_is_a_real_setting_and_services_can_start_with_them(name: str) -> None:
    for pod, labels, spec in pods(rendered(SETS[name])):
        if labels.get("app.kubernetes.io/component") in ("postgres", "redis"):
            continue
        for container in spec["containers"]:
            told = environment(container)
            assert set(told) - SETTINGS <= {"REDIS_PASSWORD", "AGENT_MEMORY_URL"}, pod
            load({key: each["value"] for key, each in told.items() if "value" in each and "$(" not in each["value"]})


def test_the_gateway_is_as_open_as_its_values_say() -> None:
    def told(values: Object) -> dict[str, str]:
        (container,) = kind(rendered(values), "Deployment")["gateway"]["spec"]["template"]["spec"]["containers"]
        return {key: each["value"] for key, each in environment(container).items() if "value" in each}

    assert load_auth(told(EXTERNAL)).auth_mode == "token"
    open_one = told(OPEN)
    assert load_auth(open_one).auth_mode == "disabled"
    check_open(load(open_one), allowed=open_allowed(open_one))


async def test_probes_ask_for_what_answers() -> None:
    gateway = {path for handler in handlers() for path in handler.paths}
    embeddings = {resource.canonical for resource in create_app(None).router.resources()}  # type: ignore[arg-type]
    for name, deployment in kind(rendered(EXTERNAL), "Deployment").items():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if "httpGet" not in container[probe]:
                assert name == "ops"
                continue
            asked = container[probe]["httpGet"]
            assert asked["port"] in ports
            if name == "gateway":
                assert asked["path"] in gateway
            elif name == "embeddings":
                assert asked["path"] in embeddings
            else:
                status, _, _ = await _route(f"GET {asked['path']} HTTP/1.1\r\n\r\n".encode(), {}, lambda: False)
                assert status == 200


def test_a_pod_is_not_killed_because_a_server_is_away() -> None:
    for name, deployment in kind(rendered(EXTERNAL), "Deployment").items():
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        alive, ready = (container[probe].get("httpGet", {}).get("path") for probe in ("livenessProbe", "readinessProbe"))
        assert (alive, ready) in {("/health", "/ready"), ("/live", "/ready"), ("/health", "/health"), (None, None)}, name


def test_migrations_run_before_the_services_where_postgres_is_there_already() -> None:
    hook = kind(rendered(EXTERNAL), "Job")["migrate"]
    assert hook["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert hook["spec"]["template"]["spec"]["serviceAccountName"] == "default"
    beside = kind(rendered(BUNDLED), "Job")["migrate"]
    assert "annotations" not in beside["metadata"]
    assert beside["metadata"]["name"].endswith("-migrate-1")
    assert "migrate" not in kind(rendered(OPEN), "Job")


def test_a_backup_goes_to_a_volume_that_outlives_the_release_and_the_ops_pod_restores_from_there() -> None:
    assert kind(rendered(EXTERNAL), "CronJob") == kind(rendered(EXTERNAL), "PersistentVolumeClaim") == {}
    for values, claim, keep in ((EVERYTHING, "am-agent-memory-backups", "7"), (BACKED_UP, "mine", "30")):
        objects = rendered(values)
        cron = kind(objects, "CronJob")["backup"]["spec"]
        assert cron["concurrencyPolicy"] == "Forbid"
        spec = cron["jobTemplate"]["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert container["args"] == ["backup", "/backups", "--keep", keep, "--json"]
        ops = kind(objects, "Deployment")["ops"]["spec"]["template"]["spec"]
        for pod in (spec, ops):
            assert {"name": "backups", "mountPath": "/backups"} in pod["containers"][0]["volumeMounts"]
            assert {"name": "backups", "persistentVolumeClaim": {"claimName": claim}} in pod["volumes"]
    made_here = kind(rendered(EVERYTHING), "PersistentVolumeClaim")["backup"]
    assert (made_here["metadata"]["name"], made_here["spec"]["storageClassName"]) == ("am-agent-memory-backups", "slow")
    assert made_here["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert kind(rendered(BACKED_UP), "PersistentVolumeClaim") == {}


def test_the_command_of_a_backup_is_one_that_the_command_line_knows() -> None:
    (container,) = kind(rendered(EVERYTHING), "CronJob")["backup"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    name, *arguments = container["args"]
    commands: Any = typer.main.get_command(application(name))
    context = commands.commands[name].make_context(name, arguments)
    assert (str(context.params["file"]), context.params["keep"]) == ("/backups", 7)


def test_servers_are_yours_or_bundled_and_passwords_come_from_secrets_alone() -> None:
    assert kind(rendered(EXTERNAL), "StatefulSet") == {}
    objects = rendered(EVERYTHING)
    assert set(kind(objects, "StatefulSet")) == {"postgres", "redis"}
    assert kind(objects, "Secret") == {}
    for _, _, spec in pods(objects):
        for container in spec["containers"]:
            for name, each in environment(container).items():
                assert ("valueFrom" in each) == (name.endswith("PASSWORD") or name in ("REDISCLI_AUTH", "SERVICE_REPLICA")), name


def test_whoever_connects_to_a_server_finds_the_certificates_to_trust_where_the_addresses_may_name_them() -> None:
    for values in (EVERYTHING, EXTERNAL):
        found = {}
        for name, labels, spec in pods(rendered(values)):
            if labels["app.kubernetes.io/component"] not in ("postgres", "redis", "test"):
                volumes = [volume for volume in spec["volumes"] if volume.get("configMap") == {"name": "authorities"}]
                mounts = [str(container["volumeMounts"]).count("'/certificates'") for container in spec["containers"]]
                found[name] = [len(volumes), *mounts]
        assert {number for counts in found.values() for number in counts} == {1 if values is EVERYTHING else 0}
    trusting = connection_pool("rediss://:x@host/0?ssl_ca_certs=/certificates/ca.crt")
    assert trusting.connection_class(**trusting.connection_kwargs).ssl_context.ca_certs == "/certificates/ca.crt"


def test_a_redis_for_the_sessions_comes_from_the_secret_of_redis_if_it_names_one() -> None:
    for _, labels, spec in pods(rendered(EXTERNAL)):
        told = environment(spec["containers"][0])
        assert ("WORKING_MEMORY_REDIS_URL" in told) == ("REDIS_URL" in told), labels
        if "REDIS_URL" in told:
            url, own = (told[name]["valueFrom"]["secretKeyRef"] for name in ("REDIS_URL", "WORKING_MEMORY_REDIS_URL"))
            assert own == {"name": url["name"], "key": "WORKING_MEMORY_REDIS_URL", "optional": True}


def test_lag_is_that_of_groups_that_exist() -> None:
    groups = {(COMMANDS, INGEST_GROUP), *((EVENTS, projection) for projection in PROJECTIONS)}
    named = {
        (trigger["metadata"]["stream"], trigger["metadata"]["consumerGroup"], component(one))
        for values in (EVERYTHING, PROVIDER)
        for one in rendered(values)
        if one["kind"] == "ScaledObject"
        for trigger in one["spec"]["triggers"]
    }
    assert named
    assert {(stream, group) for stream, group, _ in named} <= groups
    assert all(PROJECTIONS.get(group, "ingest") == service for _, group, service in named)


def test_a_scaler_and_a_number_of_replicas_never_contradict_each_other() -> None:
    objects = rendered(EVERYTHING)
    scaled = {**kind(objects, "HorizontalPodAutoscaler"), **kind(objects, "ScaledObject")}
    fixed = {name for name, one in kind(objects, "Deployment").items() if "replicas" in one["spec"]}
    assert set(scaled) & fixed == set()
    assert set(scaled) | fixed == set(kind(objects, "Deployment"))


@pytest.mark.parametrize("values", [EVERYTHING, STANDALONE], ids=["sidecar", "standalone"])
def test_every_port_with_metrics_is_looked_at_by_one_monitor(values: Object) -> None:
    objects = rendered(values)
    looked = [
        (component(service), endpoint["port"])
        for monitor in objects
        if monitor["kind"] == "ServiceMonitor"
        for service in objects
        if service["kind"] == "Service"
        and monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        for endpoint in monitor["spec"]["endpoints"]
    ]
    background = {service.name for service in SERVICES} - {"gateway"}
    assert sorted(looked) == sorted([("gateway", "http"), ("mcp", "metrics"), *((name, "metrics") for name in background)])


@pytest.mark.parametrize("values", [EVERYTHING, STANDALONE], ids=["sidecar", "standalone"])
def test_a_scaler_looks_at_each_container_of_its_pods(values: Object) -> None:
    objects = rendered(values)
    deployments = kind(objects, "Deployment")
    for name, scaler in kind(objects, "HorizontalPodAutoscaler").items():
        looked = [metric["containerResource"]["container"] for metric in scaler["spec"]["metrics"]]
        assert looked == [container["name"] for container in deployments[name]["spec"]["template"]["spec"]["containers"]]


def test_an_ingress_lets_through_what_the_gateways_take_and_speaks_to_them_as_they_do() -> None:
    def annotations(values: Object) -> dict[str, dict[str, str]]:
        found = kind(rendered(values), "Ingress")
        return {
            name: {key.partition("/")[2]: value for key, value in one["metadata"]["annotations"].items()}
            for name, one in found.items()
        }

    known = annotations(STANDALONE)
    for name in ("am-agent-memory", "am-agent-memory-mcp"):
        assert int(known[name]["proxy-body-size"].removesuffix("m")) << 20 >= Settings().max_body_bytes
    assert known["am-agent-memory-grpc"] == {"backend-protocol": "GRPC", "proxy-body-size": "0"}
    assert annotations(EVERYTHING)["am-agent-memory-grpc"]["backend-protocol"] == "GRPCS"  # it has grpc.tlsSecret


def test_without_the_local_model_nobody_is_sent_to_it() -> None:
    for pod, _, spec in pods(rendered(PROVIDER)):
        told = environment(spec["containers"][0])
        assert "EMBEDDINGS_URL" not in told, pod
    assert "embeddings" not in kind(rendered(PROVIDER), "Deployment")


def test_the_bundled_redis_refuses_writes_before_it_is_killed_for_its_memory() -> None:
    container = kind(rendered(BUNDLED), "StatefulSet")["redis"]["spec"]["template"]["spec"]["containers"][0]
    told = dict(zip(container["args"], container["args"][1:], strict=False))
    assert told["--maxmemory-policy"] == "noeviction"
    most, limit = told["--maxmemory"], container["resources"]["limits"]["memory"]
    assert int(most.removesuffix("gb")) < int(limit.removesuffix("Gi"))


def test_a_service_that_sleeps_is_woken_by_a_single_entry() -> None:
    scaled = kind(rendered(EVERYTHING), "ScaledObject")["indexer"]["spec"]
    assert scaled["minReplicaCount"] == 0
    # KEDA wakes it when there is more.
    assert {trigger["metadata"]["activationLagCount"] for trigger in scaled["triggers"]} == {"0"}
