"""Hangs and crashes are made by other child programs, or by signals, never by a switch in the real one."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from worker.errors import JobFailed
from worker.media.children import Child
from worker.media.decoders import Decoders
from worker.media.images import DecodeRequest, decode
from worker.media.limits import Limits
from worker.media.preprocessing import Preprocessing
from worker.samples import Decoded, Skipped, SkipReason

ROOT = Path(__file__).parents[3]
REQUEST = DecodeRequest(
    measures=("sharpness", "width", "perceptual_hash"),
    embed=Preprocessing(resize=32, crop=24),
    thumbnail_px=16,
)


@pytest.fixture(scope="module")
def pool() -> Iterator[Decoders]:
    with Decoders(1, Limits()) as decoders:
        yield decoders


def png(width: int = 40, height: int = 30, colour: tuple[int, int, int] = (250, 100, 10)) -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def odd_child(behaviour: str) -> tuple[str, ...]:
    """Return the command of a child that does something of its own where the real one decodes."""
    script = f"""
        import os, signal, sys, time
        sys.path.insert(0, {str(ROOT)!r})
        from worker.media import child
        real = child.decode
        def decode(body, request, limits):
            {behaviour}
            return real(body, request, limits)
        child.decode = decode
        child.main()
    """
    return (sys.executable, "-c", textwrap.dedent(script))


def equal(first: Decoded | Skipped, second: Decoded | Skipped) -> bool:
    if isinstance(first, Skipped) or isinstance(second, Skipped):
        return first == second
    return (
        np.array_equal(first.pixels, second.pixels)
        and (first.measures, first.full_measures, first.thumbnail)
        == (second.measures, second.full_measures, second.thumbnail)
        and (first.format, first.width, first.height, first.seen_px)
        == (second.format, second.width, second.height, second.seen_px)
    )


def test_decode__is_what_the_function_gives(pool: Decoders) -> None:
    for body in (png(), b"", b"no image", png()[:60]):
        for request in (REQUEST, DecodeRequest(), DecodeRequest(full_measures=("sharpness",))):
            assert equal(pool.decode(body, request), decode(body, request, Limits()))


def test_decode__pixels_may_be_written_to(pool: Decoders) -> None:
    result = pool.decode(png(), REQUEST)
    assert isinstance(result, Decoded)
    assert result.pixels is not None
    assert result.pixels.flags.writeable


def test_decode__from_many_threads_each_gets_its_own() -> None:
    bodies = [png(10 + i, 20, (i, 2 * i, 3 * i)) for i in range(60)]
    with Decoders(2, Limits()) as decoders, ThreadPoolExecutor(6) as threads:
        results = list(threads.map(lambda body: decoders.decode(body, REQUEST), bodies))
    assert all(
        equal(result, decode(body, REQUEST, Limits())) for body, result in zip(bodies, results, strict=True)
    )


def test_decode__outlives_the_thread_that_first_used_it() -> None:
    with Decoders(1, Limits()) as decoders:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(decoders.decode, png(), REQUEST).result()
        first = pid_of(decoders)
        assert isinstance(decoders.decode(png(), REQUEST), Decoded)
        assert pid_of(decoders) == first


def pid_of(decoders: Decoders) -> int:
    return idle_child(decoders).pid


def idle_child(decoders: Decoders) -> Child:
    child = decoders._children._idle[-1]
    assert child is not None
    return child


def test_decode__large_bodies(pool: Decoders) -> None:
    body = png() + bytes(8 * 2**20)
    assert equal(pool.decode(body, REQUEST), decode(body, REQUEST, Limits()))


@pytest.mark.parametrize("extra_bytes", [0, 16 * 2**20])
def test_decode__hang_is_killed_and_replaced(
    pool: Decoders, extra_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.decode(png(), REQUEST)
    pid = pid_of(pool)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(pool, "_limits", Limits(decode_timeout_s=0.2))
    result = pool.decode(png() + bytes(extra_bytes), REQUEST)
    assert result == Skipped(SkipReason.DECODE_TIMEOUT, "not decoded within 0.2 s")
    monkeypatch.undo()
    assert isinstance(pool.decode(png(), REQUEST), Decoded)
    assert pid_of(pool) != pid


@pytest.mark.parametrize(
    ("behaviour", "detail"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "the decoding process ended with signal 11"),
        ("sys.exit('lost my way')", "the decoding process ended with status 1: lost my way"),
        ("raise KeyError('bug')", "the decoding process ended with status 1: KeyError: 'bug'"),
    ],
)
def test_decode__crash_costs_one_image(behaviour: str, detail: str) -> None:
    command = odd_child(f"if body == b'poison': {behaviour}")
    with Decoders(1, Limits(), command=command) as decoders:
        assert decoders.decode(b"poison", REQUEST) == Skipped(SkipReason.DECODE_CRASHED, detail)
        assert isinstance(decoders.decode(png(), REQUEST), Decoded)


def test_decode__process_that_died_while_idle_costs_nothing(pool: Decoders) -> None:
    pool.decode(png(), REQUEST)
    idle_child(pool).kill()
    assert isinstance(pool.decode(png(), REQUEST), Decoded)


def test_decode__out_of_memory() -> None:
    file = BytesIO()
    Image.new("1", (9_500, 9_500)).save(file, "PNG")
    with Decoders(1, Limits(decode_memory_bytes=400 * 2**20)) as decoders:
        result = decoders.decode(file.getvalue(), DecodeRequest(full_measures=("sharpness",)))
        assert isinstance(result, Skipped)
        assert result.reason is SkipReason.OUT_OF_MEMORY
        assert isinstance(decoders.decode(png(), REQUEST), Decoded)


def test_decode__out_of_memory_before_the_decode() -> None:
    with Decoders(1, Limits(decode_memory_bytes=400 * 2**20)) as decoders:
        result = decoders.decode(bytes(200 * 2**20), REQUEST)
        assert isinstance(result, Skipped)
        assert result.reason is SkipReason.OUT_OF_MEMORY
        assert isinstance(decoders.decode(png(), REQUEST), Decoded)


def test_decode__start_that_fails_says_why() -> None:
    command = (sys.executable, "-c", "import module_that_is_not_there")
    with Decoders(1, Limits(), command=command) as decoders:
        for _ in range(2):
            with pytest.raises(
                JobFailed, match=r"did not start: ModuleNotFoundError.*module_that_is_not_there"
            ):
                decoders.decode(png(), REQUEST)


def test_exit__leaves_no_process_behind() -> None:
    with Decoders(1, Limits()) as decoders:
        decoders.decode(png(), REQUEST)
        pid = pid_of(decoders)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_child__has_no_credentials_and_few_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    behaviour = (
        "import re; raise SystemExit(f\"{sorted(n for n in os.environ if 'AWS' in n)} "
        "{sorted({'torch', 'boto3', 'pyarrow', 'faiss'} & set(sys.modules))} {os.environ['OMP_NUM_THREADS']}\")"
    )
    with Decoders(1, Limits(), command=odd_child(behaviour)) as decoders:
        result = decoders.decode(b"x", REQUEST)
    assert isinstance(result, Skipped)
    assert result.detail.endswith(": [] [] 1")


def test_child__ignores_ctrl_c(pool: Decoders) -> None:
    pool.decode(png(), REQUEST)
    pid = pid_of(pool)
    os.kill(pid, signal.SIGINT)
    assert isinstance(pool.decode(png(), REQUEST), Decoded)
    assert pid_of(pool) == pid


def test_child__dies_with_its_parent() -> None:
    script = f"""
        import os, signal, sys
        sys.path.insert(0, {str(ROOT)!r})
        from worker.media.decoders import Decoders
        from worker.media.images import DecodeRequest
        from worker.media.limits import Limits
        decoders = Decoders(1, Limits())
        decoders.decode(b"", DecodeRequest())
        sys.stdout.write(str(decoders._children._idle[-1].pid))
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    parent = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, check=False, text=True
    )
    assert parent.returncode == -signal.SIGKILL
    # The child holds neither pipe, so `run` may return first; wait for init to have reaped it.
    assert ended(int(parent.stdout))


def ended(pid: int) -> bool:
    for _ in range(200):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        signal.sigtimedwait([], 0.02)
    return False
