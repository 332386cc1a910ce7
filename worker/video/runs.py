"""Which packets must be decoded for some frames, and where their bytes are. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from worker.video.scanned import Packets

_NEAR_BYTES = 2**20
_SLACK_BYTES = 64 * 2**10

Span = tuple[int, int]
"""Bytes [start, stop) of a file."""


@dataclass(frozen=True, slots=True)
class Run:
    """A group of packets from a key packet on, decoded as far as its wanted frames need.

    `start` is the key packet's pts. `count` packets are fed to the decoder from there, or more until the one with the pts
    `last` is: where a segment ends, a key frame that is not its own comes before the last ones. `targets` are the
    ascending pts wanted; `hidden` are those that nobody waits for. `follows`: the group before was fed to its end, and
    this one's first frames need it. `near`: its start is reached by reading on.
    """

    start: int
    count: int
    last: int
    targets: tuple[int, ...]
    hidden: tuple[int, ...]
    follows: bool
    near: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """The runs that give some frames, the bytes that they read, and those frames that no packet gives.

    `linear`: timestamps repeat, so a seek by one may land at another packet's; the file is read from its beginning.
    """

    runs: tuple[Run, ...]
    spans: tuple[Span, ...]
    unknown: tuple[int, ...]
    linear: bool = False


def plan_runs(packets: Packets, pts: Sequence[int], *, indexed: bool, size: int) -> Plan:
    """Return the runs for ascending pts, in decode order, each group of packets at most once.

    Where `indexed`, packets lie in the file as `pos` and `size` say; else a group lies between its first packet's and the
    next one's `pos`. A frame displayed before its key frame, though it comes after it, needs the group before, too.
    """
    wanted = np.asarray(pts, np.int64)
    places, known = _places(packets, wanted)
    keys = np.flatnonzero(packets.key)
    groups = np.searchsorted(keys, places, side="right") - 1
    known &= groups >= 0
    unknown = tuple(wanted[~known].tolist())
    wanted, places, groups = wanted[known], places[known], groups[known]
    leading = packets.pts[places] < packets.pts[keys[groups]]
    led = {int(group) for group in groups[leading]}
    ends = np.append(keys[1:], len(packets.pts))
    runs: list[Run] = []
    spans: list[Span] = []
    read_to = -1
    for group in sorted({int(one) for one in groups} | {one - 1 for one in led if one > 0}):
        first = int(keys[group])
        mine = groups == group
        stop = int(ends[group]) if group + 1 in led else int(places[mine].max()) + 1
        near = first == read_to or (not indexed and _is_near(packets, read_to, first))
        follows = group in led and first == read_to
        targets = tuple(wanted[mine].tolist())
        hidden = _hidden(packets, first, stop)
        start, last = int(packets.pts[first]), int(packets.pts[stop - 1])
        runs.append(Run(start, stop - first, last, targets, hidden, follows, near))
        spans += _exact(packets, first, stop, size) if indexed else _around(packets, first, stop, size)
        read_to = stop
    linear = len(np.unique(packets.pts)) < len(packets.pts)
    return Plan(tuple(runs), () if linear else tuple(spans), unknown, linear)


def after_death(plan: Plan, given: int) -> tuple[tuple[int, ...], Plan]:
    """Return the frames that died with a process that had given the first `given` ones, and the plan without them.

    They are those of the run that was under way. What follows on it without a key frame of its own is begun anew.
    """
    runs = list(plan.runs)
    while runs and given >= len(runs[0].targets):
        given -= len(runs.pop(0).targets)
    if not runs:
        return (), replace(plan, runs=(), unknown=())
    lost = runs.pop(0).targets[given:]
    if runs:
        runs[0] = replace(runs[0], follows=False, near=False)
    return lost, replace(plan, runs=tuple(runs), unknown=())


def _places(packets: Packets, wanted: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the index of each wanted frame's packet, and which of them there are."""
    shown = np.flatnonzero(packets.shown)
    if not len(shown):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    order = shown[np.argsort(packets.pts[shown], kind="stable")]
    at = np.minimum(np.searchsorted(packets.pts[order], wanted), len(order) - 1)
    return order[at], packets.pts[order[at]] == wanted


def _hidden(packets: Packets, first: int, stop: int) -> tuple[int, ...]:
    shown = packets.shown[first:stop]
    if shown.all():
        return ()
    pts = packets.pts[first:stop]
    return tuple(np.setdiff1d(pts[~shown], pts[shown]).tolist())


def _is_near(packets: Packets, here: int, there: int) -> bool:
    if here < 0 or packets.pos[here] < 0:
        return False
    return 0 <= int(packets.pos[there] - packets.pos[here]) <= _NEAR_BYTES


def _exact(packets: Packets, first: int, stop: int, size: int) -> list[Span]:
    starts = packets.pos[first:stop]
    stops = np.minimum(starts + packets.size[first:stop], size)  # the file may have been cut off
    there = (starts >= 0) & (starts < stops)
    return list(zip(starts[there].tolist(), stops[there].tolist(), strict=True))


def _around(packets: Packets, first: int, stop: int, size: int) -> list[Span]:
    start = int(packets.pos[first])
    after = int(packets.pos[stop]) if stop < len(packets.pos) else size
    return [(start, min(size, after + _SLACK_BYTES))] if 0 <= start < after else []
