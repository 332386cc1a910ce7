from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from jobs.datasource import Datasource, Location, parse_location
from jobs.errors import JobRejected
from jobs.spec import SelectionJob, parse_job

ONE = {"input": {"type": "RANDOM"}, "strategy": {"type": "WEIGHTS"}}


def job(datasource: object, *, name: str = "night") -> SelectionJob:
    parsed = parse_job(
        {
            "kind": "selection",
            "name": name,
            "datasource": datasource,
            "selection": {"n_samples": 1, "strategies": [ONE]},
        }
    )
    assert isinstance(parsed, SelectionJob)
    return parsed


def refused(datasource: object, *, name: str = "night") -> str:
    with pytest.raises(JobRejected) as caught:
        job(datasource, name=name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("s3://recordings", "recordings", ""),
        ("s3://recordings/", "recordings", ""),
        ("s3://recordings/2026/a", "recordings", "2026/a/"),
        ("S3://my.bucket-1/2026/a/", "my.bucket-1", "2026/a/"),
    ],
)
def test_location__bucket_and_prefix(url: str, bucket: str, prefix: str) -> None:
    location = Location.model_validate(url)
    assert location.is_s3
    assert (location.bucket, location.prefix) == (bucket, prefix)
    assert location.url == f"s3://{bucket}/{prefix}"
    with pytest.raises(ValueError, match="in a bucket"):
        _ = location.path


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("/data/x", "/data/x"),
        ("/data/./y/../x//", "/data/x"),
        ("//data/x", "/data/x"),
        ("file:///data/a%20b", "/data/a b"),
        ("file://localhost/data", "/data"),
        ("/", "/"),
        ("/a:b", "/a:b"),
    ],
)
def test_location__local_path(url: str, path: str) -> None:
    location = Location.model_validate({"url": url})
    assert not location.is_s3
    assert location.path == Path(path)
    assert location.url == path.rstrip("/") + "/"
    with pytest.raises(ValueError, match="not in a bucket"):
        _ = location.bucket


def test_location__relative_path_is_below_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Location.model_validate("photos").path == tmp_path / "photos"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://host/x", "http: is not supported; give s3://bucket/prefix/, a local path or file:///path"),
        ("gs://bucket/x", "gs: is not supported"),
        ("C:\\photos", "c: is not supported"),
        ("s3:/bucket/x", "should go on with // after s3:"),
        ("s3://", "'' is not a bucket's name"),
        ("s3://ab/x", "'ab' is not a bucket's name: 3 to 63 of a-z"),
        ("s3://Bucket/x", "'Bucket' is not a bucket's name"),
        ("s3://a..b/x", "'a..b' is not a bucket's name"),
        ("s3://10.0.0.1/x", "'10.0.0.1' is not a bucket's name"),
        ("s3://bucket/../x", "no '.' or '..' folder"),
        ("s3://bucket/" + "x" * 901, "at most 900 bytes"),
        ("s3://bucket/a\nb", "no control character (got 's3://bucket/a\\nb')"),
        ("~/photos", "'~' is not expanded"),
        ("file://host/x", "three slashes"),
        ("file:///a%00b", "no control character"),
        ("", "at least 1 character"),
    ],
)
def test_location__refuses_with_choices(url: str, says: str) -> None:
    text = refused({"input": url, "output": "s3://curation/"})
    assert text.startswith("datasource.input: ")
    assert says in text


@pytest.mark.parametrize(
    "url", ["s3://key:hunter2@bucket/x", "https://key:hunter2@host/x", "s3://bucket/x?sig=hunter2"]
)
def test_location__a_secret_is_refused_and_not_repeated(url: str) -> None:
    text = refused({"input": url, "output": "s3://curation/"})
    assert text.startswith("datasource.input: should hold no")
    assert "hunter2" not in text


def test_location__connection_is_for_buckets() -> None:
    found = job({"input": {"url": "s3://bucket/x", "connection": "minio"}, "output": "s3://curation/"})
    assert found.datasource.input.connection == "minio"
    text = refused({"input": {"url": "/x", "connection": "minio"}, "output": "s3://curation/"})
    assert text == "datasource.input.connection: a connection is for s3:// only"


