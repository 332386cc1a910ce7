"""A client needs the base install only: no torch, no numpy, no boto3."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.redis_server import redis_server
from tests.worker.runs import job

REPOSITORY = Path(__file__).parents[1]
HEAVY = {"boto3", "faiss", "numpy", "onnxruntime", "pillow", "pyarrow", "torch", "weasyprint"}

PROGRAM = """
import json, sys
from jobs import Client
client = Client()
job = json.loads(sys.argv[1])
first, again = client.submit(job, idempotency_key="night"), client.submit(job, idempotency_key="night")
assert first.job_id == again.job_id
client.cancel(first.job_id)
print(client.status(first.job_id).cancelling, [one.name for one in client.list()])
"""


def test_base_install__submits_and_follows_a_job(tmp_path: Path) -> None:
    sources = tmp_path / "sources"  # a copy, since a build leaves a folder beside its sources
    for folder in ("jobs", "worker", "templates"):
        shutil.copytree(REPOSITORY / folder, sources / folder)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / file, sources)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    constraints = ["--constraint", str(REPOSITORY / "constraints.txt")]
    subprocess.run([*pip, "install", *constraints, str(sources)], check=True, timeout=300)
    pip_list = [str(python), "-m", "pip", "list", "--disable-pip-version-check", "--format", "json"]
    listed = subprocess.run(pip_list, check=True, capture_output=True, text=True)
    assert not HEAVY & {one["name"].lower() for one in json.loads(listed.stdout)}
    document = json.dumps(job("s3://recordings/", "s3://curation/"))
    (tmp_path / "job.json").write_text(document)
    with redis_server(tmp_path) as redis:
        environment = {**os.environ, "FRAMESIFT_REDIS_URL": redis.url}
        done = subprocess.run(
            [str(python), "-c", PROGRAM, document],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == "True ['night']", done.stderr
        command = [str(python.with_name("framesift")), "submit", "job.json", "--priority", "high", "--json"]
        told = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout)["priority"] == "high"
