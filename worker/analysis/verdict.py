"""The numbers in one sentence that is true for every selection, good or bad."""

from typing import Literal

from worker.facts import Baseline, Headline, HeadlineName, Verdict

_Level = Literal["better", "same", "mixed", "worse", "none"]
_THAT_COUNT: tuple[HeadlineName, ...] = ("diversity_mean", "coverage_mean", "coverage_max")
_CLAIMS: dict[HeadlineName, dict[int, str]] = {
    "diversity_mean": {
        1: "its samples differ more from each other",
        0: "its samples differ from each other as much as by chance",
        -1: "its samples differ less from each other",
    },
    "coverage_mean": {
        1: "the average input sample is closer to a pick",
        0: "the average input sample is as close to a pick as by chance",
        -1: "the average input sample is farther from a pick",
    },
    "coverage_max": {
        1: "the input sample that is covered worst is closer to a pick",
        0: "the input sample that is covered worst is as close to a pick as by chance",
        -1: "the input sample that is covered worst is farther from a pick",
    },
}
_CLAIMS_WITH_DATAPOOL: dict[HeadlineName, dict[int, str]] = {
    "diversity_mean": {
        1: "its samples differ more from each other and from the datapool",
        0: "its samples differ from each other and from the datapool as much as by chance",
        -1: "its samples differ less from each other and from the datapool",
    },
    **{
        name: {sign: claim.replace("a pick", "a kept sample") for sign, claim in _CLAIMS[name].items()}
        for name in _THAT_COUNT[1:]
    },
}


def judge(
    *, selected: int, candidates: int, baseline: Baseline, preselected: int = 0, length: int = 1
) -> Verdict:
    """Say how the selection compares with chance: beyond the 95 % band, inside it, or on the wrong side of it.

    With `preselected` samples, both the selection and the draws are joined with them. Picks and draws are of whole
    sequences of `length` samples.
    """
    if not selected:
        return Verdict(level="none", sentence="Nothing was selected, so there is nothing to compare.")
    if selected == candidates:
        return Verdict(
            level="none",
            sentence=f"All {candidates:,} candidates were picked, so there is no choice to compare with chance.",
        )
    judged = {one.name: one for one in baseline.headlines if one.name in _THAT_COUNT}
    sides = {name: side(one) for name, one in judged.items()}
    claims = _CLAIMS if not preselected else _CLAIMS_WITH_DATAPOOL
    parts = [f"{claims[name][sides[name]]} ({_numbers(one)})" for name, one in judged.items()]
    joined = ", each joined with the datapool as the selection is" if preselected else ""
    whole = f", in whole sequences of {length:,}" if length > 1 else ""
    return Verdict(
        level=_level(set(sides.values())),
        sentence=f"Beside {baseline.draws} random draws of the same size from the same candidates{whole}{joined}: "
        f"{'; '.join(parts)}.",
    )


def side(headline: Headline) -> int:
    """Return 1 where the selection lies beyond the band on the better side, 0 inside it, -1 on the worse side."""
    slack = 1e-9 * headline.selected
    above = headline.selected > headline.random_high + slack
    below = headline.selected < headline.random_low - slack
    better, worse = (above, below) if headline.higher_is_better else (below, above)
    return 1 if better else -1 if worse else 0


def _level(sides: set[int]) -> _Level:
    if 1 in sides:
        return "mixed" if -1 in sides else "better"
    if -1 in sides:
        return "worse"
    return "same" if sides else "none"


def _numbers(headline: Headline) -> str:
    numbers = (headline.selected, headline.random_low, headline.random_high)
    # As many digits as it takes to see that a number lies outside the band.
    digits = next((d for d in (3, 4, 5, 6) if len({f"{number:.{d}f}" for number in numbers}) == 3), 3)
    own, low, high = (f"{number:.{digits}f}" for number in numbers)
    return f"{own}, random {low} to {high}"
