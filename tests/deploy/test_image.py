"""The image: what its Dockerfile says, and what its steps do where no Docker engine is needed to see it."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY, DOCKERFILE, REPOSITORY
from tests.tools import tool

HEALTHY = DEPLOY / "healthy"


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, arguments) in order, line continuations joined, comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


def final_stage() -> dict[str, list[str]]:
    """Return the arguments of each kind of instruction after the last FROM."""
    kinds: dict[str, list[str]] = {}
    for kind, arguments in instructions():
        if kind == "FROM":
            kinds = {}
        kinds.setdefault(kind, []).append(arguments)
    return kinds


def requirements(variant: str) -> list[str]:
    script, pyproject = DEPLOY / "requirements.py", REPOSITORY / "pyproject.toml"
    printed = subprocess.run(
        [sys.executable, script, pyproject, variant], capture_output=True, text=True, check=True
    )
    return printed.stdout.split("\n")[:-1]


def healthy(file: Path | None) -> int:
    environment = {"PATH": os.environ["PATH"]} | (
        {} if file is None else {"FRAMESIFT_HEALTH_FILE": str(file)}
    )
    return subprocess.run([HEALTHY], env=environment, capture_output=True, timeout=10, check=False).returncode


def test_dockerfile__passes_hadolint() -> None:
    done = subprocess.run(
        [tool("hadolint"), DOCKERFILE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout


def test_final_stage__runs_as_nobody_special_behind_an_init() -> None:
    stage = final_stage()
    assert stage["USER"] == ["10001:10001"]
    assert json.loads(stage["ENTRYPOINT"][0]) == ["tini", "--", "framesift"]
    assert isinstance(json.loads(stage["CMD"][0]), list)
    assert json.loads(stage["HEALTHCHECK"][0].split("CMD", 1)[1]) == ["healthy"]
    assert not re.search(r"build-essential|gcc|g\+\+|-dev\b", " ".join(stage["RUN"]))


def test_final_stage__asks_for_the_video_part_of_the_driver() -> None:
    (variables,) = final_stage()["ENV"]
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video" in variables


def test_final_stage__keeps_onnxruntime_from_reporting(tmp_path: Path) -> None:
    (variables,) = final_stage()["ENV"]
    told = dict(word.split("=", 1) for word in variables.split() if word.startswith("ORT_"))
    environment = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    environment |= {"HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-c", "import onnxruntime"], env=environment | told, check=True, timeout=60
    )
    assert not list(tmp_path.rglob("*")), "it keeps a device id and a store of events"


def test_dockerfile__takes_no_secret() -> None:
    for kind, arguments in instructions():
        assert not (kind in {"ARG", "ENV"} and re.search(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY", arguments)), (
            arguments
        )


def test_copied_files__exist_and_are_let_through() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    for kind, arguments in instructions():
        if kind == "COPY" and "--from" not in arguments:
            *sources, _ = [word for word in arguments.split() if not word.startswith("--")]
            for source in sources:
                assert (REPOSITORY / source).exists(), source
                assert f"!{source}" in ignored, source


def test_libraries_of_the_pdf__are_installed() -> None:
    installed = " ".join(final_stage()["RUN"])
    for package in (
        "libpango-1.0-0",
        "libpangoft2-1.0-0",
        "libharfbuzz-subset0",
        "fonts-dejavu-core",
        "tini",
    ):
        assert f" {package} " in installed


@pytest.mark.parametrize("variant", ["gpu", "cpu"])
def test_requirements__are_the_base_the_worker_and_one_faiss_all_pinned(variant: str) -> None:
    names = [re.split(r"[^A-Za-z0-9_-]", line)[0].lower() for line in requirements(variant)]
    assert {"celery", "torch", "weasyprint", f"faiss-{variant}"} <= set(names)
    assert sum(name.startswith("faiss") for name in names) == 1
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in (REPOSITORY / "constraints.txt").open()
    }
    assert {name.replace("_", "-") for name in names} <= pinned


def test_requirements__refuse_another_variant() -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        requirements("tpu")
    assert "choose from gpu, cpu" in refused.value.stderr


def test_healthy__tells_a_fresh_file_from_an_old_and_a_missing_one(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    assert healthy(alive) == 1
    alive.touch()
    assert healthy(alive) == 0
    for age, code in ((50, 0), (70, 1)):
        then = time.time() - age
        os.utime(alive, (then, then))
        assert healthy(alive) == code, f"{age} s"


def test_healthy__without_a_file_named_is_not_healthy() -> None:
    assert healthy(None) != 0
