"""MCP in the chart: beside the gateway or by itself, found by the same names."""

import pytest

from agent_memory.mcp.challenges import WELL_KNOWN
from agent_memory.mcp.settings import check, load_mcp
from agent_memory.runtime.settings import load
from agent_memory.runtime.settings.auth import load_auth
from support.charted import EVERYTHING, EXTERNAL, STANDALONE, Object, environment, kind, rendered

both_forms = pytest.mark.parametrize("values", [EVERYTHING, STANDALONE], ids=["sidecar", "standalone"])


def test_mcp_runs_beside_the_gateway_by_itself_or_not_at_all() -> None:
    def containers(values: Object) -> dict[str, list[str]]:
        deployments = kind(rendered(values), "Deployment")
        return {
            name: [container["name"] for container in deployments[name]["spec"]["template"]["spec"]["containers"]]
            for name in ("gateway", "mcp")
            if name in deployments
        }

    assert containers(EVERYTHING) == {"gateway": ["gateway", "mcp"]}
    assert containers(STANDALONE) == {"gateway": ["gateway"], "mcp": ["mcp"]}
    assert containers(EXTERNAL) == {"gateway": ["gateway"]}
    assert "mcp" not in kind(rendered(EXTERNAL), "Service")


def mcp_of(values: Object) -> tuple[Object, Object]:
    """The container of MCP, and the pod that it is in."""
    deployments = kind(rendered(values), "Deployment")
    pod = deployments.get("mcp", deployments["gateway"])["spec"]["template"]
    return pod["spec"]["containers"][-1], pod


@both_forms
def test_the_service_of_mcp_has_the_same_name_and_port_wherever_it_runs(values: Object) -> None:
    container, pod = mcp_of(values)
    service = kind(rendered(values), "Service")["mcp"]
    assert service["metadata"]["name"] == "am-agent-memory-mcp"
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    named = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == named == {"mcp": 9000, "metrics": 9100}
    assert environment(container)["MCP_PORT"]["value"] == "9000"


def test_mcp_asks_the_gateway_beside_it_or_that_of_the_release() -> None:
    beside, alone = (environment(mcp_of(values)[0])["AGENT_MEMORY_URL"]["value"] for values in (EVERYTHING, STANDALONE))
    assert (beside, alone) == ("http://127.0.0.1:8000", "http://am-agent-memory-gateway:8000")
    gateway = kind(rendered(STANDALONE), "Service")["gateway"]
    assert gateway["metadata"]["name"] == "am-agent-memory-gateway"
    assert 8000 in {port["port"] for port in gateway["spec"]["ports"]}


@both_forms
def test_mcp_is_as_open_as_the_gateway_and_its_probes_ask_for_what_answers(values: Object) -> None:
    container, _ = mcp_of(values)
    told = {key: each["value"] for key, each in environment(container).items() if "value" in each}
    own = load_mcp("streamable-http", told)
    check(load(told), load_auth(told), own, told)
    assert load_auth(told).auth_mode == values.get("auth", {}).get("mode", "token")
    asked = [container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert [(get["port"], get["path"]) for get in asked] == [("metrics", "/live"), ("metrics", "/live"), ("metrics", "/ready")]


def routes(values: Object) -> dict[str, tuple[str, str]]:
    """What the ingresses lead where: a service and its port by host and path."""
    return {
        rule["host"] + path["path"]: (path["backend"]["service"]["name"], path["backend"]["service"]["port"]["name"])
        for ingress in kind(rendered(values), "Ingress").values()
        for rule in ingress["spec"]["rules"]
        for path in rule["http"]["paths"]
    }


@pytest.mark.parametrize("mode", ["sidecar", "standalone"])
def test_clients_find_mcp_and_who_issues_its_tokens_under_the_name_for_http(mode: str) -> None:
    values = {**EXTERNAL, "ingress": {"enabled": True}, "mcp": {"enabled": True, "mode": mode}}
    mcp, gateway = ("am-agent-memory-mcp", "mcp"), ("am-agent-memory-gateway", "http")
    found = routes(values)
    assert (found["memory.example/mcp"], found["memory.example" + WELL_KNOWN], found["memory.example/"]) == (mcp, mcp, gateway)
    # A client takes metadata only if they name the URL that it asked.
    assert environment(mcp_of(values)[0])["MCP_RESOURCE_URL"]["value"] == "https://memory.example"


@pytest.mark.parametrize("host", ["", "mcp.memory.example"])
def test_a_client_is_led_to_the_replica_that_knows_what_it_wrote(host: str) -> None:
    values = {**EXTERNAL, "ingress": {"enabled": True, "mcp": {"host": host}}, "mcp": {"enabled": True}}
    leading = [
        ingress["metadata"]["annotations"]
        for ingress in kind(rendered(values), "Ingress").values()
        for rule in ingress["spec"]["rules"]
        if "-mcp" in str(rule["http"]["paths"])
    ]
    hashed = "nginx.ingress.kubernetes.io/upstream-hash-by"
    assert [one.get(hashed) for one in leading] == ["$http_authorization$request_uri"]
    assert kind(rendered(values), "Service")["mcp"]["spec"]["sessionAffinity"] == "ClientIP"


def test_mcp_with_a_name_of_its_own_has_every_path_there_and_none_elsewhere() -> None:
    found = routes(STANDALONE)
    assert found["mcp.memory.example/"] == ("am-agent-memory-mcp", "mcp")
    assert [host for host, (service, _) in found.items() if service.endswith("-mcp")] == ["mcp.memory.example/"]
    assert environment(mcp_of(STANDALONE)[0])["MCP_RESOURCE_URL"]["value"] == "https://mcp.memory.example"


def test_mcp_by_itself_scales_and_is_placed_as_its_values_say() -> None:
    objects = rendered(STANDALONE)
    scaler = kind(objects, "HorizontalPodAutoscaler")["mcp"]["spec"]
    assert (scaler["scaleTargetRef"]["name"], scaler["minReplicas"], scaler["maxReplicas"]) == ("am-agent-memory-mcp", 2, 6)
    container, pod = mcp_of(STANDALONE)
    assert pod["spec"]["nodeSelector"] == {"disk": "none"}
    assert environment(container)["LOG_LEVEL"]["value"] == "DEBUG"
    fixed = {**STANDALONE, "mcp": {**STANDALONE["mcp"], "replicas": 3, "autoscaling": {"by": "none"}}}
    assert kind(rendered(fixed), "Deployment")["mcp"]["spec"]["replicas"] == 3
