"""States what a selection needs beside the arrays that the caller holds, and refuses early what cannot fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from worker.device import Device
from worker.selection.product import is_lazy
from worker.selection.terms import Diversity, Mode, Term, Weights

Way = Literal["diversity", "weights", "look_ahead", "plain", "submodular"]

_A_CANDIDATE: dict[Way, int] = {
    "diversity": 92,
    "weights": 105,
    "look_ahead": 135,
    "plain": 90,
    "submodular": 120,
}
"""Bytes at the peak, measured (tests/worker/selection/test_memory.py repeats it)."""
_A_QUOTA, _A_CLASS, _A_GROUPED_ROW, _A_SPAN = 24, 16, 40, 100
_BLOCK_ROWS = 1024
_FIXED = 3 * 2**20
_CPU_TILE = 3 * 2**19
_MOST_NEIGHBOURS, _A_NEIGHBOUR = 257, 64


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the memory: what it is, its formula with names, and bytes."""

    name: str
    formula: str
    bytes: int


def way_of(terms: Sequence[Term], mode: Mode) -> Way:
    """Return which way `engine.select` takes for these terms: each needs its own memory."""
    match terms:
        case _ if mode == "submodular":
            return "submodular"
        case [Diversity(strength=strength, objects=None)] if strength > 0:
            return "diversity"
        case [Weights(target=None, strength=strength)] if strength != 0:
            return "weights"
        case _:
            return "look_ahead" if is_lazy(terms) else "plain"


def required_bytes(
    rows: int,
    dimension: int,
    picks: int,
    *,
    way: Way,
    device: Device,
    candidates: int | None = None,
    quotas: int = 0,
    classes: int = 0,
    is_grouped: bool = False,
    gaps: int = 0,
    is_mapped: bool = False,
    tile_bytes: int = 2**23,
    table_bytes: int = 2**31,
) -> tuple[Part, ...]:
    """Return the parts of a selection's peak memory, none of them empty.

    Args:
        rows: of the pool.
        dimension: of the embeddings.
        picks: asked for.
        way: see `way_of`.
        device: where products run; on a GPU the embeddings are held as well.
        candidates: rows that may be picked; all when None.
        quotas: how many there are.
        classes: of all balance terms together.
        is_grouped: groups or windows are picked as units.
        gaps: 1 for a gap, and 1 for windows that overlap.
        is_mapped: the embeddings are a memory map, whose pages need no memory of their own.
        tile_bytes: see `engine.select`.
        table_bytes: the `memory_bytes` of `submodular.maximise`.
    """
    m = rows if candidates is None else candidates
    an_candidate = _A_CANDIDATE[way]
    parts = [
        Part("embeddings", "4 * rows * dimension", 0 if is_mapped else 4 * rows * dimension),
        Part("state", f"{an_candidate} * candidates", an_candidate * m),
        Part("quotas", f"{_A_QUOTA} * quotas * candidates", _A_QUOTA * quotas * m),
        Part("gaps", f"{_A_SPAN} * gaps * candidates", _A_SPAN * gaps * m),
        Part("classes", f"{_A_CLASS} * classes * candidates", _A_CLASS * classes * m),
    ]
    if way != "weights":
        parts += [
            Part("block", f"20 * dimension * {_BLOCK_ROWS} + 3 MiB", 20 * dimension * _BLOCK_ROWS + _FIXED),
            Part("tile", *_tile(device, tile_bytes)),
            Part("centres", "4 * dimension * picks", 4 * dimension * min(picks, m)),
        ]
    if is_grouped:
        a_row = 4 * dimension + _A_GROUPED_ROW
        parts.append(Part("groups", f"(4 * dimension + {_A_GROUPED_ROW}) * rows", a_row * rows))
    if way == "submodular":
        parts.append(_table(m, dimension, table_bytes))
    return tuple(part for part in parts if part.bytes)


def total(parts: Sequence[Part]) -> int:
    """Return the bytes of all parts."""
    return sum(part.bytes for part in parts)


def refuse_if_too_large(parts: Sequence[Part], limit_bytes: int) -> None:
    """Do nothing where the parts fit.

    Raises:
        ValueError: they exceed the limit; the text has the limit, and every part with formula and size.
    """
    needed = total(parts)
    if needed > limit_bytes:
        listed = ", ".join(f"{part.name} {part.formula} = {_size(part.bytes)}" for part in parts)
        raise ValueError(
            f"memory: this selection needs {_size(needed)}, and {_size(limit_bytes)} may be used ({listed});"
            " select from fewer rows, or lower the dimension"
        )


def _tile(device: Device, tile_bytes: int) -> tuple[str, int]:
    if device.is_cuda:
        return "tile_bytes", tile_bytes
    return f"min(tile_bytes, {_CPU_TILE} * threads)", min(tile_bytes, _CPU_TILE * device.threads)


def _table(candidates: int, dimension: int, table_bytes: int) -> Part:
    dense = (4 * candidates + 8 * dimension) * candidates
    if dense <= table_bytes:
        return Part("table", "(4 * candidates + 8 * dimension) * candidates", dense)
    most = _A_NEIGHBOUR * _MOST_NEIGHBOURS * candidates
    return Part("table", "table_bytes", min(table_bytes, most))


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
