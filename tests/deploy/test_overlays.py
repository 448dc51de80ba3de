"""The overlays of kustomize, built by kubectl where it is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from agent_memory.mcp.challenges import WELL_KNOWN
from support.charted import K8S, Object, accept, environment, kind, made, pods

WITHOUT = shutil.which("kubectl") is None
needs_kubectl = pytest.mark.skipif(WITHOUT, reason="kubectl, which brings kustomize, is not installed here")


def built(overlay: str, folder: Path) -> list[Object]:
    """What `kubectl apply -k` would send, from a copy in which the secrets were filled in."""
    copy = folder / "k8s"
    shutil.copytree(K8S, copy, ignore=shutil.ignore_patterns("chart", "*.py", "__pycache__"))
    secrets = copy / "overlays" / "dev" / "secrets.env"
    secrets.write_text((secrets.parent / "secrets.env.example").read_text())
    command = ["kubectl", "kustomize", str(copy / "overlays" / overlay)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    return [one for one in yaml.load_all(found.stdout, Loader=made().LOADER) if one]


@needs_kubectl
@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_an_overlay_is_accepted_to_the_letter_in_one_namespace(overlay: str, tmp_path: Path) -> None:
    objects = built(overlay, tmp_path)
    for one in objects:
        accept(one, "1.37")
    assert {one["metadata"].get("namespace") for one in objects} == {"agent-memory-dev" if overlay == "dev" else "agent-memory"}
    assert all("@sha256" in image or ":" in image for _, _, spec in pods(objects) for image in [spec["containers"][0]["image"]])


@needs_kubectl
def test_dev_is_one_of_everything_with_servers_and_generated_secrets(tmp_path: Path) -> None:
    objects = built("dev", tmp_path)
    assert {one["spec"]["replicas"] for name, one in kind(objects, "Deployment").items() if name != "ops"} == {1}
    assert set(kind(objects, "StatefulSet")) == {"postgres", "redis"}
    assert kind(objects, "HorizontalPodAutoscaler") == kind(objects, "PodDisruptionBudget") == {}
    secrets = set(kind(objects, "Secret"))
    assert len(secrets) == 2
    for _, _, spec in pods(objects):
        for each in environment(spec["containers"][0]).values():
            if "secretKeyRef" in each.get("valueFrom", {}):
                assert each["valueFrom"]["secretKeyRef"]["name"] in secrets
    for door in ("gateway", "mcp"):
        (container,) = kind(objects, "Deployment")[door]["spec"]["template"]["spec"]["containers"]
        told = environment(container)
        assert (told["AUTH_MODE"]["value"], told["ALLOW_OPEN"]["value"]) == ("disabled", "true")


@needs_kubectl
def test_prod_has_spares_doors_policies_and_no_servers(tmp_path: Path) -> None:
    objects = built("prod", tmp_path)
    assert kind(objects, "StatefulSet") == kind(objects, "Secret") == {}
    deployments = kind(objects, "Deployment")
    scaled = set(kind(objects, "HorizontalPodAutoscaler"))
    assert {name for name, one in deployments.items() if one["spec"].get("replicas", 1) > 1} | scaled == set(deployments) - {"ops"}
    assert {one["spec"]["tls"][0]["secretName"] for one in kind(objects, "Ingress").values()} == {"agent-memory-tls"}
    assert kind(objects, "NetworkPolicy")
    gateway, mcp = (environment(deployments[name]["spec"]["template"]["spec"]["containers"][0]) for name in ("gateway", "mcp"))
    assert gateway["AUTH_MODE"]["value"] == mcp["AUTH_MODE"]["value"] == "token"
    (rule,) = kind(objects, "Ingress")["agent-memory-mcp"]["spec"]["rules"]
    assert mcp["MCP_RESOURCE_URL"]["value"] == f"https://{rule['host']}"
    led = [path["path"] for path in rule["http"]["paths"] if path["backend"]["service"]["name"] == "agent-memory-mcp"]
    assert led == ["/mcp", WELL_KNOWN]
