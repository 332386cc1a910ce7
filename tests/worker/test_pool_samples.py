import numpy as np
import pyarrow as pa

from worker.pool_samples import times_of


def table(*rows: tuple[str, int | None, float | None]) -> pa.Table:
    sources, streams, seconds = zip(*rows, strict=True)
    return pa.table(
        {
            "source": pa.array(sources, pa.string()),
            "stream": pa.array(streams, pa.int32()),
            "time_s": pa.array(seconds, pa.float64()),
        }
    )


def test_times_of__numbers_each_stream_of_each_video() -> None:
    found = times_of(
        table(
            ("a.jpg", None, None),
            ("a.mp4", 0, 0.0),
            ("a.mp4", 0, 0.5),
            ("a.mp4", 1, 0.25),
            ("b.jpg", None, None),
            ("b.mp4", 1, 1.0),
        ),
        2,
    )
    assert found is not None
    assert found.videos.tolist() == [-1, 0, 0, 1, -1, 2, -1, -1]
    np.testing.assert_array_equal(found.seconds, [np.nan, 0.0, 0.5, 0.25, np.nan, 1.0, np.nan, np.nan])


def test_times_of__images_have_none() -> None:
    assert times_of(table(("a.jpg", None, None), ("b.jpg", None, None)), 1) is None
    assert times_of(pa.table({"source": ["a.jpg"]}), 0) is None
