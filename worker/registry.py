"""Finds the variants of one kind: a file in the folder is the registration."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from difflib import get_close_matches
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.errors import JobRejected


class Variant(BaseModel):
    """A frozen, named piece of behaviour with its parameters; `type` is the name of its file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    kind: ClassVar[str]
    type: str


V = TypeVar("V", bound=Variant)


class Registry(Generic[V]):
    """The variants of one kind, discovered in one package."""

    def __init__(self, package: ModuleType, base: type[V]) -> None:
        self.base = base
        self.by_name: dict[str, type[V]] = {}
        for info in pkgutil.iter_modules(package.__path__):
            self._add(importlib.import_module(f"{package.__name__}.{info.name}"))

    def parse(self, spec: Mapping[str, Any], *, at: str) -> V:
        """Return the variant that `spec["type"]` names, with the parameters beside it.

        Raises:
            JobRejected: no such variant, or a wrong parameter; the text says where (`at`), what, and the choices.
        """
        name = spec.get("type")
        if name not in self.by_name:
            close = get_close_matches(str(name), self.by_name, n=1, cutoff=0)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise JobRejected(
                f"{at}.type: no {self.base.kind} {name!r}; choose from {', '.join(sorted(self.by_name))}{hint}"
            )
        try:
            return self.by_name[name].model_validate(dict(spec))
        except ValidationError as error:
            raise JobRejected(f"{at}.{_said(error, self.by_name[name])}") from error

    def _add(self, module: ModuleType) -> None:
        found = [
            c
            for c in vars(module).values()
            if inspect.isclass(c) and issubclass(c, self.base) and c.__module__ == module.__name__
        ]
        if len(found) != 1:
            raise TypeError(
                f"{module.__name__} must define exactly one {self.base.__name__}, found {len(found)}"
            )
        names = get_args(found[0].model_fields["type"].annotation)
        if names != (module.__name__.rpartition(".")[2],):
            raise TypeError(f"{module.__name__}: `type` must be the Literal of the file name, got {names}")
        self.by_name[names[0]] = found[0]


def _said(error: ValidationError, variant: type[Variant]) -> str:
    """Return one error in one line: an unknown parameter, with the closest known one, before any that is missing."""
    errors = error.errors()
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
        known = sorted(variant.model_fields)
        close = get_close_matches(where, known, n=1, cutoff=0)
        return f"{where}: unknown key; did you mean {close[0]!r}? known: {', '.join(known)}"
    return f"{where}: {first['msg']} (got {first['input']!r})"
