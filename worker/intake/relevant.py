"""Which objects of a datasource a job is about, where a `relevant_filenames` file lists them.

One rule a line, in the form that LightlyOne reads:

    day/0001.jpg             exactly this key
    day/*                    every key that starts with `day/`
    night/ *.jpg !*_bad.jpg  keys that start with `night/`; of these, what the gitignore patterns after the
                             prefix select, the last matching pattern deciding and `!` taking back
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pathspec import GitIgnoreSpec

from worker.errors import JobRejected


@dataclass(frozen=True)
class Relevant:
    """The rules of one file; a key is relevant when any of them takes it."""

    names: frozenset[str]
    prefixes: tuple[str, ...]
    patterns: tuple[tuple[str, GitIgnoreSpec], ...] = field(compare=False)

    def matches(self, key: str) -> bool:
        """True when the job is about this key."""
        if key in self.names or key.startswith(self.prefixes):
            return True
        return any(
            key.startswith(prefix) and spec.match_file(key.removeprefix(prefix))
            for prefix, spec in self.patterns
        )


def parse_relevant(text: str, *, at: str) -> Relevant:
    """Read the rules, one a line; empty lines are passed over.

    A line with white space in it is taken both as one name and as a prefix with patterns, since keys may hold spaces.

    Raises:
        JobRejected: a path with `./` or `../`, an absolute path, or no rule at all; the text names file and line.
    """
    names: set[str] = set()
    prefixes: list[str] = []
    patterns: list[tuple[str, GitIgnoreSpec]] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line:
            continue
        prefix, *globs = line.split()
        _refuse_odd_path(prefix, at=f"{at}, line {number}")
        if globs:
            names.add(line)
            patterns.append((prefix, _spec(globs, at=f"{at}, line {number}")))
        elif line.endswith("*") and "*" not in line[:-1]:
            prefixes.append(line[:-1])
        else:
            names.add(line)
    if not names and not prefixes:
        raise JobRejected(f"{at}: names no file; write one path, `prefix/*` or `prefix patterns` a line")
    return Relevant(frozenset(names), tuple(prefixes), tuple(patterns))


def _spec(globs: Sequence[str], *, at: str) -> GitIgnoreSpec:
    try:
        return GitIgnoreSpec.from_lines(globs)
    except ValueError as error:
        raise JobRejected(f"{at}: not a gitignore pattern: {error}") from error


def _refuse_odd_path(path: str, *, at: str) -> None:
    if path.startswith("/") or any(part in {".", ".."} for part in path.split("/")):
        raise JobRejected(f"{at}: {path!r} must be relative to the input, without `./` and `../`")
