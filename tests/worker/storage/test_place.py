from worker.storage.place import place


def test_place__stays_on_one_line() -> None:
    assert place("s3://b/", "a\nb\0\u202ec d\u00e9\udc80") == r"s3://b/a\nb\x00\u202ec dé\udc80"
