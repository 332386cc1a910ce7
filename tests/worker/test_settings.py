import os
from pathlib import Path

import pytest

from worker.errors import JobFailed
from worker.settings import load_settings

SECRET = "wJalrXUtnFEMI"


@pytest.fixture(autouse=True)
def no_settings_of_the_tester(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("FRAMESIFT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRAMESIFT_CONFIG", str(tmp_path / "framesift.toml"))
    return tmp_path / "framesift.toml"


def test_load_settings__variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMESIFT_FETCH_THREADS", "7")
    monkeypatch.setenv("FRAMESIFT_LIMITS__MAX_PIXELS", "1000")
    monkeypatch.setenv("FRAMESIFT_CONNECTIONS__MINE__ENDPOINT_URL", "https://s3.example.org")
    monkeypatch.setenv("FRAMESIFT_WEIGHTS_DIRS", "/models:/more models")
    settings = load_settings()
    assert settings.fetch_threads == 7
    assert settings.limits.max_pixels == 1000
    assert settings.connections["mine"].endpoint_url == "https://s3.example.org"
    assert settings.weights_dirs == [Path("/models"), Path("/more models")]


def test_load_settings__weights_dirs_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMESIFT_WEIGHTS_DIRS", '["/a:b"]')
    assert load_settings().weights_dirs == [Path("/a:b")]


def test_load_settings__a_file(config: Path) -> None:
    config.write_text(
        'batch_size = 8\nweights_dirs = ["/models"]\n[limits]\nmax_pixels = 5\n'
        f'[connections.Berlin]\naccess_key_id = "me"\nsecret_access_key = "{SECRET}"\n'
    )
    settings = load_settings()
    assert (settings.batch_size, settings.limits.max_pixels) == (8, 5)
    assert settings.weights_dirs == [Path("/models")]
    assert settings.connections["Berlin"].secret() == SECRET
    assert SECRET not in repr(settings)


def test_load_settings__arguments_then_variables_then_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(
        "batch_size = 1\nfetch_threads = 1\nchunk_sources = 1\n[limits]\nmax_pixels = 1\nmax_object_bytes = 1\n"
    )
    monkeypatch.setenv("FRAMESIFT_BATCH_SIZE", "2")
    monkeypatch.setenv("FRAMESIFT_FETCH_THREADS", "2")
    monkeypatch.setenv("FRAMESIFT_LIMITS__MAX_PIXELS", "2")
    settings = load_settings(batch_size=3)
    assert (settings.batch_size, settings.fetch_threads, settings.chunk_sources) == (3, 2, 1)
    assert (settings.limits.max_pixels, settings.limits.max_object_bytes) == (2, 1)


def test_load_settings__variables_of_other_parts_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMESIFT_SOMETHING_ELSE", "1")
    assert load_settings().batch_size == 32


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("s3://abc/ s3://def/x", [("s3://abc/", None), ("s3://def/x/", None)]),
        ("s3://abc,s3://def/x/", [("s3://abc/", None), ("s3://def/x/", None)]),
        (
            '["/data/my photos", {"url": "s3://abc", "connection": "berlin"}]',
            [("/data/my photos/", None), ("s3://abc/", "berlin")],
        ),
    ],
)
def test_load_settings__outputs(
    monkeypatch: pytest.MonkeyPatch, text: str, places: list[tuple[str, str | None]]
) -> None:
    monkeypatch.setenv("FRAMESIFT_OUTPUTS", text)
    assert [(one.url, one.connection) for one in load_settings().outputs] == places


def test_load_settings__a_redis_url_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMESIFT_REDIS_URL", f"http://:{SECRET}@redis")
    with pytest.raises(JobFailed, match=r"^FRAMESIFT_REDIS_URL: should start with redis://") as failure:
        load_settings()
    assert SECRET not in str(failure.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("batchsize = 3", "batchsize: no such setting; choose from batch_size, "),
        (
            "[limits]\nmax_pixel = 3",
            "limits.max_pixel: no such setting; choose from decode_memory_bytes, ",
        ),
        (
            "[connections.a]\nendpoint = 'x'",
            "connections.a.endpoint: no such setting; choose from access_key_id, ",
        ),
        ("batch_size = 0", r"batch_size: Input should be greater than or equal to 1 \(got 0\)"),
        ("device = 'tpu'", r"device: Input should be 'auto', 'cpu' or 'cuda' \(got 'tpu'\)"),
        ("batch_size = ", r"Invalid value \(at "),
        (
            "[connections.a]\nendpoint_url = 'ftp://x'",
            "connections.a.endpoint_url: String should match",
        ),
        (
            "[connections.a]\naccess_key_id = 'me'",
            r"connections.a: .*access_key_id and secret_access_key .* go together",
        ),
        ("connections = 3", "connections: Input should be a valid dictionary"),
    ],
)
def test_load_settings__what_the_file_has_wrong(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    with pytest.raises(JobFailed, match=f"^{config}: {said}") as caught:
        load_settings()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "FRAMESIFT_BATCH_SIZE",
            "many",
            "FRAMESIFT_BATCH_SIZE: Input should be a valid integer.* \\(got 'many'\\)",
        ),
        (
            "FRAMESIFT_LIMITS__MAX_PIXEL",
            "3",
            "FRAMESIFT_LIMITS__MAX_PIXEL: no such setting; choose from .*max_pixels",
        ),
        ("FRAMESIFT_CONNECTIONS", "{", "settings: error parsing value for field .connections."),
        ("FRAMESIFT_WEIGHTS_DIRS", "[", "FRAMESIFT_WEIGHTS_DIRS: "),
    ],
)
def test_load_settings__what_a_variable_has_wrong(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(JobFailed, match=f"^{said}") as caught:
        load_settings()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        f"secret_access_key = '{SECRET}'",
        f"[connections.a]\nsecret_access_key = '{SECRET}'",
        f"[connections.a]\nsecret = '{SECRET}'",
        f"[connections]\na = '{SECRET}'",
        f"[connections.a]\naccess_key_id = 'me'\nsecret_access_key = ['{SECRET}']",
        f"[connections.a]\nprofile = 'p'\naccess_key_id = 'me'\nsecret_access_key = '{SECRET}'",
        f"[connections.a]\nendpoint_url = 'https://me:{SECRET}@example.org'",
    ],
)
def test_load_settings__never_prints_a_secret(config: Path, text: str) -> None:
    config.write_text(text)
    with pytest.raises(JobFailed) as caught:
        load_settings()
    assert SECRET not in f"{caught.value} {caught.value.__cause__}"


def test_load_settings__no_such_file(config: Path) -> None:
    with pytest.raises(JobFailed, match="FRAMESIFT_CONFIG: no such file: "):
        load_settings()


def test_load_settings__a_file_that_is_not_text(config: Path) -> None:
    config.write_bytes(b"\xff\xfe")
    with pytest.raises(JobFailed, match=r"framesift\.toml"):
        load_settings()


def test_secret__both_ways_at_once(config: Path) -> None:
    config.write_text(
        "[connections.a]\naccess_key_id = 'me'\nsecret_access_key = 'x'\nsecret_access_key_file = '/y'"
    )
    with pytest.raises(JobFailed, match="exclude each other"):
        load_settings()


def test_load_settings__an_argument_is_not_blamed_on_the_file(config: Path) -> None:
    config.write_text("")
    with pytest.raises(JobFailed, match=r"^settings: batch_size: "):
        load_settings(batch_size=0)
