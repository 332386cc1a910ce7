"""How samples are valued: the `strategy` of LightlyOne's selection config. Behaviour is in worker/strategies/."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from jobs.contract import CamelContract, Number, Whole, refusal

Strength = Annotated[Number, Field(ge=-1e9, le=1e9)]
Share = Annotated[Number, Field(ge=0, le=1)]
ClassName = Annotated[str, Field(min_length=1, max_length=500)]


class _Strategy(CamelContract):
    strength: Strength = Field(
        default=1.0, description="exponent on this strategy's objective; negative inverts, 0 switches off"
    )


class Diversity(_Strategy):
    """Prefer what is far from what is selected."""

    type: Literal["DIVERSITY"] = Field(description="diversity")
    stopping_condition_minimum_distance: Number | None = Field(
        default=None,
        ge=0,
        le=1e9,
        description="Euclidean; a candidate nearer than this to the selection is too close",
    )
    on_too_close: Literal["skip", "stop"] = Field(
        default="skip", description="skip the candidate that is too close and go on, or stop the selection"
    )

    @model_validator(mode="after")
    def _stop_at_a_distance(self) -> "Diversity":
        if self.on_too_close == "stop" and self.stopping_condition_minimum_distance is None:
            raise refusal("'stop' needs stopping_condition_minimum_distance beside it", "on_too_close")
        return self


class TargetRange(CamelContract):
    """Where the sum of the weights of the selection should end up."""

    min_sum: Number | None = Field(default=None, ge=0, le=1e300, description="smallest sum; null: any")
    max_sum: Number | None = Field(default=None, ge=0, le=1e300, description="largest sum; null: any")

    @model_validator(mode="after")
    def _is_a_range(self) -> "TargetRange":
        if self.min_sum is None and self.max_sum is None:
            raise refusal("give min_sum, max_sum or both")
        if self.min_sum is not None and self.max_sum is not None and self.max_sum < self.min_sum:
            raise refusal(f"max_sum {self.max_sum} should not be below min_sum {self.min_sum}")
        return self


class Weights(_Strategy):
    """Prefer large values."""

    type: Literal["WEIGHTS"] = Field(description="weights")
    stopping_condition_max_sum: Number | None = Field(
        default=None, ge=0, le=1e300, description="stop when the weights of the selection add up to this"
    )
    target_range: TargetRange | None = Field(
        default=None, description="steer the sum of the weights into a range"
    )


class Threshold(_Strategy):
    """Keep only what passes. It filters before the selection, so its strength has no effect."""

    type: Literal["THRESHOLD"] = Field(description="threshold")
    threshold: Number = Field(description="what the value is compared with")
    operation: Literal["SMALLER", "SMALLER_EQUAL", "BIGGER", "BIGGER_EQUAL"] = Field(
        description="how a value that is kept compares with the threshold"
    )


def _target_or_distribution(schema: dict[str, Any]) -> None:
    schema["required"] = ["type"]
    schema["anyOf"] = [{"required": ["target"]}, {"required": ["distribution"]}]


class Balance(_Strategy):
    """Steer the distribution of classes."""

    model_config = ConfigDict(json_schema_extra=_target_or_distribution)

    type: Literal["BALANCE"] = Field(description="balance")
    distribution: Literal["TARGET", "UNIFORM", "INPUT"] = Field(
        description="the one in `target`, equal shares, or that of the input; a `target` alone means TARGET"
    )
    target: dict[ClassName, Share] | None = Field(
        default=None,
        min_length=1,
        max_length=10_000,
        description="class to share, 0 to 1; what is left up to 1 is for all other classes together",
    )

    @model_validator(mode="before")
    @classmethod
    def _target_alone(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or given.get("distribution") is not None:
            return given
        if given.get("target") is None:
            raise refusal("BALANCE needs a target, or a distribution: TARGET, UNIFORM, INPUT")
        return {**given, "distribution": "TARGET"}

    @model_validator(mode="after")
    def _target_fits(self) -> "Balance":
        if self.distribution == "TARGET" and self.target is None:
            raise refusal("distribution TARGET needs a target beside it", "target")
        if self.distribution != "TARGET" and self.target is not None:
            raise refusal(f"a target does not go with distribution {self.distribution}", "target")
        total = math.fsum((self.target or {}).values())
        if total > 1 + 1e-9:
            raise refusal(f"the shares should add up to 1 at most (got {total:.12g})", "target")
        return self


class Similarity(_Strategy):
    """Prefer what is near the samples of `input.query`."""

    type: Literal["SIMILARITY"] = Field(description="similarity")


class Typicality(_Strategy):
    """Prefer what lies in dense regions."""

    type: Literal["TYPICALITY"] = Field(description="typicality")
    num_nearest_neighbors: Whole = Field(
        default=20, ge=2, le=10_000, description="neighbours that decide how dense a region is"
    )
    stopping_condition_minimum_typicality: Number | None = Field(
        default=None, gt=0, le=1, description="stop at the first candidate that is less typical than this"
    )


Strategy = Annotated[
    Diversity | Weights | Threshold | Balance | Similarity | Typicality, Field(discriminator="type")
]
