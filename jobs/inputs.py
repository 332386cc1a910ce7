"""What a strategy looks at: the `input` of LightlyOne's selection config."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from jobs.contract import CamelContract, Contract, Whole, refusal
from jobs.names import JobName

Task = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[a-zA-Z0-9_+=,.@:/-]+$")]
Key = Annotated[str, Field(min_length=1, max_length=500)]
SampleName = Annotated[str, Field(min_length=1, max_length=1024)]


class Query(Contract):
    """A set of samples to compare with: exactly one of its keys is given."""

    job: JobName | None = Field(default=None, description="the selection of an earlier job, by its id")
    datapool: JobName | None = Field(default=None, description="what a datapool holds, by its name")
    keys: tuple[SampleName, ...] | None = Field(
        default=None, min_length=1, max_length=10_000, description="samples of the input, by name"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> "Query":
        given = [name for name in ("job", "datapool", "keys") if getattr(self, name) is not None]
        if len(given) != 1:
            raise refusal(f"give exactly one of job, datapool, keys (got {', '.join(given) or 'none'})")
        return self


class Embeddings(CamelContract):
    """The embeddings of the samples, or of the objects in them."""

    goes_with: ClassVar[tuple[str, ...]] = ("DIVERSITY", "SIMILARITY", "TYPICALITY")

    type: Literal["EMBEDDINGS"] = Field(description="embeddings")
    task: Task | None = Field(
        default=None, description="use the objects of this prediction task; null: whole samples"
    )
    query: Query | None = Field(default=None, description="for SIMILARITY: what to be similar to")
    dataset_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="LightlyOne's query dataset; use `query` instead",
    )
    tag_name: str | None = Field(
        default=None, min_length=1, max_length=200, description="LightlyOne's query tag; use `query` instead"
    )


class Scores(CamelContract):
    """An active-learning score of a prediction task."""

    goes_with: ClassVar[tuple[str, ...]] = ("WEIGHTS", "THRESHOLD")

    type: Literal["SCORES"] = Field(description="active-learning scores")
    task: Task = Field(description="the prediction task")
    score: Task = Field(description="the score's name, for example uncertainty_entropy")


class Metadata(CamelContract):
    """A metadata value: a measure (`lightly.<name>`) or what came with the samples."""

    goes_with: ClassVar[tuple[str, ...]] = ("WEIGHTS", "THRESHOLD", "BALANCE")

    type: Literal["METADATA"] = Field(description="metadata")
    key: Key = Field(description="lightly.<measure>, or the dotted path of your own metadata")


class CategoryCount(CamelContract):
    """How many predicted objects of the listed categories a sample has."""

    goes_with: ClassVar[tuple[str, ...]] = ("WEIGHTS", "THRESHOLD")

    type: Literal["PREDICTIONS"] = Field(description="predictions")
    name: Literal["CATEGORY_COUNT"] = Field(description="count objects")
    task: Task = Field(description="the prediction task")
    categories: tuple[Key, ...] = Field(
        min_length=1, max_length=10_000, description="names of the categories to count"
    )

    @model_validator(mode="after")
    def _each_category_once(self) -> "CategoryCount":
        if len(set(self.categories)) < len(self.categories):
            raise refusal("each category should be given once", "categories")
        return self


class ClassDistribution(CamelContract):
    """How the predicted classes are distributed in a sample."""

    goes_with: ClassVar[tuple[str, ...]] = ("BALANCE",)

    type: Literal["PREDICTIONS"] = Field(description="predictions")
    name: Literal["CLASS_DISTRIBUTION"] = Field(description="the distribution of the classes")
    task: Task = Field(description="the prediction task")


class Random(CamelContract):
    """A uniform random number for each sample."""

    goes_with: ClassVar[tuple[str, ...]] = ("WEIGHTS", "THRESHOLD")

    type: Literal["RANDOM"] = Field(description="random numbers in [0, 1)")
    random_seed: Whole | None = Field(
        default=None, ge=-(2**63), le=2**63 - 1, description="seed of these numbers; null: the job's"
    )


Predictions = Annotated[CategoryCount | ClassDistribution, Field(discriminator="name")]
Input = Annotated[Embeddings | Scores | Metadata | Predictions | Random, Field(discriminator="type")]
