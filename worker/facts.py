"""What a report says: the content of report.json, from which HTML and PDF are drawn and nothing else."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from worker.fact import Count, Fact, Name
from worker.video_facts import VideosFacts

Fraction = Annotated[float, Field(ge=0, le=1)]
Distance = Annotated[float, Field(ge=0)]
SetName = Literal["input", "selected", "random", "datapool", "selected_with_datapool"]
HeadlineName = Literal["diversity_mean", "coverage_mean", "coverage_p95", "coverage_max"]
SeriesName = Literal[
    "coverage_mean",
    "coverage_p95",
    "coverage_max",
    "covered_share",
    "diversity_min",
    "diversity_mean",
    "misplaced_share",
    "weights_sum",
]
UnmetReason = Literal["impossible", "trade_off", "too_few_samples"]
EndedName = Literal["too_close", "max_sum", "minimum_typicality", "rules"]
Mode = Literal["objective_product", "gain_product", "submodular"]


class JobFacts(Fact):
    """Which job this is."""

    id: str = Field(description="the job's identifier")
    name: str = Field(description="the job's name, as its author gave it")
    config: dict[str, JsonValue] = Field(description="the job after defaults, as it ran")
    seed: int = Field(description="every random draw comes from this number")


class Counts(Fact):
    """How many there were, from the listing to the selection. Checked to add up."""

    listed: Count = Field(description="objects found below the input")
    ignored: Count = Field(description="objects that are neither images nor videos by their names")
    earlier: Count = Field(
        default=0, description="objects that an earlier job has finished with (datasource.process: new)"
    )
    skipped: dict[str, Count] = Field(description="sources left out, by reason")
    read: Count = Field(
        description="sources that gave at least one sample: listed - ignored - earlier - all skipped"
    )
    damaged: Count = Field(
        default=0, description="of the read ones: read in part, because something is wrong with the rest"
    )
    samples: Count = Field(description="samples made from them; one for an image, several for a video")
    near_identical: Count = Field(
        default=0, description="frames that look like the one kept before, left out before they were embedded"
    )
    duplicates: Count = Field(
        description="samples whose bytes equal another sample's, or those of one in the datapool"
    )
    pool: Count = Field(
        description="samples that the selection looked at: samples - near_identical - duplicates"
    )
    dropped: Count = Field(
        description="samples of the pool outside a threshold, without a value that a strategy needs, or in no whole sequence"
    )
    protected: Count = Field(default=0, description="further samples too near to a protected one")
    candidates: Count = Field(description="samples that could be picked: pool - dropped - protected")
    asked: Count = Field(description="samples that the job asked for")
    selected: Count = Field(description="samples picked")
    preselected: Count = Field(default=0, description="samples kept by earlier jobs (the datapool)")

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        sums = {
            "listed = ignored + earlier + skipped + read": (
                self.listed,
                self.ignored + self.earlier + sum(self.skipped.values()) + self.read,
            ),
            "samples = near_identical + duplicates + pool": (
                self.samples,
                self.near_identical + self.duplicates + self.pool,
            ),
            "pool = dropped + protected + candidates": (
                self.pool,
                self.dropped + self.protected + self.candidates,
            ),
        }
        for claim, (left, right) in sums.items():
            if left != right:
                raise ValueError(f"counts do not add up: {claim} is {left} = {right}")
        if self.damaged > self.read:
            raise ValueError(f"counts: {self.damaged} sources were read in part, but only {self.read} at all")
        if self.samples < self.read:
            raise ValueError(f"counts: {self.read} sources were read, but gave {self.samples} samples")
        if self.selected > min(self.candidates, self.asked):
            raise ValueError(
                f"counts: selected {self.selected} of {self.candidates} candidates, asked {self.asked}"
            )
        return self


class EmbeddingFacts(Fact):
    """What turned pixels into the vectors that distances are measured between."""

    model: str = Field(description="the embedder's name")
    weights_sha256: str = Field(description='SHA-256 of the weights, or "none"')
    preprocessing: dict[str, JsonValue] = Field(
        description="how an image became the model's input; sizes in pixels"
    )
    licence: str = Field(description="licence of the weights")
    dimension_model: int = Field(ge=1, description="length of the model's output")
    dimension: int = Field(ge=1, description="length after reduction by PCA; distances are measured here")
    explained_variance: Fraction | None = Field(
        description="share of the variance that the reduction kept, 0 to 1; null without reduction"
    )
    normalised: bool = Field(description="whether vectors have length 1, so that distances lie in [0, 2]")


class StrategyFacts(Fact):
    """One strategy of the selection."""

    type: str = Field(description="DIVERSITY, TYPICALITY, THRESHOLD, ...")
    input: str = Field(description="what it looks at: EMBEDDINGS, METADATA, ...")
    strength: float = Field(default=1.0, description="exponent on the strategy's objective")
    detail: str = Field(default="", description="its other parameters, one line")


class Metrics(Fact):
    """Five numbers about a set of values, in the unit of the values; std is the population's."""

    mean: float
    std: float = Field(ge=0)
    min: float
    median: float
    max: float


