"""How wide an image is."""

from typing import ClassVar, Literal

from worker.measure import Image, Measure


class Width(Measure):
    """Width of the original after orientation."""

    type: Literal["width"] = "width"
    key: ClassVar[str] = "width"
    label: ClassVar[str] = "Width"
    unit: ClassVar[str] = "px"
    of_pixels: ClassVar[bool] = False

    def of(self, image: Image) -> int:
        """Return the width in pixels."""
        return image.width
