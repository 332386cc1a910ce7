"""From a spec to a variant, or a clear refusal."""

import pytest

from worker.errors import JobRejected
from worker.variants import EMBEDDERS


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"type": "tim"}, r"at\.type: no embedder 'tim'; choose from .*; did you mean 'timm'"),
        ({"type": "timm", "nam": "x"}, r"at\.nam: unknown key; did you mean 'name'\? known: "),
        ({"type": "timm", "name": 5}, r"at\.name: .*\(got 5\)"),
        ({}, r"at\.type: no embedder None"),
    ],
)
def test_parse__refuses_in_one_line(spec: dict[str, object], says: str) -> None:
    with pytest.raises(JobRejected, match=says) as caught:
        EMBEDDERS.parse(spec, at="at")
    assert "\n" not in str(caught.value)


def test_parse__returns_the_variant_with_its_parameters() -> None:
    assert EMBEDDERS.parse({"type": "colour_histogram"}, at="at").type == "colour_histogram"
