"""What a reviewer would look for in every pod, whatever the values; and who may talk to whom, as the policies together say."""

from collections.abc import Iterator
from typing import Any

import pytest

from agent_memory.embedded.processes import STOP_SECONDS
from agent_memory.mcp import serving
from support.charted import BUNDLED, EVERYTHING, EXTERNAL, SETS, STANDALONE, Object, component, environment, kind, pods, rendered

EVERY_POD = [pytest.param(one, id=f"{name}-{one[0]}") for name, values in SETS.items() for one in pods(rendered(values))]
BACKGROUND = {"ingest", "indexer", "summarizer", "rollup", "compactor", "scheduler"}


@pytest.mark.parametrize("pod", EVERY_POD)
def test_a_pod_has_no_rights_it_does_not_need(pod: tuple[str, Object, Object]) -> None:
    _, _, spec = pod
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert min(security["runAsUser"], security["runAsGroup"], security["fsGroup"]) > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert all(set(volume) & {"emptyDir", "secret", "configMap", "persistentVolumeClaim"} for volume in spec["volumes"])
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("pod", EVERY_POD)
def test_a_container_is_pinned_bounded_and_probed(pod: tuple[str, Object, Object]) -> None:
    _, labels, spec = pod
    for container in spec["containers"]:
        tag = container["image"].partition("@")[0].rpartition(":")[2]
        assert "/" not in tag
        assert tag != "latest"
        assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]
        if labels["app.kubernetes.io/component"] not in ("migrate", "backup", "test"):
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)


@pytest.mark.parametrize("name", sorted(SETS))
def test_accounts_carry_no_token_and_selectors_find_their_own_pods_alone(name: str) -> None:
    objects = rendered(SETS[name])
    assert [one for one in objects if one["kind"] == "ServiceAccount" and one["automountServiceAccountToken"] is not False] == []
    found = [(pod, labels) for pod, labels, _ in pods(objects)]
    beside = {"am-agent-memory-mcp"} - {pod for pod, _ in found}
    for one in objects:
        selector: Any = one.get("spec", {}).get("selector") or {}
        if one["kind"] in ("Deployment", "StatefulSet", "PodDisruptionBudget", "Service"):
            wanted = selector.get("matchLabels", selector)
            own = "am-agent-memory-gateway" if one["metadata"]["name"] in beside else one["metadata"]["name"]
            assert {pod for pod, labels in found if wanted.items() <= labels.items()} == {own}


def test_a_pod_gets_the_time_to_stop_that_its_service_takes() -> None:
    for name, deployment in kind(rendered(STANDALONE), "Deployment").items():
        spec = deployment["spec"]["template"]["spec"]
        begun = 5 if "lifecycle" in spec["containers"][0] else 0
        leaving = int(environment(spec["containers"][0]).get("DRAIN_SECONDS", {"value": "0"})["value"])
        # A service finishes what it has begun: ten seconds for the bus or for requests, five for what was taken.
        assert name == "ops" or spec["terminationGracePeriodSeconds"] >= begun + leaving + STOP_SECONDS
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_gateway_answers_while_mcp_beside_it_finishes() -> None:
    gateway = kind(rendered(EXTERNAL), "Deployment")["gateway"]["spec"]["template"]["spec"]["containers"][0]
    assert int(environment(gateway)["DRAIN_SECONDS"]["value"]) > serving.GRACE_SECONDS


def test_replicas_are_spread_and_budgets_let_nodes_be_drained() -> None:
    objects = rendered(STANDALONE)
    for deployment in kind(objects, "Deployment").values():
        spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert {each["topologyKey"] for each in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        assert [each["matchLabelKeys"] for each in spread] == [["pod-template-hash"]] * 2
    budgets = kind(objects, "PodDisruptionBudget")
    assert set(budgets) == {*BACKGROUND, "gateway", "mcp", "embeddings"}
    assert {budget["spec"]["maxUnavailable"] for budget in budgets.values()} == {1}
    assert {budget["spec"]["unhealthyPodEvictionPolicy"] for budget in budgets.values()} == {"AlwaysAllow"}


def selects(selector: Object, labels: Object) -> bool:
    """Whether a label selector finds a pod."""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    return all(
        rule["operator"] == "In" and labels.get(rule["key"]) in rule["values"] for rule in selector.get("matchExpressions", ())
    )


def ports_between(objects: list[Object], source: Object, target: Object) -> set[Any]:
    """Ports at which pods with the labels `target` may be called by those with `source`: both sides must agree."""
    policies = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]

    def allowed(direction: str, near: Object, far: Object, peer: str) -> Iterator[Any]:
        for policy in policies:
            if direction.title() in policy["policyTypes"] and selects(policy["podSelector"], near):
                for rule in policy.get(direction, ()):
                    if any("podSelector" in one and selects(one["podSelector"], far) for one in rule[peer]):
                        yield from (port["port"] for port in rule["ports"])

    out = set(allowed("egress", source, target, "to"))
    return out & set(allowed("ingress", target, source, "from"))


