"""The Compose file: what its specification allows, what a hardened service must have, and that Redis starts as it says."""

import json
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import redis

from jobs.datasource import Location
from jobs.spec import parse_job
from tests.deploy.files import DEPLOY, KUBERNETES, REPOSITORY, compose
from tests.tools import tool
from worker.settings import load_settings

SCHEMA = REPOSITORY / "tests" / "data" / "compose-spec" / "compose-spec.json"
SERVICES: dict[str, dict[str, Any]] = compose()["services"]
REDIS = KUBERNETES / "components" / "redis"
PASSWORD = "pass%word$with=signs"


def seconds(duration: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(s|m)", duration).groups()  # type: ignore[union-attr]
    return int(number) * {"s": 1, "m": 60}[unit]


def test_file__is_what_the_compose_specification_allows() -> None:
    jsonschema.Draft201909Validator(json.loads(SCHEMA.read_text())).validate(compose())


@pytest.mark.parametrize("name", SERVICES)
def test_service__has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert any(mount.startswith("/tmp:size=") for mount in service["tmpfs"])
    assert "privileged" not in service
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_service__runs_a_version_that_is_named(name: str) -> None:
    service = SERVICES[name]
    tag = service["image"].rpartition(":")[2]
    if "build" in service:
        assert tag == service["build"]["args"]["VARIANT"]
    else:
        assert re.search(r"\d+\.\d+\.\d+", tag), service["image"]


@pytest.mark.parametrize("name", SERVICES)
def test_service__gets_secrets_as_files_and_holds_none(name: str) -> None:
    service = SERVICES[name]
    assert set(service["secrets"]) <= compose()["secrets"].keys()
    for variable, value in service.get("environment", {}).items():
        if variable.endswith("_FILE"):
            assert value.removeprefix("/run/secrets/") in service["secrets"], variable
        else:
            assert not re.search(r"PASSWORD|SECRET", variable), variable


@pytest.mark.parametrize("name", ["redis", "s3", "metrics"])
def test_server__tells_its_health(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", [name for name in SERVICES if name.startswith("worker")])
def test_worker__has_time_to_hand_its_step_back(name: str) -> None:
    worker = SERVICES[name]
    soft = float(worker["environment"]["FRAMESIFT_SOFT_SHUTDOWN_S"])
    assert seconds(worker["stop_grace_period"]) >= soft + 30


def test_gpu_worker__reserves_a_device() -> None:
    (device,) = SERVICES["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def test_client__holds_no_key_of_a_bucket() -> None:
    client = SERVICES["client"]
    assert client["secrets"] == ["redis_password"]
    assert not [variable for variable in client["environment"] if "CONNECTIONS" in variable]


def test_mounted_files__are_in_the_repository() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", mount).split(":")[0]
            assert source in compose()["volumes"] or (REPOSITORY / source).exists(), mount


def test_settings_of_a_worker__let_the_demo_job_read_and_write(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in SERVICES["worker-cpu"]["environment"].items():
        monkeypatch.setenv(variable, value)
    settings = load_settings()
    job = parse_job((DEPLOY / "jobs" / "demo.json").read_bytes())
    assert job.datasource.output in settings.outputs
    assert Location.model_validate("/photos") in settings.inputs
    assert job.datasource.input in settings.inputs
    assert settings.connections[job.datasource.output.connection or ""].endpoint_url == "http://s3:7070"


def test_redis__starts_with_the_password_of_the_file_and_forgets_nothing(tmp_path: Path) -> None:
    server = tool("redis-server", debian="redis-server")
    if version_of(server) < (7,):
        pytest.skip("redis-server is older than the one that is deployed")
    _, start, _, _ = SERVICES["redis"]["entrypoint"]
    assert start == "/etc/redis/start.sh"
    (tmp_path / "data").mkdir()
    port = free_port()
    settings = (REDIS / "redis.conf").read_text()
    assert {"appendonly yes", "appendfsync everysec", "maxmemory-policy noeviction"} <= set(
        settings.splitlines()
    )
    assert (REPOSITORY / "docs" / "redis.acl").read_text().strip() in (REDIS / "start.sh").read_text()
    config = settings.replace("dir /data", f"dir {tmp_path / 'data'}")
    (tmp_path / "redis.conf").write_text(f"{config}\nbind 127.0.0.1\nport {port}\n")
    (tmp_path / "password").write_text(PASSWORD + "\n")
    binaries = tmp_path / "bin"
    binaries.mkdir()
    (binaries / "redis-server").symlink_to(server)
    process = subprocess.Popen(
        ["/bin/sh", REDIS / "start.sh", tmp_path / "redis.conf", tmp_path / "password"],
        env=os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
    )
    try:
        client = answering(redis.Redis(port=port, password=PASSWORD))
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.config_get("*")
        assert PASSWORD not in Path(f"/proc/{process.pid}/cmdline").read_text()
        client.lpush("framesift:gpu", "message")
        time.sleep(1.2)  # appendfsync everysec
    finally:
        process.kill()
        process.wait()
    written = b"".join(path.read_bytes() for path in (tmp_path / "data" / "appendonlydir").iterdir())
    assert b"framesift:gpu" in written


def version_of(server: str) -> tuple[int, ...]:
    said = subprocess.run([server, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in re.search(r"v=(\d+)\.(\d+)", said).groups())  # type: ignore[union-attr]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answering(client: redis.Redis) -> redis.Redis:
    """Return the client once its server answers."""
    for _ in range(100):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.05)
        else:
            return client
    raise AssertionError("redis-server did not start within 5 s")
