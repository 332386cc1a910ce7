"""The regular expression that makes metadata of file names.

A job is not trusted, so patterns are RE2's, whose time grows with the length of the text and of the pattern only. What would
take longer, lookahead and references to earlier groups, is not part of it.
"""

import re
from collections.abc import Callable
from functools import lru_cache

import re2

from jobs.contract import refusal, shown

Groups = dict[str, str | None]


def checked_pattern(text: str) -> str:
    """Return a pattern that can be used as it is; for use in validators.

    Raises:
        PydanticCustomError: RE2 does not take it, it has no named group, or one twice.
    """
    try:
        compiled = _compiled(text)
    except re2.error as error:
        raise refusal(f"not a regular expression of RE2: {_says(error)} (got {shown(text)})") from error
    named = re.findall(r"\(\?P?<(\w+)>", text)
    if len(set(named)) < len(named):
        raise refusal(f"each named group should be there once (got {shown(text)})")
    if not compiled.groupindex:
        raise refusal(f"should have a named group, such as (?P<camera>[^/]+)/ (got {shown(text)})")
    return text


def group_names(text: str) -> tuple[str, ...]:
    """Return the names of the groups of a checked pattern, in their order."""
    return tuple(_compiled(text).groupindex)


def matcher(text: str) -> Callable[[str], Groups | None]:
    """Return a function from a name to what each named group matched in it, or None where the pattern does not match.

    The pattern may match anywhere in the name; the first match counts. A group that took no part, or matched nothing
    but the empty text, is None.
    """
    compiled = _compiled(text)
    groups = tuple(compiled.groupindex.items())

    def match(name: str) -> Groups | None:
        found = compiled.search(name.encode("utf-8", "surrogatepass"))
        if found is None:
            return None
        parts = found.groups()
        return {
            group: parts[number - 1].decode("utf-8", "replace") if parts[number - 1] else None
            for group, number in groups
        }

    return match


@lru_cache(maxsize=8)
def _compiled(text: str) -> "re2._Regexp":
    options = re2.Options()
    options.log_errors = False  # it would write to the standard error
    return re2.compile(text, options)


def _says(error: re2.error) -> str:
    told = error.args[0] if error.args else b""
    return told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)