@given(
    st.from_regex(r"\A[a-z0-9][a-z0-9-]{1,20}[a-z0-9]\Z"),
    st.lists(st.text("ab é-_=", min_size=1), max_size=4),
)
def test_location__normalising_twice_changes_nothing(bucket: str, folders: list[str]) -> None:
    once = Location.model_validate("/".join(["s3:/", bucket, *folders]))
    assert Location.model_validate(once.url) == once
    assert once.prefix == "".join(f"{folder}/" for folder in folders)


@pytest.mark.parametrize(
    ("given_url", "output", "says"),
    [
        ("s3://bucket/a", "s3://bucket/a/", "should not be the input"),
        ("s3://bucket/a/", "s3://bucket/a/b/", "should not be inside the input"),
        ("s3://bucket", "s3://bucket/out/", "should not be inside the input"),
        ("s3://bucket/night", "s3://bucket/", "the folder 'night' of this job's results is inside the input"),
        ("/data", "/data/../data", "should not be the input"),
        ("/data", "file:///data/out", "should not be inside the input"),
        ("/", "/out", "should not be inside the input"),
        ("/data/night", "/data", "the folder 'night' of this job's results is inside the input"),
    ],
)
def test_check_apart__refuses_results_below_the_input(given_url: str, output: str, says: str) -> None:
    text = refused({"input": given_url, "output": output})
    assert text.startswith("datasource.output: ")
    assert says in text


@pytest.mark.parametrize(
    ("given_url", "output"),
    [
        ("s3://bucket/a", "s3://bucket/ab/"),
        ("s3://bucket/a", "s3://bucket/"),
        ("s3://bucket/night", "s3://bucket/x/"),
        ("s3://bucket/night/sub", "s3://bucket/"),
        ("s3://bucket/a", "/bucket/a"),
        ("/data/a", "/data/ab"),
    ],
)
def test_check_apart__accepts_neighbours(given_url: str, output: str) -> None:
    assert job({"input": given_url, "output": output}).datasource.output.url.endswith("/")


def test_check_apart__same_bucket_over_another_connection_is_another_place() -> None:
    assert job({"input": {"url": "s3://bucket/a", "connection": "old"}, "output": "s3://bucket/a"})


@pytest.mark.parametrize("key", [".lightly/relevant.txt", ".lightly/a/b c.txt"])
def test_relevant_filenames__below_lightly(key: str) -> None:
    assert (
        job({"input": "/in", "output": "/out", "relevant_filenames": key}).datasource.relevant_filenames
        == key
    )


@pytest.mark.parametrize(
    "key",
    [
        "relevant.txt",
        "/.lightly/x",
        ".lightly",
        ".lightly/",
        ".lightly/../x",
        ".lightly//x",
        ".lightly/x\n",
        "",
    ],
)
def test_relevant_filenames__refuses_anything_else(key: str) -> None:
    text = refused({"input": "/in", "output": "/out", "relevant_filenames": key})
    assert text.startswith("datasource.relevant_filenames: should ")


def test_input_expiration__both_keys() -> None:
    block = {"min_days_to_expiration": 3, "handling_strategy": "SKIP"}
    found = job({"input": "/in", "output": "/out", "input_expiration": block})
    assert found.datasource.input_expiration is not None
    assert found.datasource.input_expiration.min_days_to_expiration == 3
    assert "did you mean 'SKIP'" in refused(
        {"input": "/in", "output": "/out", "input_expiration": {**block, "handling_strategy": "skip"}}
    )


def test_datasource__is_frozen() -> None:
    datasource = Datasource.model_validate({"input": "/in", "output": "/out"})
    with pytest.raises(ValidationError, match="frozen"):
        datasource.process = "new"


def test_parse_location__a_place_of_the_command_line() -> None:
    assert parse_location("s3://curation/x", connection="minio", at="--plan").prefix == "x/"
    with pytest.raises(JobRejected, match=r"^--plan: url: gs: is not supported"):
        parse_location("gs://curation/x", connection=None, at="--plan")
