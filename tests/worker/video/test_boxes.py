import pytest

from tests.videos import Clip, boxes, make
from worker.video.boxes import Boxes, stated_size
from worker.video.remote_file import RemoteFile, SkimmedFile


def at(body: bytes):  # type: ignore[no-untyped-def]
    return lambda start, count: body[start : start + count]


def test_boxes__of_a_real_file() -> None:
    body = make(Clip(frames=3))
    found = Boxes(at(body), len(body))
    assert found.stated_size() == len(body)
    (start, stop) = next((start, stop) for kind, start, stop in boxes(body) if kind == "mdat")
    assert found.media_at(start + 7) is None
    media = found.media_at(start + 8)
    assert media is not None
    assert (media.start, media.stop) == (start, stop)
    assert found.media_at(stop) is None
    assert found.has(b"moov")
    assert not found.has(b"moof")


def test_boxes__long_open_and_broken_lengths() -> None:
    long = b"\0\0\0\1mdat" + (100).to_bytes(8, "big") + bytes(84)
    found = Boxes(at(long), 100)
    assert found.media_at(15) is None
    assert found.media_at(16) is not None
    to_the_end = b"\0\0\0\0mdat" + bytes(50)
    assert Boxes(at(to_the_end), 58).stated_size() == 58
    broken = b"\0\0\0\5mdat" + bytes(50)
    assert Boxes(at(broken), 58).media_at(20) is None
    assert Boxes(at(b""), 0).stated_size() == 0


@pytest.mark.parametrize(
    "clip",
    [Clip(form="matroska", frames=3), Clip(form="avi", codec="mjpeg", pixel_format="yuvj420p", frames=3)],
)
def test_stated_size__of_real_files(clip: Clip) -> None:
    body = make(clip)
    assert stated_size(at(body), len(body)) == len(body)
    assert stated_size(at(body[:-100]), len(body) - 100) == len(body)


def test_stated_size__transport_streams_have_whole_packets() -> None:
    body = make(Clip(form="mpegts", frames=3))
    assert stated_size(at(body), len(body)) == len(body)
    assert stated_size(at(body[:-10]), len(body) - 10) == len(body)


def test_stated_size__others_and_streams_of_open_length() -> None:
    assert stated_size(at(b"\0\0\1\xba" + bytes(100)), 104) == 104
    live = b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01" + b"\xff" * 7
    assert stated_size(at(live), 500) == 500


def test_skimmed__zeros_for_the_media_and_the_rest_as_it_is() -> None:
    body = make(Clip(frames=3))
    start, stop = next((start, stop) for kind, start, stop in boxes(body) if kind == "mdat")
    fetched: list[tuple[int, int]] = []

    def fetch(first: int, count: int) -> bytes:
        fetched.append((first, count))
        return body[first : first + count]

    file = SkimmedFile(len(body), fetch)
    fetched.clear()
    assert file.seek(start + 8) == start + 8
    assert b"".join(iter(lambda: file.read(1000), b""))[: stop - start - 8] == bytes(stop - start - 8)
    assert file.read_at(stop, 20) == body[stop : stop + 20]
    assert all(first >= stop for first, _ in fetched)


def test_skimmed__goes_on_behind_the_end_of_a_cut_file() -> None:
    body = make(Clip(frames=3, muxing={"movflags": "faststart"}))
    cut = body[: len(body) - 500]
    file = SkimmedFile(len(cut), at(cut))
    assert file.size == len(body)
    assert file.seek(0, 2) == len(body)
    assert file.read_at(len(body) - 10, 20) == bytes(10)


def test_remote_file__short_answers_and_seeks() -> None:
    body = bytes(range(200))
    file = RemoteFile(200, lambda start, _: body[start : start + 7])
    assert file.read(100) == body[:7]
    assert file.read_at(50, 60) == body[50:110]
    assert file.tell() == 7
    assert file.seek(-5, 2) == 195
    assert file.read(100) + file.read(100) == body[195:]
    assert file.seek(3, 1) == 203
    with pytest.raises(OSError, match="before the beginning"):
        file.seek(-1)
