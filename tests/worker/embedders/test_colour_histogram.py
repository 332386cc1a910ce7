import numpy as np

from tests.worker.embedders.local_files import LocalFiles, two_images
from worker.device import Device
from worker.embedders.colour_histogram import ColourHistogram

CPU = Device("cpu", "CPU", 1)


def test_load__counts_by_hand() -> None:
    image = np.zeros((1, 2, 2, 3), np.uint8)
    image[0, 0, 0] = (255, 31, 32)
    vector = ColourHistogram().load(CPU, LocalFiles())(image)[0]
    assert vector[:8].tolist() == [0.75, 0, 0, 0, 0, 0, 0, 0.25]  # red
    assert vector[8:16].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]  # green
    assert vector[16:].tolist() == [0.75, 0.25, 0, 0, 0, 0, 0, 0]  # blue


def test_load__same_bits_in_any_batch() -> None:
    forward = ColourHistogram().load(CPU, LocalFiles())
    images = two_images(64)
    assert forward(images).tobytes() == forward(images[:1]).tobytes() + forward(images[1:]).tobytes()
