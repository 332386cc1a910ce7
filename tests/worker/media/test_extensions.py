import pytest

from worker.media.extensions import kind_of


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("a/b.JPG", "image"),
        ("a.tiff", "image"),
        ("phone.heic", "image"),
        ("a.b/without", "image"),
        (".hidden", "image"),
        ("film.MP4", "video"),
        ("a/b.webm", "video"),
        ("notes.txt", "other"),
        ("a.jpg/notes.json", "other"),
        ("a.jpg.gz", "other"),
    ],
)
def test_kind_of(key: str, kind: str) -> None:
    assert kind_of(key) == kind
