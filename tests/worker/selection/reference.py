"""The rule of selection, one candidate and one formula at a time."""

import math

import numpy as np

from worker.selection.terms import Balance, Diversity, Weights

SMALLEST = 5e-324
TIE = 1e-12


def picks_of(x, terms, n, *, candidates=None, preselected=(), gain=False, closes=None):
    """Return the picks and why they ended; `closes(picks)` names rows that may not be picked next."""
    selected, picks, passed_over = list(preselected), [], set()
    left = [row for row in (range(len(x)) if candidates is None else candidates) if row not in selected]
    while len(picks) < n:
        sums = [(t, sum(t.values[s] for s in selected)) for t in terms if isinstance(t, Weights)]
        if any(t.stop_at_sum is not None and total >= t.stop_at_sum for t, total in sums):
            return picks, "max_sum"
        apart = {row: [distance(x, t, selected, row) for t in terms if is_diverse(t)] for row in left}
        diverse = [t for t in terms if is_diverse(t)]
        passed_over |= {
            row
            for row in left
            for t, d in zip(diverse, apart[row], strict=True)
            if t.on_too_close == "skip" and d < t.minimum_distance
        }
        closed = set() if closes is None else closes(picks)
        open_ = [row for row in left if row not in passed_over and row not in closed]
        if not open_:
            return picks, "too_close" if passed_over else None
        scores = [score(x, terms, selected, picks, row, n, gain) for row in open_]
        row = next(r for r, s in zip(open_, scores, strict=True) if s >= max(scores) - TIE)
        if any(d < t.minimum_distance for t, d in zip(diverse, apart[row], strict=True)):
            return picks, "too_close"
        if any(t.stop_below is not None and t.values[row] < t.stop_below for t, _ in sums):
            return picks, "minimum_typicality"
        picks.append(row)
        selected.append(row)
        left.remove(row)
    return picks, None


def score(x, terms, selected, picks, row, n, gain):
    total = 0.0
    for term in terms:
        value = value_of(x, term, selected, picks, row, n, gain)
        if value is not None:
            total += term.strength * math.log(max(value, SMALLEST))
    return total


def value_of(x, term, selected, picks, row, n, gain):
    match term:
        case Diversity():
            return diversity(x, term, selected, row, gain)
        case Weights(target=None):
            return term.values[row] + (0.0 if gain else sum(term.values[s] for s in selected))
        case Weights():
            return kept_to_line(term, [*picks, row], n, gain)
        case Balance():
            return (asked_for if gain else balance)(term, selected, row)


def is_diverse(term):
    return isinstance(term, Diversity)


def vectors(x, term, row):
    if term.objects is None:
        return [x[row].astype(np.float64)]
    return [v.astype(np.float64) for v in term.objects.embeddings[term.objects.owners == row]]


def square(a, b):
    return float(((a - b) ** 2).sum())


def mean_square(x, term, selected, row):
    """Return the mean over a row's vectors of the square to the nearest selected one; None where there are none."""
    own = vectors(x, term, row)
    others = [v for s in selected for v in vectors(x, term, s)]
    if not own or not others:
        return None
    return sum(min(square(v, o) for o in others) for v in own) / len(own)


def distance(x, term, selected, row):
    found = mean_square(x, term, selected, row)
    return math.inf if found is None else math.sqrt(found)


def diversity(x, term, selected, row, gain):
    own = mean_square(x, term, selected, row)
    if not vectors(x, term, row):
        return 0.0
    if own is None:
        return None
    if gain:
        return math.sqrt(own)
    members = [v for s in selected for v in vectors(x, term, s)]
    within = [
        min((square(v, o) for at, o in enumerate(members) if at != place), default=0.0)
        for place, v in enumerate(members)
    ]
    return sum(within) + own


def kept_to_line(term, picks, n, gain):
    least, most = term.target
    scale = (least if math.isinf(most) else (least + most) / 2) or 1.0
    total, share = sum(term.values[p] for p in picks), len(picks) / n
    gap = max(least * share - total, total - most * share, 0.0)
    return 1 / (1 + gap / (scale / n if gain else scale))


def balance(term, selected, row):
    totals = sum((term.shares[s] for s in selected), np.zeros(len(term.target))) + term.shares[row]
    shares = totals / totals.sum() if totals.sum() > 0 else totals
    crossed = -sum(t * math.log(p + 1e-10) for t, p in zip(term.target, shares, strict=True))
    return 1 / math.exp(round(math.log(max(crossed, 1e-10)), 12))


def asked_for(term, selected, row):
    own = term.shares[row]
    if own.sum() == 0:
        return 1.0
    totals = sum((term.shares[s] for s in selected), np.zeros(len(own))) + own
    asked = sum(s * t / (c / totals.sum()) for s, t, c in zip(own, term.target, totals, strict=True) if s > 0)
    return math.exp(round(math.log(max(asked / own.sum(), SMALLEST)), 12))
