import pytest

from jobs.rules import Bounds, Quota, bounds_by_key
from tests.jobs.test_selection import DIVERSITY, EMBEDDINGS, entry, parsed, refused


def quota(value: str | None = None, key: str = "camera", **bounds: int) -> dict[str, object]:
    return {"key": key, "value": value, **bounds}


def text(*quotas: dict[str, object]) -> dict[str, object]:
    return {**entry(EMBEDDINGS, DIVERSITY), "quotas": list(quotas)}


def test_bounds_by_key__the_tightest_of_several_count() -> None:
    quotas = [
        Quota.model_validate(one)
        for one in (
            quota(at_most=9),
            quota("front", at_most=5),
            quota("front", at_least=2),
            quota("front", at_least=1, at_most=7),
            quota(key="weather", at_least=1),
        )
    ]
    found = bounds_by_key(quotas)
    assert list(found) == ["camera", "weather"]
    assert found["camera"].of("front") == Bounds(2, 5, 2, 1)
    assert found["camera"].of("back") == Bounds(0, 9, None, 0)
    assert found["weather"].of("rain") == Bounds(1, None, 4, None)


@pytest.mark.parametrize(
    ("quotas", "says"),
    [
        (
            (quota("front", at_most=1), quota("front", at_least=2)),
            "selection.quotas.1: at_least 2 for 'front' contradicts at_most 1 of quotas.0",
        ),
        (
            (quota("front", at_least=2), quota(at_most=1)),
            "selection.quotas.0: at_least 2 for 'front' contradicts at_most 1 of quotas.1",
        ),
        (
            (quota(at_least=3), quota(at_most=2)),
            "selection.quotas.0: at_least 3 contradicts at_most 2 of quotas.1",
        ),
        (
            (quota("front", at_least=3), quota("back", at_least=3)),
            "selection.quotas: those on 'camera' need 6 samples at least, but n_samples is 5",
        ),
    ],
)
def test_check_quotas__contradictions(quotas: tuple[dict[str, object], ...], says: str) -> None:
    assert refused(text(*quotas)) == says


def test_check_quotas__passes_what_can_be_met() -> None:
    quotas = (
        quota("front", at_least=3),
        quota("back", at_least=2),
        quota(at_most=3),
        quota("x", key="y", at_least=5),
    )
    assert len(parsed(text(*quotas)).quotas) == 4
