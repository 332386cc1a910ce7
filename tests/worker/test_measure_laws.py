"""What holds for every measure, whichever files lie in the folder."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

import worker.measures
from worker.measure import Image, Measure
from worker.registry import Registry

MEASURES = Registry(worker.measures, Measure).by_name


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


PICTURES = {
    "black": np.zeros((48, 64, 3), np.uint8),
    "white": np.full((48, 64, 3), 255, np.uint8),
    "noise": noise(48, 64, 3),
    "one_pixel": noise(1, 1, 3),
    "thin": noise(2, 4000, 3),
    "tall": noise(4000, 2, 3),
    "several_bands": noise(1100, 1000, 3),
    "view": noise(60, 80, 3)[5:50, ::2],
}


def image_of(pixels: NDArray[np.uint8]) -> Image:
    return Image(pixels, pixels.shape[1], pixels.shape[0], 1234)


@pytest.fixture(params=sorted(MEASURES))
def measure(request: pytest.FixtureRequest) -> Measure:
    return MEASURES[request.param](type=request.param)


@pytest.mark.parametrize("name", sorted(PICTURES))
def test_of__is_finite_of_the_stated_type_and_leaves_the_pixels_alone(measure: Measure, name: str) -> None:
    pixels = PICTURES[name].copy()
    pixels.flags.writeable = False
    value = measure.of(image_of(pixels))
    if measure.numeric:
        assert type(value) in {int, float}
        assert math.isfinite(value)
    else:
        assert type(value) is str
    assert np.array_equal(pixels, PICTURES[name])


def test_of__gives_the_same_for_the_same(measure: Measure) -> None:
    assert measure.of(image_of(noise(48, 64, 3))) == measure.of(image_of(noise(48, 64, 3).copy()))


def test_keys__are_unique() -> None:
    keys = [measure.key for measure in MEASURES.values()]
    assert len(set(keys)) == len(keys)


def test_measure__is_labelled(measure: Measure) -> None:
    assert measure.label
    assert measure.unit
    assert measure.__class__.__doc__