class Percentiles(Fact):
    """Percentiles, linearly interpolated, in the unit of the values."""

    p50: float
    p90: float
    p95: float
    p99: float


class DistanceSet(Fact):
    """Distances of one set of samples. For `random`: each metric is the mean over the draws, counts are summed."""

    name: SetName
    samples: Count = Field(description="samples in the set (in one draw, for random)")
    measured: Count = Field(description="distances behind the counts; the sum of counts")
    metrics: Metrics | None = Field(description="null where there is no distance, as in a set of one")
    percentiles: Percentiles | None = Field(description="null where there is no distance")
    counts: tuple[Count, ...] = Field(description="distances in each bin of the shared edges")


class Distances(Fact):
    """One kind of distance for several sets, in bins that all sets share."""

    edges: tuple[float, ...] = Field(description="bin edges, Euclidean distance; one more than the bins")
    sets: tuple[DistanceSet, ...]

    @model_validator(mode="after")
    def _bins_fit(self) -> Self:
        for one in self.sets:
            if len(one.counts) != max(0, len(self.edges) - 1) or sum(one.counts) != one.measured:
                raise ValueError(f"histogram of {one.name} does not fit its edges or its size")
        return self

    def of(self, name: SetName) -> DistanceSet | None:
        """Return one set, or None where it was not measured."""
        return next((one for one in self.sets if one.name == name), None)


class Headline(Fact):
    """One number of the selection beside the same number of random draws, all measured on the same samples."""

    name: HeadlineName
    higher_is_better: bool
    selected: Distance = Field(description="the selection's number, Euclidean distance")
    random_mean: Distance = Field(description="mean over the draws")
    random_low: Distance = Field(description="2.5th percentile of the draws")
    random_high: Distance = Field(description="97.5th percentile of the draws")
    better_than: Count = Field(description="draws that the selection strictly beats")


class Baseline(Fact):
    """How the random draws were made."""

    draws: Count = Field(description="random draws of the selection's size from the same candidates")
    measured_rows: Count = Field(description="input samples that coverage was measured on, for the draws")
    input_rows: Count = Field(
        description="input samples there are; more than measured_rows means an estimate"
    )
    headlines: tuple[Headline, ...] = Field(description="empty where nothing can be compared")


class Verdict(Fact):
    """What the numbers say, in words."""

    level: Literal["better", "same", "mixed", "worse", "none"] = Field(
        description="better: beyond the band of random draws somewhere and nowhere on its wrong side; mixed: both; "
        "same: inside every band; none: nothing to compare"
    )
    sentence: str


class Curve(Fact):
    """Insertion distances in pick order, possibly thinned."""

    picks: Count = Field(description="picks there were")
    steps: tuple[int, ...] = Field(description="1-based pick numbers that are listed")
    distances: tuple[Distance, ...] = Field(
        description="distance from that pick to the closest sample kept before it"
    )


class Proof(Fact):
    """What can be proven about how well the selection covers its candidates."""

    radius_pool: Distance | None = Field(
        description="largest distance from a pool sample to its closest kept sample"
    )
    radius_candidates: Distance | None = Field(description="the same over the candidates only")
    separation: Distance | None = Field(
        description="smallest distance from a selected sample to another kept one"
    )
    optimum_low: Distance | None = Field(
        description="no selection of this size has a smaller radius than this"
    )
    optimum_high: Distance | None = Field(
        description="the best possible radius is at most this: the radius reached, or a smaller one that a search found"
    )
    reason: str | None = Field(description="why there is no interval")
    insertion: Curve


class Example(Fact):
    """A sample whose picture marks a place in the scatter plot."""

    sample: Name
    x: float
    y: float
    selected: bool


class Scatter(Fact):
    """The embedding in two dimensions, by principal component analysis over the pool."""

    method: Literal["pca"] = "pca"
    explained: tuple[Fraction, Fraction] = Field(
        description="share of the embedding's variance along each axis"
    )
    input: tuple[tuple[float, float], ...] = Field(description="input samples, perhaps a seeded draw of them")
    input_total: Count = Field(description="input samples there are")
    selected: tuple[tuple[float, float], ...] = Field(
        description="selected samples, perhaps a seeded draw of them"
    )
    selected_total: Count = Field(description="selected samples there are")
    datapool: tuple[tuple[float, float], ...] = Field(
        default=(), description="samples kept by earlier jobs, perhaps a seeded draw of them"
    )
    datapool_total: Count = Field(default=0, description="samples kept by earlier jobs there are")
    examples: tuple[Example, ...] = Field(description="samples spread over the plot")


