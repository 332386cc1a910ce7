"""The wheel holds all that a run needs, away from the repository."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.photos import make_photos
from tests.worker.runs import job

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the unpacked wheel."""
    built, target = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    # A copy, since setuptools leaves its build folder beside the sources, and takes old files from it the next time.
    sources = tmp_path_factory.mktemp("sources")
    for folder in ("jobs", "worker", "templates"):
        shutil.copytree(REPOSITORY / folder, sources / folder)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / file, sources)
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(built), str(sources)]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (wheel,) = built.glob("framesift-*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", str(target), str(wheel)], check=True
    )
    return target


def framesift(installed: Path, cwd: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.cli", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(installed), "FRAMESIFT_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_wheel__holds_packages_and_templates_only(installed: Path) -> None:
    assert {"jobs", "worker"} <= {path.name for path in installed.iterdir()}
    assert not {"tests", "benchmarks", "templates"} & {path.name for path in installed.iterdir()}
    assert (installed / "worker" / "templates" / "report.html.j2").is_file()


def test_wheel__runs_the_job_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    make_photos(tmp_path / "in", 12)
    (tmp_path / "job.json").write_text(json.dumps(job(tmp_path / "in", tmp_path / "out")))
    where = subprocess.run(
        [sys.executable, "-c", "import worker; print(worker.__file__)"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(installed)
    done = framesift(installed, tmp_path, "run", "job.json", "--json")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["counts"]["selected"] == 6
    assert outcome["pdf_error"] is None