def talks(objects: list[Object]) -> dict[tuple[str, str], set[Any]]:
    """Which ports of whom each part may call."""
    labels = {found["app.kubernetes.io/component"]: found for _, found, _ in pods(objects)}
    return {
        (source, target): ports
        for source in labels
        for target in labels
        if (ports := ports_between(objects, labels[source], labels[target]))
    }


@pytest.mark.parametrize("values", [EVERYTHING, STANDALONE], ids=["sidecar", "standalone"])
def test_a_policy_opens_ports_that_somebody_listens_on_by_number_which_every_network_plugin_knows(values: Object) -> None:
    objects = rendered(values)
    containers = [container for _, _, spec in pods(objects) for container in spec["containers"]]
    listened = {port["containerPort"] for container in containers for port in container.get("ports", ())}
    opened = {
        port["port"]
        for one in objects
        if one["kind"] == "NetworkPolicy"
        for rule in one["spec"].get("ingress", ())
        for port in rule["ports"]
    }
    assert opened == listened


def test_only_those_who_must_may_talk_to_each_other() -> None:
    users = {*BACKGROUND, "gateway", "ops", "migrate"}
    expected = {(user, server): {port} for user in users for server, port in (("postgres", 5432), ("redis", 6379))}
    expected |= {(user, "embeddings"): {8080} for user in ("gateway", "indexer", "summarizer", "ops")}
    expected |= {(user, "gateway"): {8000, 50051} for user in ("ops", "test")}
    assert talks(rendered(BUNDLED)) == expected
    beside = {**BUNDLED, "mcp": {"enabled": True}}
    assert talks(rendered(beside)) == expected | {(user, "gateway"): {8000, 50051, 9000} for user in ("ops", "test")}
    alone = {("mcp", "gateway"): {8000}, **{(user, "mcp"): {9000} for user in ("ops", "test")}}
    assert talks(rendered(STANDALONE)) == expected | alone


@pytest.mark.parametrize(("mode", "pod"), [("sidecar", "gateway"), ("standalone", "mcp")])
def test_mcp_is_called_by_whoever_may_call_the_gateway_and_looked_at_by_prometheus(mode: str, pod: str) -> None:
    objects = rendered({**BUNDLED, "mcp": {"enabled": True, "mode": mode}})
    (labels,) = [found for _, found, _ in pods(objects) if found["app.kubernetes.io/component"] == pod]
    callers = {
        (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for one in objects
        if one["kind"] == "NetworkPolicy" and selects(one["spec"]["podSelector"], labels)
        for rule in one["spec"].get("ingress", ())
        for peer in rule["from"]
        if "namespaceSelector" in peer
        for port in rule["ports"]
        if port["port"] in (9000, 9100)
    }
    assert callers == {("ingress-nginx", 9000), ("monitoring", 9100)}


def test_a_backup_reaches_postgres_and_nothing_else() -> None:
    objects = rendered(EVERYTHING)
    found = talks(objects)
    assert {target: ports for (source, target), ports in found.items() if source == "backup"} == {"postgres": {5432}}
    assert not [source for source, target in found if target == "backup"]


def who_reaches_the_internet(objects: list[Object]) -> set[str]:
    return {
        labels["app.kubernetes.io/component"]
        for _, labels, _ in pods(objects)
        for one in objects
        if one["kind"] == "NetworkPolicy" and selects(one["spec"]["podSelector"], labels)
        for rule in one["spec"].get("egress", ())
        if any(peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0" for peer in rule["to"])
    }


def test_nobody_reaches_the_internet_but_those_who_ask_models() -> None:
    objects = rendered(EVERYTHING)
    outside = who_reaches_the_internet(objects)
    assert outside == {"gateway", "indexer", "summarizer", "compactor", "ops"}
    keys = {component(one) for one in objects if one["kind"] == "Deployment" and "envFrom" in str(one)}
    assert keys == outside | {"rollup"}  # it waits longer where a summary costs a call, and asks nobody itself


def test_whoever_checks_the_tokens_of_an_issuer_can_fetch_its_keys() -> None:
    quiet = {**STANDALONE, "services": {"gateway": {"asks": False}}}
    assert {"gateway", "mcp"} <= who_reaches_the_internet(rendered(quiet))
    by_token = {**quiet, "auth": {"mode": "token"}}
    assert not {"gateway", "mcp"} & who_reaches_the_internet(rendered(by_token))
