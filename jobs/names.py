"""Names that become folders in a bucket."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from jobs.contract import refusal, shown

_NAME = r"^[A-Za-z0-9_]([A-Za-z0-9._ -]{0,98}[A-Za-z0-9_-])?$"


def _fit_for_a_folder(name: str) -> str:
    if not re.fullmatch(_NAME, name):
        raise refusal(
            "should be 1 to 100 of A-Z, a-z, 0-9, '_', '-', '.' and space, with a letter, digit or '_' first"
            f" and neither '.' nor space last (got {shown(name)})"
        )
    return name


JobName = Annotated[str, AfterValidator(_fit_for_a_folder), Field(json_schema_extra={"pattern": _NAME})]
"""Safe as one folder of a bucket or a disk: no slash, no control character, no dot first."""
