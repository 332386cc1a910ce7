"""What every piece of the report is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Count = Annotated[int, Field(ge=0)]
Name = Annotated[str, StringConstraints(max_length=4096)]


class Fact(BaseModel):
    """A frozen piece of the report; unknown fields and numbers that JSON cannot hold are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
