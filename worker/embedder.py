"""What an embedding model provides: its identity without loading it, then a function from pixels to vectors."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from worker.device import Device
from worker.media.preprocessing import Preprocessing
from worker.registry import Variant

MAX_DIMENSION = 8192
"""Longest vector that is accepted: fitting a projection takes three matrices of its square, in float64."""

Forward = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Maps (b, h, w, 3) uint8 RGB pixels to (b, d) float32 vectors; may raise the device's out-of-memory error."""

Channels = tuple[float, float, float]
"""One number for each of red, green and blue."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes two embeddings comparable: same identity, same space. Goes into chunk addresses and the report."""

    name: str
    weights_sha256: str
    """Digest of the weights, or "none" for a model without any."""
    preprocessing: Preprocessing
    dimension: int
    details: dict[str, str]
    """Whatever else decides the vectors (architecture, normalisation, output, code version)."""
    licence: str


class WeightFiles(Protocol):
    """Turns a URL from a job into a local file whose SHA-256 has been checked."""

    def fetch(self, url: str, *, sha256: str) -> Path:
        """Return the path of a local copy; raises JobRejected where the digest differs, StorageError where unreadable."""
        ...


class WeightsFile(BaseModel):
    """Weights that a job brings along: where they lie, and the digest that they must have."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    url: str = Field(min_length=1, max_length=2048)
    sha256: str = Field(pattern=r"^[0-9a-fA-F]{64}$")
    licence: str = Field(default="not stated", max_length=200, description="shown in the report")


class Embedder(Variant):
    """An embedding model and its parameters."""

    kind: ClassVar[str] = "embedder"

    def identity(self, files: WeightFiles) -> Identity:
        """Say what this model is, without running it. May fetch the weights' file to digest it."""
        raise NotImplementedError

    def load(self, device: Device, files: WeightFiles) -> Forward:
        """Make the model ready on a device; called once in a process."""
        raise NotImplementedError
