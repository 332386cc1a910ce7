"""What a selection keeps to, whatever is best: groups, quotas and protected samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import Field, model_validator

from jobs.contract import Contract, Number, Whole, refusal, shown
from jobs.inputs import Key, Query


class Group(Contract):
    """Samples that belong together are selected together or not at all.

    With `tolerance_s` the groups are rigs: the views that several cameras have of one moment.
    """

    key: Key = Field(
        description="metadata key with categories; samples with the same value (and time) are one group"
    )
    tolerance_s: Number | None = Field(
        default=None,
        ge=0,
        le=1e6,
        description="seconds; only samples that are at most so far apart are one group, one of each camera;"
        " null: time does not matter",
    )
    time_key: Key | None = Field(
        default=None,
        description="metadata key with numbers: when an image was taken, or a video began; null: 0",
    )
    time_unit_s: Number = Field(
        default=1.0, gt=0, le=1e6, description="seconds in one unit of time_key, such as 1e-6"
    )

    @model_validator(mode="after")
    def _time_needs_a_tolerance(self) -> "Group":
        if self.time_key is not None and self.tolerance_s is None:
            raise refusal("needs tolerance_s beside it", "time_key")
        if self.time_key is None and self.time_unit_s != 1:
            raise refusal("needs time_key beside it", "time_unit_s")
        return self


class Protected(Contract):
    """Samples, such as a test split, that nothing selected may come near."""

    query: Query = Field(description="the protected samples")
    radius: Number = Field(ge=0, le=1e9, description="Euclidean; a candidate this near or nearer is left out")


class Quota(Contract):
    """How many samples with one value may or must be selected."""

    key: Key = Field(description="metadata key with categories")
    value: Key | None = Field(default=None, description="the value meant; null: each value by itself")
    at_least: Whole = Field(default=0, ge=0, le=100_000_000, description="fewest samples")
    at_most: Whole | None = Field(
        default=None, ge=0, le=100_000_000, description="most samples; null: any number"
    )

    @model_validator(mode="after")
    def _limits_something(self) -> "Quota":
        if self.at_most is None and self.at_least == 0:
            raise refusal("give at_least, at_most or both")
        if self.at_most is not None and self.at_most < self.at_least:
            raise refusal(f"at_most {self.at_most} should not be below at_least {self.at_least}")
        return self


@dataclass(frozen=True, slots=True)
class Bounds:
    """The tightest bounds of several quotas, and the places of those that set them among all quotas."""

    at_least: int = 0
    at_most: int | None = None
    least_from: int | None = None
    most_from: int | None = None

    def with_quota(self, quota: Quota, place: int) -> "Bounds":
        """Return these bounds with one more quota; of equal ones the first counts."""
        least, most = (self.at_least, self.least_from), (self.at_most, self.most_from)
        if quota.at_least > self.at_least:
            least = (quota.at_least, place)
        if quota.at_most is not None and (self.at_most is None or quota.at_most < self.at_most):
            most = (quota.at_most, place)
        return Bounds(least[0], most[0], least[1], most[1])


@dataclass(frozen=True, slots=True)
class KeyBounds:
    """The bounds on one key: `named` ones of single values, already with `every` value's in them."""

    every: Bounds
    named: dict[str, Bounds]

    def of(self, value: str) -> Bounds:
        """Return the bounds of one value."""
        return self.named.get(value, self.every)


def bounds_by_key(quotas: Sequence[Quota]) -> dict[str, KeyBounds]:
    """Combine quotas: of several on one value the largest at_least and the smallest at_most count."""
    found: dict[str, KeyBounds] = {}
    for key in dict.fromkeys(quota.key for quota in quotas):
        own = [(place, quota) for place, quota in enumerate(quotas) if quota.key == key]
        named = dict.fromkeys(quota.value for _, quota in own if quota.value is not None)
        found[key] = KeyBounds(_combined(own, None), {value: _combined(own, value) for value in named})
    return found


def check_quotas(quotas: Sequence[Quota], n_samples: int | None) -> None:
    """Refuse quotas that contradict each other whatever the samples are; for use in validators of their parent.

    Raises:
        PydanticCustomError: names the place of the quota.
    """
    for key, bounds in bounds_by_key(quotas).items():
        for value, one in _every(bounds):
            if one.at_most is not None and one.at_least > one.at_most:
                of = f" for {value}" if value else ""
                raise refusal(
                    f"at_least {one.at_least}{of} contradicts at_most {one.at_most} of quotas.{one.most_from}",
                    "quotas",
                    one.least_from or 0,
                )
        needed = sum(one.at_least for one in bounds.named.values())
        if n_samples is not None and needed > n_samples:
            raise refusal(
                f"those on {shown(key)} need {needed} samples at least, but n_samples is {n_samples}",
                "quotas",
            )


def _combined(quotas: Sequence[tuple[int, Quota]], value: str | None) -> Bounds:
    bounds = Bounds()
    for place, quota in quotas:
        if quota.value in {None, value}:
            bounds = bounds.with_quota(quota, place)
    return bounds


def _every(bounds: KeyBounds) -> Iterator[tuple[str, Bounds]]:
    yield "", bounds.every
    for value, one in bounds.named.items():
        yield shown(value), one
