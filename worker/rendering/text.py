"""Numbers and names as people read them."""

from collections.abc import Sequence
from itertools import takewhile


def shortened(text: str, limit: int) -> str:
    """Return at most `limit` characters; the middle goes, since both ends of a key tell more."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def common_folder(names: Sequence[str]) -> str:
    """Return the folder, with its slash, below which all names lie; empty where there is none."""
    first, last = (name.split("/")[:-1] for name in (min(names, default=""), max(names, default="")))
    shared = [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))]
    return "".join(f"{folder}/" for folder in shared)


def count(number: int) -> str:
    """Return 12345 as 12,345."""
    return f"{number:,}"


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return `1 sample` or `2 samples`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def distance(number: float | None) -> str:
    """Return a distance with three decimals, or n/a where there is none."""
    return "n/a" if number is None else f"{number:.3f}"


def percent(fraction: float | None) -> str:
    """Return a share as a percentage with one decimal."""
    return "n/a" if fraction is None else f"{100 * fraction:.1f} %"


def quantity(number: float | None) -> str:
    """Return a measure's value with about four significant digits."""
    if number is None:
        return "n/a"
    return f"{number:,.0f}" if abs(number) >= 10_000 else f"{number:.4g}"


def seconds(number: float) -> str:
    """Return a duration as `0.42 s`, `3 min 5 s` or `2 h 3 min`."""
    if number < 60:
        return f"{number:.2f} s" if number < 10 else f"{number:.1f} s"
    minutes, rest = divmod(round(number), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def time_code(number: float) -> str:
    """Return seconds as hh:mm:ss.mmm."""
    whole, milliseconds = divmod(round(abs(number) * 1000), 1000)
    minutes, rest = divmod(whole, 60)
    sign = "-" if number < 0 and (whole or milliseconds) else ""
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}:{rest:02d}.{milliseconds:03d}"


def size(number: int) -> str:
    """Return bytes as `512 B`, `1.5 MiB`."""
    value = float(number)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError
