from worker.analysis.verdict import judge, side
from worker.facts import Baseline, Headline, HeadlineName


def headline(name: HeadlineName, selected: float, *, higher_is_better: bool) -> Headline:
    return Headline(
        name=name,
        higher_is_better=higher_is_better,
        selected=selected,
        random_mean=1.0,
        random_low=0.9,
        random_high=1.1,
        better_than=0,
    )


def baseline(diversity: float, coverage: float) -> Baseline:
    return Baseline(
        draws=100,
        measured_rows=9,
        input_rows=9,
        headlines=(
            headline("diversity_mean", diversity, higher_is_better=True),
            headline("coverage_mean", coverage, higher_is_better=False),
        ),
    )


def test_side__knows_which_way_is_better() -> None:
    assert side(headline("diversity_mean", 1.2, higher_is_better=True)) == 1
    assert side(headline("coverage_mean", 1.2, higher_is_better=False)) == -1
    assert side(headline("coverage_mean", 1.1, higher_is_better=False)) == 0


def test_judge__every_level() -> None:
    levels = {
        (1.2, 0.8): "better",
        (1.2, 1.0): "better",
        (1.2, 1.2): "mixed",
        (1.0, 1.2): "worse",
        (1.0, 1.0): "same",
    }
    for (diversity, coverage), level in levels.items():
        assert judge(selected=3, candidates=9, baseline=baseline(diversity, coverage)).level == level


def test_judge__says_the_numbers() -> None:
    sentence = judge(selected=3, candidates=9, baseline=baseline(1.2, 1.0)).sentence
    assert "(1.200, random 0.900 to 1.100)" in sentence
    assert "100 random draws" in sentence


def test_judge__all_candidates_picked_is_no_choice() -> None:
    assert "All 9 candidates" in judge(selected=9, candidates=9, baseline=baseline(1, 1)).sentence
