"""What a process keeps from one step to the next: decoding processes and a model, which both take seconds to start."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property

from worker.chunk import Embed
from worker.decoding_processes import DecodingProcesses, start_decoding
from worker.device import Device, choose_device
from worker.media.limits import Limits
from worker.prepare import Prepared
from worker.reading import Reader
from worker.runner import load_model, reader_of
from worker.settings import Settings


class Warm:
    """One process's decoders and model. Used by one step at a time.

    Holds one model at the most, and one set of decoding processes; those of a job that needs others are replaced.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._decoding: tuple[Limits, DecodingProcesses] | None = None
        self._open = ExitStack()
        self._model: tuple[object, Embed] | None = None

    @cached_property
    def device(self) -> Device:
        """Where this process computes; imports torch."""
        return choose_device(self._settings.device)

    @contextmanager
    def reader(self, prepared: Prepared) -> Iterator[Reader]:
        """Give a reader of the job's input; decoders that a failed step may have left busy are not used again."""
        try:
            yield reader_of(prepared, self._decoding_for(prepared.limits))
        except BaseException:
            self.close()
            raise

    def model(self, prepared: Prepared, device: Device) -> Embed:
        """Return the job's model, ready on the device."""
        wanted = (prepared.identity, prepared.embedder, device)
        if self._model is None or self._model[0] != wanted:
            self._model = None  # first let go of the old one: a GPU may not hold both
            self._model = (wanted, load_model(prepared, device))
        return self._model[1]

    def close(self) -> None:
        """End the decoding processes."""
        self._decoding = None
        self._open.close()

    def _decoding_for(self, limits: Limits) -> DecodingProcesses:
        if self._decoding is None or self._decoding[0] != limits:
            self.close()
            decoding = start_decoding(self._settings, limits, threads=self.device.threads)
            self._decoding = (limits, self._open.enter_context(decoding))
        return self._decoding[1]