class Pair(Fact):
    """A kept sample and one that was left out."""

    kept: Name
    dropped: Name
    distance: Distance


class ObjectiveStep(Fact):
    """What one pick did to the objective of one strategy."""

    strategy: str = Field(description="the strategy's name, as in outcomes")
    before: float = Field(description="objective of what was kept before the pick")
    after: float = Field(description="the same with the pick")
    lead: float | None = Field(
        description="strength x (ln of the objective with this pick - mean ln with a candidate still open); the leads "
        "of a pick add up to the ln of its product over the average candidate's; null where nothing was compared"
    )


class Pick(Fact):
    """A selected sample."""

    sample: Name
    step: int = Field(ge=1, description="1-based place in the pick order")
    distance: Distance | None = Field(
        description="distance to the closest sample kept before; null for the first"
    )
    nearest_kept: Name | None = Field(default=None, description="the closest other sample that was kept")
    nearest_kept_distance: Distance | None = None
    nearest_dropped: Name | None = Field(default=None, description="the closest sample that was not kept")
    nearest_dropped_distance: Distance | None = None
    decided_by: str | None = Field(
        default=None,
        description="the strategy with the largest lead; null for a single one, or without a lead",
    )
    objectives: tuple[ObjectiveStep, ...] = ()


class Outcome(Fact):
    """What one strategy has of the selection, beside what it would have by itself."""

    strategy: str
    strength: float
    objective: float | None = Field(
        description="of the whole selection; null where it holds nothing to judge"
    )
    alone: float | None = Field(
        description="objective of the greedy selection of the same size by this strategy alone"
    )
    share_of_alone: float | None = Field(
        description="objective / alone (alone / objective for a negative strength); 1: nothing was given up"
    )
    not_compared: str | None = Field(description="why there is no such selection beside it")
    decided: Count | None = Field(description="picks that this strategy decided; null for a single strategy")


class BudgetSeries(Fact):
    """One number of the selection's first picks, for every budget, beside the same number of random draws."""

    name: SeriesName
    strategy: str | None = Field(default=None, description="whose target or weights these are")
    radius: Distance | None = Field(default=None, description="for covered_share: the radius that is meant")
    higher_is_better: bool
    selected: tuple[float | None, ...] = Field(description="null where the number needs more picks")
    random_mean: tuple[float | None, ...]
    random_low: tuple[float | None, ...] = Field(description="2.5th percentile of the draws")
    random_high: tuple[float | None, ...] = Field(description="97.5th percentile of the draws")


class BudgetCurve(Fact):
    """What a smaller budget would have given: the first n picks for several n, all from one selection."""

    budgets: tuple[Count, ...] = Field(
        description="numbers of picks, ascending; at most 60, the last one is all"
    )
    draws: Count
    measured_rows: Count = Field(description="input samples on which coverage was measured, the same for all")
    input_rows: Count = Field(description="input samples there are")
    measured_picks: Count = Field(
        description="picks on which diversity was measured; fewer than all: diversity_min is an upper estimate"
    )
    like_random: Count | None = Field(
        description="first budget whose mean coverage distance is no worse than that of all random picks"
    )
    like_random_largest: Count | None = Field(description="the same for the largest coverage distance")
    mostly_covered: Count | None = Field(
        description="first budget that has 90 % of what all picks lower the mean coverage distance by after the first"
    )
    series: tuple[BudgetSeries, ...]

    @model_validator(mode="after")
    def _one_number_a_budget(self) -> Self:
        for one in self.series:
            for values in (one.selected, one.random_mean, one.random_low, one.random_high):
                if len(values) != len(self.budgets):
                    raise ValueError(
                        f"budget series {one.name} has {len(values)} of {len(self.budgets)} numbers"
                    )
        return self

    def of(self, name: SeriesName) -> tuple[BudgetSeries, ...]:
        """Return the series of one name."""
        return tuple(one for one in self.series if one.name == name)


class BalanceClass(Fact):
    """One class of a target distribution."""

    name: str
    requested: Fraction = Field(description="share in the target")
    achieved: Fraction | None = Field(description="share in what is kept; null before a selection")
    achievable: Fraction = Field(description="share in the best that this many picks can do; see joint")
    candidates: float = Field(ge=0, description="candidates of the class, or the sum of their shares of it")
    reasons: tuple[UnmetReason, ...] = Field(
        description="why achieved is off by more than 5 % of requested; empty where it is not"
    )


class BalanceFacts(Fact):
    """One balance strategy: what was asked for, what was possible, and what came of it."""

    strategy: str
    joint: bool = Field(
        description="true: achievable is for all classes at once; false: for each class alone, which bounds it"
    )
    picks: Count
    misplaced: Fraction = Field(
        description="share of what is kept that is in a class too many; 0 is the target"
    )
    misplaced_at_best: Fraction | None = Field(
        description="the same for the best that can be done, where known"
    )
    classes: tuple[BalanceClass, ...]


