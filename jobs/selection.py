"""What to select: LightlyOne's selection config, accepted as it is, and our extensions."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from jobs.contract import CamelContract, Number, Whole, refusal, shown
from jobs.inputs import (
    CategoryCount,
    ClassDistribution,
    Embeddings,
    Input,
    Key,
    Metadata,
    Query,
    Random,
    Scores,
)
from jobs.patterns import checked_pattern
from jobs.rules import Group, Protected, Quota, check_quotas
from jobs.strategies import (
    Balance,
    Diversity,
    Similarity,
    Strategy,
    Strength,
    Threshold,
    Typicality,
    Weights,
)

__all__ = [
    "Balance",
    "CategoryCount",
    "ClassDistribution",
    "Diversity",
    "Embeddings",
    "Entry",
    "Group",
    "Metadata",
    "Protected",
    "Query",
    "Quota",
    "Random",
    "Scores",
    "Selection",
    "Similarity",
    "Threshold",
    "Tiling",
    "Typicality",
    "Weights",
]


class Entry(CamelContract):
    """One strategy and what it looks at."""

    input: Input = Field(description="what the strategy looks at")
    strategy: Strategy = Field(description="how it values a sample")

    @model_validator(mode="after")
    def _pair_is_allowed(self) -> "Entry":
        if self.strategy.type not in self.input.goes_with:
            kind = getattr(self.input, "name", self.input.type)
            raise refusal(
                f"{self.strategy.type} does not go with {kind}; {kind} goes with {', '.join(self.input.goes_with)}",
                "strategy",
                "type",
            )
        return self

    @model_validator(mode="after")
    def _query_is_for_similarity(self) -> "Entry":
        if not isinstance(self.input, Embeddings):
            return self
        similar = isinstance(self.strategy, Similarity)
        given = [
            name for name in ("query", "dataset_id", "tag_name") if getattr(self.input, name) is not None
        ]
        if similar and not given:
            raise refusal(
                "SIMILARITY needs to know what to be similar to: {job}, {datapool} or {keys}",
                "input",
                "query",
            )
        if given and not similar:
            raise refusal(f"goes with SIMILARITY only, not with {self.strategy.type}", "input", given[0])
        return self


class Tiling(CamelContract):
    """Cut every image into a grid of tiles, which are then treated like predicted objects."""

    type: Literal["TILING"] = Field(description="tiles")
    name: Key = Field(description="the task that strategies refer to")
    num_rows: Whole = Field(ge=1, le=100, description="tiles from top to bottom")
    num_cols: Whole = Field(ge=1, le=100, description="tiles from left to right")
    overlap: Number = Field(
        default=0.0, ge=0, lt=1, description="share of a tile that its neighbour covers too"
    )


def _inactive_is_absent(count: Any) -> Any:
    return None if type(count) is int and count == -1 else count


Mode = Literal["objective_product", "gain_product", "submodular"]
Pooling = Literal["mean", "max", "first"]


class Selection(CamelContract):
    """How many samples to select, and which."""

    n_samples: Annotated[Whole | None, BeforeValidator(_inactive_is_absent)] = Field(
        default=None,
        ge=1,
        le=100_000_000,
        description="how many samples to select; null and -1 mean: not given",
        json_schema_extra={
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": 100_000_000}, {"enum": [None, -1]}]
        },
    )
    proportion_samples: Number | None = Field(
        default=None,
        gt=0,
        le=1,
        description="share of the input to select; one of this and n_samples is given",
    )
    strategies: tuple[Entry, ...] = Field(min_length=1, max_length=100, description="in any order")
    lightly_path_regex: Annotated[str, AfterValidator(checked_pattern)] | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="RE2 regular expression; what its named groups match in a sample's name becomes metadata",
    )
    auto_tasks: tuple[Tiling, ...] = Field(
        default=(), max_length=100, description="tasks made without predictions"
    )
    mode: Mode = Field(
        default="objective_product",
        description="what a step maximises: the product of the whole selection's objectives, the product of the"
        " candidate's own gains, or a weighted sum of submodular functions",
    )
    groups: Group | None = Field(default=None, description="samples that are selected together or not at all")
    quotas: tuple[Quota, ...] = Field(
        default=(), max_length=1000, description="bounds on the number of samples"
    )
    protected: Protected | None = Field(
        default=None, description="samples that nothing selected may come near"
    )

    selected_sequence_length: Whole = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="frames of one video, one after another, that are selected together; n_samples counts frames",
    )
    sequence_overlap: Whole = Field(
        default=0,
        ge=0,
        le=999_999,
        description="frames that two neighbouring candidates for a sequence share; two selected ones share none",
    )
    sequence_pooling: Pooling = Field(
        default="mean",
        description="what stands for a sequence: the mean, the largest or the first of its frames' values",
    )
    min_gap_s: Number | None = Field(
        default=None,
        gt=0,
        le=1e9,
        description="seconds that two selected frames (the nearest ends of two sequences) of one video are apart",
    )

    @model_validator(mode="before")
    @classmethod
    def _strength_in_its_place(cls, given: Any, info: ValidationInfo) -> Any:
        if not isinstance(given, Mapping) or not isinstance(given.get("strategies"), list):
            return given
        warnings = info.context if isinstance(info.context, list) else []
        return {
            **given,
            "strategies": [
                _moved_strength(entry, row, warnings) for row, entry in enumerate(given["strategies"])
            ],
        }

    @model_validator(mode="after")
    def _one_size(self) -> "Selection":
        if self.n_samples is not None and self.proportion_samples is not None:
            raise refusal("n_samples and proportion_samples are both given; give exactly one")
        if self.n_samples is None and self.proportion_samples is None:
            raise refusal("neither n_samples nor proportion_samples is given; give exactly one")
        return self

    @model_validator(mode="after")
    def _sequences_fit(self) -> "Selection":
        length = self.selected_sequence_length
        if self.sequence_overlap >= length:
            raise refusal(
                f"should be below selected_sequence_length {length} (got {self.sequence_overlap})",
                "sequence_overlap",
            )
        if length == 1 and self.sequence_pooling != "mean":
            raise refusal("needs a selected_sequence_length above 1", "sequence_pooling")
        if length > 1 and self.groups is not None:
            raise refusal(
                f"do not go with selected_sequence_length {length}: select groups of single frames, or sequences"
                " without groups",
                "groups",
            )
        if self.n_samples is not None and self.n_samples % length:
            below = self.n_samples // length * length
            choices = f"{below} or {below + length}" if below else f"{length}"
            raise refusal(
                f"{self.n_samples} should be a multiple of selected_sequence_length {length}, since it counts"
                f" frames: choose {choices}",
                "n_samples",
            )
        return self

    @model_validator(mode="after")
    def _quotas_agree(self) -> "Selection":
        check_quotas(self.quotas, self.n_samples)
        return self

    @model_validator(mode="after")
    def _mode_fits(self) -> "Selection":
        """Nothing is guaranteed of a sum that can fall, so the submodular mode takes none."""
        if self.mode != "submodular":
            return self
        for place, strategy in enumerate(entry.strategy for entry in self.strategies):
            at = ("strategies", place, "strategy")
            if strategy.strength < 0 and not isinstance(strategy, Threshold):
                raise refusal(
                    f"mode submodular needs 0 or more (got {strategy.strength:g}); choose another mode",
                    *at,
                    "strength",
                )
            if isinstance(strategy, Weights) and strategy.target_range is not None:
                raise refusal(
                    "does not go with mode submodular; choose another mode",
                    *at,
                    "target_range",
                )
        return self

    def metadata_keys(self) -> dict[str, str]:
        """Map every metadata key that is used to the first place that uses it."""
        used = [
            (entry.input.key, f"selection.strategies.{place}.input.key")
            for place, entry in enumerate(self.strategies)
            if isinstance(entry.input, Metadata)
        ]
        used += [(self.groups.key, "selection.groups.key")] if self.groups else []
        if self.groups and self.groups.time_key is not None:
            used.append((self.groups.time_key, "selection.groups.time_key"))
        used += [(quota.key, f"selection.quotas.{place}.key") for place, quota in enumerate(self.quotas)]
        places: dict[str, str] = {}
        for key, place in used:
            places.setdefault(key, place)
        return places

    def asked_of(self, count: int) -> int:
        """Return how many of `count` samples are asked for; may exceed `count`.

        A share is rounded, to 1 at least, and then up to whole sequences.
        """
        if self.proportion_samples is not None:
            share = max(1, round(self.proportion_samples * count))
            return -(-share // self.selected_sequence_length) * self.selected_sequence_length
        return self.n_samples or 0


_STRENGTH: TypeAdapter[float] = TypeAdapter(Strength)


def _moved_strength(entry: Any, row: int, warnings: list[str]) -> Any:
    """Return the entry with a `strength` beside its strategy moved into it, as some of LightlyOne's pages have it."""
    if (
        not isinstance(entry, Mapping)
        or "strength" not in entry
        or not isinstance(entry.get("strategy"), Mapping)
    ):
        return entry
    strength, strategy = entry["strength"], entry["strategy"]
    try:
        _STRENGTH.validate_python(strength)
    except ValidationError as error:
        says = "should be a number from -1e9 to 1e9"
        raise refusal(f"{says} (got {shown(strength)})", "strategies", row, "strength") from error
    if strategy.get("strength", strength) != strength:
        raise refusal(
            f"{shown(strength)} here and {shown(strategy['strength'])} in strategy.strength; give one of them",
            "strategies",
            row,
            "strength",
        )
    warnings.append(f"selection.strategies.{row}.strength: belongs into strategy; taken as strategy.strength")
    return {key: value for key, value in entry.items() if key != "strength"} | {
        "strategy": {**strategy, "strength": strength}
    }
