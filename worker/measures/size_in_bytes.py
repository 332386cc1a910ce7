"""How large the stored object is."""

from typing import ClassVar, Literal

from worker.measure import Image, Measure


class SizeInBytes(Measure):
    """Size of the object as it lies in the bucket, not of any re-encoding."""

    type: Literal["size_in_bytes"] = "size_in_bytes"
    key: ClassVar[str] = "sizeInBytes"
    label: ClassVar[str] = "Size"
    unit: ClassVar[str] = "bytes"
    of_pixels: ClassVar[bool] = False

    def of(self, image: Image) -> int:
        """Return the size in bytes."""
        return image.size_bytes