class QuotaValue(Fact):
    """One value of a quota's key."""

    value: str
    at_least: Count
    at_most: Count | None = Field(description="null: no upper bound")
    candidates: Count
    picked: Count
    missing: Count = Field(description="picks short of at_least")


class QuotaFacts(Fact):
    """Bounds on the number of picks by the value of one key; only values with a bound are listed."""

    key: str
    values: tuple[QuotaValue, ...]


class MeasureFacts(Fact):
    """One numeric measure or metadata column, for the input and for the selection."""

    name: str
    label: str
    unit: str
    seen: str = Field(description="which pixels it was taken from, in words")
    edges: tuple[float, ...] = Field(description="bin edges in the measure's unit")
    input: Metrics | None
    input_counts: tuple[Count, ...]
    selected: Metrics | None
    selected_counts: tuple[Count, ...]
    missing: Count = Field(default=0, description="input samples without a value")


class CategoryFacts(Fact):
    """One column of short texts: how often each value occurs; the rest is counted together."""

    name: str
    label: str
    values: tuple[str, ...] = Field(description="the most frequent values of the input, most frequent first")
    input_counts: tuple[Count, ...]
    selected_counts: tuple[Count, ...]
    input_other: Count
    selected_other: Count


class Analysis(Fact):
    """Everything computed from the embeddings and the selection."""

    verdict: Verdict
    baseline: Baseline
    diversity: Distances = Field(
        description="from each sample of a set to the closest other sample of the same set"
    )
    coverage: Distances = Field(description="from each input sample to the closest sample of a set")
    proof: Proof
    scatter: Scatter
    look_alikes: tuple[Pair, ...] = Field(
        description="closest first: what was left out because it was already there"
    )
    least_covered: tuple[Pair, ...] = Field(description="farthest first: what the selection represents worst")
    picks: tuple[Pick, ...] = Field(description="the first picks, in order")
    measures: tuple[MeasureFacts, ...]
    categories: tuple[CategoryFacts, ...] = ()
    mode: Mode = Field(default="objective_product", description="what a step maximised")
    outcomes: tuple[Outcome, ...] = Field(
        default=(), description="one a ranking strategy, in the order of the job"
    )
    budgets: BudgetCurve | None = None
    balances: tuple[BalanceFacts, ...] = ()
    quotas: tuple[QuotaFacts, ...] = ()
    protected: Count = Field(
        default=0, description="candidates left out because a protected sample is too near"
    )
    ended: EndedName | None = Field(
        default=None, description="why the selection ended before its size was reached"
    )

    def pictured(self) -> list[str]:
        """Return the names of the samples whose pictures a report shows, the most important first; about 100."""
        pairs = [
            name for pair in (*self.look_alikes, *self.least_covered) for name in (pair.kept, pair.dropped)
        ]
        examples = [one.sample for one in self.scatter.examples]
        return list(dict.fromkeys((*examples, *pairs, *(pick.sample for pick in self.picks))))


class SkippedExample(Fact):
    """One source that was left out."""

    source: Name
    reason: str
    detail: str


class StageTime(Fact):
    """How long one stage took."""

    name: str
    duration_s: float = Field(ge=0)


class RunFacts(Fact):
    """What differs from one run of a plan to the next; everything else in the report does not."""

    started_at: datetime
    finished_at: datetime
    stages: tuple[StageTime, ...]
    images_per_s: float | None = Field(ge=0, description="samples embedded a second; null where none were")
    requests: dict[str, Count] = Field(description="requests to the stores, by kind")
    bytes_read: Count
    bytes_written: Count
    device: str
    host: str
    versions: dict[str, str] = Field(description="of this worker and the libraries that decide numbers")
    attempts: int = Field(ge=1)


class Content(Fact):
    """All that a report says but for how it was made: the same for every run of a plan."""

    format_version: Literal[1] = 1
    job: JobFacts
    counts: Counts
    embedding: EmbeddingFacts
    strategies: tuple[StrategyFacts, ...]
    analysis: Analysis
    skipped_examples: tuple[SkippedExample, ...] = Field(
        description="a few of each reason; skipped.json has all"
    )
    warnings: tuple[str, ...]
    digests: dict[str, str] = Field(description="SHA-256 of what the job read and wrote, by name")
    videos: VideosFacts | None = Field(default=None, description="null where no video was read")


class Facts(Content):
    """The whole report of one selection job."""

    run: RunFacts

    @classmethod
    def of(cls, content: Content, run: RunFacts) -> Self:
        """Join what was found with how it was made."""
        return cls(**{name: getattr(content, name) for name in Content.model_fields}, run=run)
