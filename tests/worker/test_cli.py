"""The command, as a user calls it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.photos import make_photos
from tests.worker.runs import job

ENVIRONMENT = {"FRAMESIFT_CHUNK_SOURCES": "8", "FRAMESIFT_DECODE_PROCESSES": "1", "FRAMESIFT_DEVICE": "cpu"}


def started(*arguments: object, cwd: Path | None = None, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "worker.cli", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(Path.cwd())} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def framesift(
    *arguments: object, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.cli", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(Path.cwd())} | environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    make_photos(folder, 30)
    return folder


def written(folder: Path, document: object) -> Path:
    path = folder / "job.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_version__needs_nothing_heavy() -> None:
    code = "import sys, worker.cli; assert not {'torch', 'numpy', 'boto3', 'pyarrow'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
    assert framesift("version").stdout.strip()


def test_run__from_options_copies_and_says_where(photos: Path, tmp_path: Path) -> None:
    done = framesift(
        "run", "--input", photos, "--output", tmp_path / "out", "--n-samples", 4,
        "--set", "embedding.model.type=colour_histogram", "--copy-selected", tmp_path / "picked",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Selected 4 of 30 samples." in done.stdout
    assert f"{tmp_path / 'out'}/selection/" in done.stdout
    assert len(list((tmp_path / "picked").iterdir())) == 4


def test_run__json_is_one_object_on_stdout_and_lines_on_stderr(photos: Path, tmp_path: Path) -> None:
    document = written(tmp_path, job(photos, tmp_path / "out"))
    done = framesift("run", document, "--json")
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["state"] == "done"
    assert outcome["counts"]["selected"] == 6
    events = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert "planned" in events
    assert "progress" in events


def test_check__says_what_would_happen_and_writes_nothing(photos: Path, tmp_path: Path) -> None:
    document = written(tmp_path, job(photos, tmp_path / "out"))
    before = json.loads(framesift("check", document, "--json").stdout)
    assert (before["sources"], before["sources_to_read"], before["chunks_done"]) == (30, 30, 0)
    assert not (tmp_path / "out").exists()
    assert framesift("run", document).returncode == 0
    after = json.loads(framesift("check", document, "--json").stdout)
    assert (after["sources_to_read"], after["chunks_done"]) == (0, after["chunks"])
    assert "to read   0 objects" in framesift("check", document).stdout


def test_plan__says_what_chunk_needs(photos: Path, tmp_path: Path) -> None:
    document = written(tmp_path, job(photos, tmp_path / "out"))
    found = json.loads(framesift("plan", document, "--json").stdout)
    assert (found["sources"], found["connection"]) == (30, None)
    text = framesift("plan", document).stdout
    assert f"plan      {found['plan']}\n" in text
    assert f"chunks    {found['chunks']}, index 0 to {found['chunks'] - 1}\n" in text
    assert framesift("chunk", "--plan", found["plan"], "--index", 0).returncode == 0
    wrong = framesift("chunk", "--plan", found["plan"], "--index", found["chunks"])
    assert (wrong.returncode, "choose 0 to" in wrong.stderr) == (2, True)
    for arguments in (["--index", ""], []):  # an array job without its variable
        assert framesift("chunk", "--plan", found["plan"], *arguments).returncode == 2


def test_chunk__two_processes_at_once_do_no_harm(photos: Path, tmp_path: Path) -> None:
    from tests.worker.runs import prepared
    from worker.events import Events
    from worker.one_chunk import run_chunk
    from worker.planned import plan_job

    readied = [prepared(job(photos, tmp_path / folder)) for folder in ("alone", "together")]
    alone, together = (plan_job(ready, Events()) for ready in readied)
    run_chunk(alone.plan, 1, connection=None, settings=readied[0].settings)
    pair = [started("chunk", "--plan", together.plan, "--index", 1) for _ in range(2)]
    said = [process.communicate(timeout=120)[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    assert all(text.startswith("chunk 1: ") for text in said)
    assert chunks_in(tmp_path / "alone") == chunks_in(tmp_path / "together")
    assert len(chunks_in(tmp_path / "alone")) == 2


def test_coreset__picks_of_finished_jobs_and_a_refusal(photos: Path, tmp_path: Path) -> None:
    from tests.worker.runs import prepared, select

    made = select(prepared(job(photos, tmp_path / "out")))
    made.results.close("done")
    call = ("coreset", "--output", tmp_path / "out", "--n-samples", 3, "--jobs")
    done = framesift(*call, made.results.job_id)
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == [made.results.job_id] * 3
    assert {line[1] for line in lines} <= set(made.findings.selected)
    assert "cover all 30 samples within" in done.stderr
    wrong = framesift(*call, "yesterday's")
    assert (wrong.returncode, wrong.stderr.startswith("refused: --jobs: ")) == (2, True)


def chunks_in(folder: Path) -> dict[str, bytes]:
    root = folder / ".framesift" / "chunks"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_schema__is_the_copy_in_docs() -> None:
    assert framesift("schema").stdout == Path("docs/job.schema.json").read_text()


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ('{"kind": "selection",', "not JSON at line 1"),
        ({"kind": "selection", "nam": "x"}, "did you mean 'name'"),
        ({"selection": {"n_samples": 0, "strategies": []}}, "n_samples"),
        ({"selection": {"n_samples": 5, "strategies": [{"input": {"type": "SCORES", "task": "t", "score": "s"}, "strategy": {"type": "WEIGHTS"}}]}}, "WEIGHTS on SCORES is not available"),
        ({"selection": {"n_samples": 5, "strategies": [{"input": {"type": "METADATA", "key": "lightly.sharpnes"}, "strategy": {"type": "WEIGHTS"}}]}}, "did you mean 'lightly.sharpness'"),
        ({"embedding": {"model": {"type": "colour_histogramm"}}}, "did you mean 'colour_histogram'"),
        ({"datasource": {"input": "ftp://x", "output": "/tmp/x"}}, "datasource.input"),
        ({"datasource": {"input": "s3://in-bucket/", "output": {"url": "s3://out-bucket/", "connection": "mine"}}}, "mine"),
        ({"datasource": {"input": "/data", "output": "/data/out"}}, "datasource.output"),
        ({"predictions": {}}, "predictions"),
    ],
)  # fmt: skip
def test_run__a_wrong_job_is_refused_in_one_line(
    tmp_path: Path, photos: Path, document: object, says: str
) -> None:
    if isinstance(document, dict):
        document = {**job(photos, tmp_path / "out"), **document}
    done = framesift("run", written(tmp_path, document))
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "output", "code", "says"),
    [
        ("{tmp}/nowhere", "{tmp}/out", 2, "datasource.input: no such folder"),
        ("{photos}", "/proc/framesift", 3, "/proc/framesift"),
        ("{photos}", "{photos}/00000.jpg", 2, "datasource.output"),
        ("s3://no-such-bucket-here/", "{tmp}/out", 3, "s3://no-such-bucket-here"),
    ],
)
def test_run__a_place_that_does_not_work_fails_in_one_line(
    photos: Path, tmp_path: Path, source: str, output: str, code: int, says: str
) -> None:
    places = {"tmp": tmp_path, "photos": photos}
    unreachable = {
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    document = job(source.format(**places), output.format(**places))
    done = framesift("run", written(tmp_path, document), **unreachable, AWS_DEFAULT_REGION="us-east-1")
    assert (done.returncode, done.stderr.count("Traceback")) == (code, 0), done.stderr
    assert says in done.stderr.splitlines()[-1]


def test_run__ctrl_c_leaves_a_job_that_goes_on(tmp_path: Path) -> None:
    make_photos(tmp_path / "in", 200)
    document = written(tmp_path, job(tmp_path / "in", tmp_path / "out"))
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "run", str(document)],
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets what it starts in the background ignore Ctrl-C, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # no thread is there
    )
    while process.poll() is None and not list(tmp_path.glob("out/.framesift/chunks/*/*.parquet")):
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "run the same job again" in said
    done = framesift("run", document)
    assert done.returncode == 0
    assert "resumed" in done.stderr


def test_gc__deletes_what_no_recent_plan_needs(photos: Path, tmp_path: Path) -> None:
    document = written(tmp_path, job(photos, tmp_path / "out"))
    assert framesift("run", document).returncode == 0
    assert framesift("gc", tmp_path / "out").stdout.startswith("deleted 0 objects")
    assert "would delete" in framesift("gc", tmp_path / "out", "--older-than", 0, "--dry-run").stdout
    assert list(tmp_path.glob("out/.framesift/chunks/*/*.parquet"))
    assert framesift("gc", tmp_path / "out", "--older-than", 0).returncode == 0
    assert not list(tmp_path.glob("out/.framesift/chunks/*/*.parquet"))


def test_run__nothing_new_is_said_and_ends_well(photos: Path, tmp_path: Path) -> None:
    document = job(photos, tmp_path / "out")
    document["datasource"]["process"] = "new"
    path = written(tmp_path, document)
    assert "Selected 6 of 30 samples." in framesift("run", path).stdout
    again = framesift("run", path)
    assert again.returncode == 0, again.stderr
    assert again.stdout == "Nothing new: earlier jobs have finished with 30 objects. Nothing was selected.\n"
    as_json = json.loads(framesift("run", path, "--json").stdout)
    assert (as_json["state"], as_json["nothing_new"]) == ("done", True)
    assert "nothing new: a run ends at once, with an empty selection" in framesift("check", path).stdout
