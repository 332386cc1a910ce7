"""Closing with look-ahead for two keys, or more that nest: exact and quick, as completions are flows.

A pick of one row flows from a source through its value of one key and then its value of the other to a sink, and back;
at_least, at_most, candidates and rows bound these arcs. Keys that nest, such as days and the videos of each, follow
one another on the same side. A completion is a circulation. Another cell may be picked from exactly if the circulation
can change along a cycle through its arc: if both ends of it are in one strong component of the residual graph (Ahuja,
Magnanti and Orlin, Network Flows, 1993, sections 2.4 and 6.7).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, maximum_flow

Rows = NDArray[np.int64]
Whole = NDArray[np.int64]

_SOURCE, _SINK = 0, 1
_UNBOUNDED = 2**30
_MOST_KEYS = 10
"""Keys whose nesting is looked into; the ways to share them out double with each."""

Sides = tuple[list[int], list[int]]


def sides_of(values: Whole) -> Sides | None:
    """Share out keys to two sides so that they nest on each, the coarsest first; None if there is no way.

    `values` (c, q): the bounded value of each cell by key, or -1.
    """
    keys = np.argsort([len(np.unique(key)) for key in values.T], kind="stable").tolist()
    if len(keys) > _MOST_KEYS:
        return None
    inside = {(fine, coarse): _nests(values[:, fine], values[:, coarse]) for fine in keys for coarse in keys}
    return _shared_out(keys, ([], []), inside)


class Flow:
    """Closes the cells that no completion picks from.

    O((cells + values) log) a pick, and some 150 bytes a cell.

    Args:
        values: (c, q) column of the bounds that one pick from each cell counts for, by key, or -1.
        sides: of these, from `sides_of`.
        available: (c,) candidates in each cell.
        at_least: (v,).
        at_most: (v,).
        n: rows in all.

    `is_feasible`: whether the empty selection has a completion; if not, nothing else is of use.
    """

    def __init__(
        self,
        values: Whole,
        sides: Sides,
        available: Whole,
        *,
        at_least: Whole,
        at_most: Whole,
        n: int,
    ) -> None:
        cells = len(values)
        first = _tree(values[:, sides[0]], _SOURCE, first_node=2, first_arc=cells)
        nodes, arcs = 2 + len(first.nodes), cells + len(first.nodes)
        second = _tree(values[:, sides[1]], _SINK, first_node=nodes, first_arc=arcs)
        arcs += len(second.nodes)
        self._nodes = nodes + len(second.nodes)
        self._tail = np.concatenate([first.leaves, first.parents, second.nodes, [_SINK]])
        self._head = np.concatenate([second.leaves, first.nodes, second.parents, [_SOURCE]])
        self._paths = np.hstack(
            [np.arange(cells)[:, None], first.paths, second.paths, np.full((cells, 1), arcs)]
        )
        column = np.concatenate([first.columns, second.columns])
        low = np.where(column >= 0, at_least[column], 0)
        high = np.where(column >= 0, at_most[column], _UNBOUNDED)
        self._low = np.concatenate([np.zeros(cells, np.int64), low, [0]])
        self._high = np.minimum(np.concatenate([available, high, [n]]), _UNBOUNDED)
        self._cells = cells
        self._flow, self.is_feasible = self._circulation()

    def start(self) -> Rows:
        """Return the cells that no completion of the empty selection picks from."""
        return self._close(self._residual())

    def picked(self, cell: int) -> Rows:
        """Return the cells that no completion picks from after a pick from this one."""
        if self._flow[cell] == 0:
            self._reroute(cell)
        path = self._paths[cell]
        self._flow[path] -= 1
        self._high[path] -= 1
        self._low[path] = np.maximum(self._low[path] - 1, 0)
        return self._close(self._residual())

    def _circulation(self) -> tuple[Whole, bool]:
        """Return a flow within all bounds: that of the largest flow which pays off what the lower bounds owe."""
        owed = np.zeros(self._nodes, np.int64)
        np.add.at(owed, self._head, self._low)
        np.subtract.at(owed, self._tail, self._low)
        source, sink = self._nodes, self._nodes + 1
        gets, gives = np.flatnonzero(owed > 0), np.flatnonzero(owed < 0)
        tails = np.concatenate([self._tail, np.full(len(gets), source), gives])
        heads = np.concatenate([self._head, gets, np.full(len(gives), sink)])
        capacity = np.concatenate([self._high - self._low, owed[gets], -owed[gives]]).astype(np.int32)
        graph = csr_array((capacity, (tails, heads)), shape=(sink + 1, sink + 1))
        largest = maximum_flow(graph, source, sink)
        carried = csr_array(largest.flow)
        own = np.asarray(carried[self._tail, self._head]).ravel()
        return self._low + own, largest.flow_value == owed[gets].sum()

    def _residual(self) -> csr_array:
        """Return (nodes, nodes): arc + 1 where it can carry more, and -(arc + 1) backwards where it can carry less."""
        more = np.flatnonzero(self._flow < self._high)
        less = np.flatnonzero(self._flow > self._low)
        tails = np.concatenate([self._tail[more], self._head[less]])
        heads = np.concatenate([self._head[more], self._tail[less]])
        steps = np.concatenate([more + 1, -less - 1])
        return csr_array(coo_array((steps, (tails, heads)), shape=(self._nodes, self._nodes)))

    def _close(self, residual: csr_array) -> Rows:
        component = connected_components(residual, directed=True, connection="strong")[1]
        own = slice(self._cells)
        is_apart = component[self._tail[own]] != component[self._head[own]]
        closed = np.flatnonzero((self._high[own] > 0) & (self._flow[own] == 0) & is_apart)
        self._high[closed] = 0
        return closed

    def _reroute(self, cell: int) -> None:
        """Change the circulation along a cycle, so that it picks from this cell."""
        residual = self._residual()
        start, node = self._head[cell], self._tail[cell]
        before = breadth_first_order(residual, start, directed=True, return_predecessors=True)[1]
        self._flow[cell] += 1
        while node != start:
            step = int(residual[before[node], node])
            self._flow[abs(step) - 1] += np.sign(step)
            node = before[node]


@dataclass(frozen=True, slots=True)
class _Tree:
    """Nodes under a root with the arcs to their parents; for each cell its leaf, and its path as numbers of arcs."""

    leaves: Rows
    paths: Rows
    nodes: Rows
    parents: Rows
    columns: Rows


def _tree(values: Whole, root: int, *, first_node: int, first_arc: int) -> _Tree:
    """Return the tree with one level for each key of (c, k) values that nest, coarsest first."""
    none = np.empty(0, np.int64)
    at = np.full(len(values), root)
    paths, parents, columns = [np.empty((len(values), 0), np.int64)], [none], [none]
    count = 0
    for key in values.T:
        pairs = np.stack([at, key], axis=1)
        distinct, child = np.unique(pairs, axis=0, return_inverse=True)
        paths.append(first_arc + count + child[:, None])
        parents.append(distinct[:, 0])
        columns.append(distinct[:, 1])
        at = first_node + count + child
        count += len(distinct)
    return _Tree(
        leaves=at,
        paths=np.hstack(paths),
        nodes=first_node + np.arange(count),
        parents=np.concatenate(parents),
        columns=np.concatenate(columns),
    )


def _nests(fine: Whole, coarse: Whole) -> bool:
    """Return whether every value of the fine key lies inside one of the coarse key."""
    has = fine >= 0
    pairs = np.unique(np.stack([fine[has], coarse[has]]), axis=1)
    return pairs.shape[1] == len(np.unique(fine[has]))


def _shared_out(keys: list[int], sides: Sides, inside: dict[tuple[int, int], bool]) -> Sides | None:
    if not keys:
        return sides
    key, *rest = keys
    for side in (0, 1):
        if all(inside[key, coarser] for coarser in sides[side]):
            longer = [*sides[side], key]
            found = _shared_out(rest, (longer, sides[1]) if side == 0 else (sides[0], longer), inside)
            if found is not None:
                return found
    return None
