"""The webhook against a real server; the signed call is in tests/test_secured_deployment.py."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from worker.queued.webhook import notify
from worker.settings import load_settings


@contextmanager
def answering(answers: list[int]) -> Iterator[tuple[str, list[bytes]]]:
    """Serve the answers one after the other, the last one again and again; give the URL and the bodies."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(answers.pop(0) if len(answers) > 1 else answers[0])
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/secret-path", bodies
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def no_pause(_: float) -> None:
    """Go on at once."""


@pytest.mark.parametrize(
    ("answers", "is_taken", "calls"),
    [([204], True, 1), ([500, 503, 200], True, 3), ([500], False, 3), ([302], False, 3)],
)
def test_notify__tries_three_times(
    answers: list[int], is_taken: bool, calls: int, caplog: pytest.LogCaptureFixture
) -> None:
    with answering(answers) as (url, bodies):
        settings = load_settings(webhook_url=url)
        assert notify(settings, {"state": "done", "job_id": "x"}, pause=no_pause) is is_taken
    assert bodies == [b'{"job_id": "x", "state": "done"}'] * calls
    assert "secret-path" not in caplog.text


def test_notify__nobody_there_or_nobody_asked(caplog: pytest.LogCaptureFixture) -> None:
    assert not notify(load_settings(webhook_url="http://127.0.0.1:1/x"), {}, pause=no_pause)
    assert "ConnectionRefusedError" in caplog.text or "URLError" in caplog.text
    assert not notify(load_settings(), {}, pause=no_pause)


def test_notify__unsigned_is_not_sent_where_a_signature_is_due(tmp_path: Path) -> None:
    with answering([204]) as (url, bodies):
        settings = load_settings(webhook_url=url, webhook_secret_file=tmp_path / "none")
        assert not notify(settings, {}, pause=no_pause)
    assert bodies == []
