"""How high an image is."""

from typing import ClassVar, Literal

from worker.measure import Image, Measure


class Height(Measure):
    """Height of the original after orientation."""

    type: Literal["height"] = "height"
    key: ClassVar[str] = "height"
    label: ClassVar[str] = "Height"
    unit: ClassVar[str] = "px"
    of_pixels: ClassVar[bool] = False

    def of(self, image: Image) -> int:
        """Return the height in pixels."""
        return image.height
