import json
import socket
from time import monotonic

import numpy as np
import pytest

from worker.media.messages import packed, receive, send, to_json, unpacked
from worker.samples import Decoded, Skipped, SkipReason


def test_frames__arrive_as_they_were_sent() -> None:
    here, there = socket.socketpair()
    with here, there:
        send(here, b"{}", b"ab", b"", b"c")
        send(here, b"next")
        assert receive(there) == (b"{}", bytearray(b"abc"))
        assert receive(there) == (b"next", bytearray())


def test_receive__none_where_the_other_side_closed() -> None:
    here, there = socket.socketpair()
    with there:
        here.sendall(b"\x05\x00")
        here.close()
        assert receive(there) is None


def test_receive__gives_up_at_the_deadline() -> None:
    here, there = socket.socketpair()
    with here, there, pytest.raises(TimeoutError):
        receive(there, deadline=monotonic() + 0.05)


@pytest.mark.parametrize("image", [None, b"", b"png"])
@pytest.mark.parametrize("thumbnail", [None, b"", b"jpeg"])
@pytest.mark.parametrize("with_pixels", [False, True])
def test_unpacked__is_what_was_packed(
    thumbnail: bytes | None, image: bytes | None, with_pixels: bool
) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)[:, ::-1] if with_pixels else None
    result = Decoded("png", 4, 2, (4, 2), {"a": 0.1, "b": 3}, {"c": "f0"}, pixels, thumbnail, image)
    back = sent(result)
    assert isinstance(back, Decoded)
    assert (back.format, back.width, back.height, back.seen_px) == ("png", 4, 2, (4, 2))
    assert (back.measures, back.full_measures) == (result.measures, result.full_measures)
    assert (back.thumbnail, back.image) == (thumbnail, image)
    assert type(back.measures["b"]) is int
    assert (back.pixels is None) == (pixels is None)
    assert pixels is None or np.array_equal(back.pixels, pixels)


def test_unpacked__skipped() -> None:
    result = Skipped(SkipReason.CORRUPT, "ümlaut")
    assert sent(result) == result


def sent(result: Decoded | Skipped) -> Decoded | Skipped:
    header, blobs = packed(result)
    return unpacked(json.loads(to_json(header)), bytearray(b"".join(blobs)))
