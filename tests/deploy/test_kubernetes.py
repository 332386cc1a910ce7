"""The Kubernetes objects, as kustomize builds them: valid, hardened, and naming only what exists."""

import json
import re
import subprocess
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from jobs.spec import parse_job
from tests.deploy.files import KUBERNETES, REPOSITORY, manifests
from tests.tools import tool
from worker.settings import Settings

KEDA = REPOSITORY / "tests" / "data" / "keda"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
EXAMPLES = sorted((KUBERNETES / "examples").glob("*.yaml"))
BUILT = {"kustomization.yaml", "spot.yaml", "transformers.yaml"}  # kustomize's own files, and patches
SECRETS_MADE_BY_HAND = {"framesift-redis"}
VERSION = "1.32"

Manifest = dict[str, Any]


@cache
def built(overlay: str) -> list[Manifest]:
    """Return the objects of an overlay."""
    done = subprocess.run(
        [tool("kubectl"), "kustomize", KUBERNETES / "overlays" / overlay],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return manifests(done.stdout)


def by_kind(objects: list[Manifest], kind: str) -> dict[str, Manifest]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def written() -> list[tuple[str, Manifest]]:
    """Return every object of every file, before kustomize changes it, with the file's path."""
    files = [path for path in KUBERNETES.rglob("*.yaml") if path.name not in BUILT]
    return [
        (str(path.relative_to(KUBERNETES)), one)
        for path in sorted(files)
        for one in manifests(path.read_text())
    ]


def template(one: Manifest) -> Manifest | None:
    """Return the pod template of an object that has one."""
    spec = one.get("spec", {})
    for path in (("template",), ("jobTargetRef", "template"), ("jobTemplate", "spec", "template")):
        found: Any = spec
        for key in path:
            found = found.get(key, {}) if isinstance(found, dict) else {}
        if found:
            return found
    return None


def with_pods() -> list[Any]:
    found = [(where, one) for where, one in written() if template(one)]
    return [pytest.param(one, id=f"{where}-{one['metadata']['name']}") for where, one in found]


def assert_valid(one: Manifest) -> None:
    """Assert that an object is of its schema: Kubernetes' own, or KEDA's with the Job inside checked by Kubernetes'."""
    if not one["apiVersion"].startswith("keda.sh/"):
        kubernetes_validate.validate(one, VERSION, strict=True)
        return
    schema = json.loads((KEDA / f"{one['kind']}.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(one)
    if one["kind"] == "ScaledJob":
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "x"},
            "spec": one["spec"]["jobTargetRef"],
        }
        kubernetes_validate.validate(job, VERSION, strict=True)


@pytest.mark.parametrize(
    "one",
    [pytest.param(one, id=f"{where}-{one['kind']}-{one['metadata']['name']}") for where, one in written()],
)
def test_object__is_of_its_schema(one: Manifest) -> None:
    assert_valid(one)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay__builds_into_objects_of_their_schema(overlay: str) -> None:
    objects = built(overlay)
    for one in objects:
        assert_valid(one)
        assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "framesift"


def test_schema_of_keda__refuses_a_key_that_it_does_not_know() -> None:
    scaled = by_kind(built("gpu"), "ScaledJob")["worker-gpu"]
    with pytest.raises(jsonschema.ValidationError):
        assert_valid({**scaled, "spec": {**scaled["spec"], "maxReplicas": 3}})


@pytest.mark.parametrize("one", with_pods())
def test_pod__may_run_where_the_restricted_standard_holds(one: Manifest) -> None:
    pod = template(one)["spec"]  # type: ignore[index]
    security = pod["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["enableServiceLinks"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]
        assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= {
            volume["name"] for volume in pod["volumes"]
        } | {claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", [])}
    assert all("sizeLimit" in volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume)


@pytest.mark.parametrize("one", with_pods())
def test_pod_that_serves__is_watched_by_a_probe(one: Manifest) -> None:
    if one["kind"] in {"Job", "CronJob"}:
        return  # the exit code tells
    for container in template(one)["spec"]["containers"]:  # type: ignore[index]
        assert "livenessProbe" in container, one["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_workers__have_longer_than_their_soft_shutdown(overlay: str) -> None:
    objects = built(overlay)
    (config,) = [
        one["data"] for name, one in by_kind(objects, "ConfigMap").items() if name.startswith("framesift-")
    ]
    for one in objects:
        pod = (template(one) or {}).get("spec", {"containers": []})
        for container in pod["containers"]:
            if container.get("args", [""])[0] == "worker":
                own = {variable["name"]: variable.get("value") for variable in container.get("env", [])}
                soft = float(own.get("FRAMESIFT_SOFT_SHUTDOWN_S") or config["FRAMESIFT_SOFT_SHUTDOWN_S"])
                assert pod["terminationGracePeriodSeconds"] >= soft + 5, one["metadata"]["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_names__lead_to_something(overlay: str) -> None:
    objects = built(overlay)
    maps, accounts = by_kind(objects, "ConfigMap"), by_kind(objects, "ServiceAccount")
    for one in objects:
        pod = (template(one) or {}).get("spec", {})
        assert pod.get("serviceAccountName", "framesift") in accounts
        for container in pod.get("containers", []):
            assert {source["configMapRef"]["name"] for source in container.get("envFrom", [])} <= maps.keys()
        for volume in pod.get("volumes", []):
            assert volume.get("configMap", {"name": next(iter(maps))})["name"] in maps
            assert (
                volume.get("secret", {"secretName": "framesift-redis"})["secretName"] in SECRETS_MADE_BY_HAND
            )
    for scaled in by_kind(objects, "ScaledObject").values():
        target = by_kind(objects, "Deployment")[scaled["spec"]["scaleTargetRef"]["name"]]
        assert "replicas" not in target["spec"], "an apply would set back what the scaler decided"
    for scaled in by_kind(objects, "ScaledJob").values():
        for trigger in scaled["spec"]["triggers"]:
            assert trigger["authenticationRef"]["name"] in by_kind(objects, "TriggerAuthentication")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors__meet_pods(overlay: str) -> None:
    objects = built(overlay)
    labels = [found["metadata"]["labels"] for one in objects if (found := template(one))]

    def meets(wanted: dict[str, str]) -> bool:
        return any(wanted.items() <= have.items() for have in labels)

    for service in by_kind(objects, "Service").values():
        assert meets(service["spec"]["selector"])
    for budget in by_kind(objects, "PodDisruptionBudget").values():
        assert meets(budget["spec"]["selector"]["matchLabels"])
    for policy in by_kind(objects, "NetworkPolicy").values():
        assert meets(policy["spec"]["podSelector"]["matchLabels"])
        for rule in policy["spec"].get("ingress", []) + policy["spec"].get("egress", []):
            for peer in rule.get("from", []) + rule.get("to", []):
                assert "podSelector" not in peer or meets(peer["podSelector"]["matchLabels"])


@pytest.mark.parametrize("overlay", ["gpu", "spot"])
def test_gpu_workers__are_started_by_every_queue_that_they_serve_and_end_by_themselves(overlay: str) -> None:
    spec = by_kind(built(overlay), "ScaledJob")["worker-gpu"]["spec"]
    prefix = Settings.model_fields["redis_prefix"].default
    served = {f"{prefix}{kind}{priority}" for kind in ("gpu", "cuda") for priority in ("", ".high", ".low")}
    assert {trigger["metadata"]["listName"] for trigger in spec["triggers"]} == served
    assert {trigger["type"] for trigger in spec["triggers"]} == {"redis"}
    assert spec["scalingStrategy"] == {"strategy": "accurate", "multipleScalersCalculation": "sum"}
    assert spec["rollout"] == {"strategy": "gradual"}
    job = spec["jobTargetRef"]
    assert "activeDeadlineSeconds" not in job
    (container,) = job["template"]["spec"]["containers"]
    assert container["args"][:3] == ["worker", "--queues", "gpu"]
    assert "--exit-when-idle" in container["args"]
    assert container["image"].endswith("-gpu")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_cpu_workers__are_scaled_by_the_work_of_the_queues_that_they_serve_and_never_down_while_there_is_some(
    overlay: str,
) -> None:
    objects = built(overlay)
    scaled = by_kind(objects, "ScaledObject")["worker-cpu"]["spec"]
    (container,) = template(by_kind(objects, "Deployment")["worker-cpu"])["spec"]["containers"]  # type: ignore[index]
    (trigger,) = scaled["triggers"]
    pattern = re.search(r'queue=~"([^"]+)"', trigger["metadata"]["query"]).group(1)  # type: ignore[union-attr]
    served = container["args"][container["args"].index("--queues") + 1].split(",")
    for kind in ("gpu", "cpu", "cuda"):
        for priority in ("", ".high", ".low"):
            assert bool(re.fullmatch(pattern, f"{kind}{priority}")) == (kind in served)
    assert scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"] == {
        "selectPolicy": "Disabled"
    }


def test_spot_workers__tolerate_spot_machines_beside_gpu_ones() -> None:
    pod = by_kind(built("spot"), "ScaledJob")["worker-gpu"]["spec"]["jobTargetRef"]["template"]["spec"]
    assert {one["key"] for one in pod["tolerations"]} == {"nvidia.com/gpu", "cloud.google.com/gke-spot"}
    assert pod["nodeSelector"] == {"karpenter.sh/capacity-type": "spot"}


def test_nightly_job__is_one_that_is_accepted() -> None:
    objects = manifests((KUBERNETES / "examples" / "nightly.yaml").read_text())
    parse_job(by_kind(objects, "ConfigMap")["nightly-jobs"]["data"]["nightly.json"])
    spec = by_kind(objects, "CronJob")["nightly"]["spec"]
    assert spec["timeZone"]
    (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][container["args"].index("--idempotency-key") + 1] == "$(TICK)"
    assert "TICK" in {variable["name"] for variable in container["env"]}


def test_settings_of_the_cluster__are_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    (config,) = [
        one["data"]
        for name, one in by_kind(built("gpu"), "ConfigMap").items()
        if name.startswith("framesift-")
    ]
    for variable, value in config.items():
        monkeypatch.setenv(variable, value)
    settings = Settings()
    assert [place.url for place in settings.outputs] == ["s3://curation/"]
    assert [place.url for place in settings.inputs] == ["s3://recordings/"]
