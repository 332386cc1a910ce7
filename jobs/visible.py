"""Text from outside, made harmless to look at."""

import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_JOINERS = {"\u200c", "\u200d"}


def visible(text: str) -> str:
    """Return text where control, formatting and unassigned characters show as escapes.

    Reordering marks (right-to-left overrides) are among them, so a name cannot pretend to be another. Joiners that
    scripts need stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\\u{{{ord(c):x}}}" if unicodedata.category(c) in _HIDDEN and c not in _JOINERS else c for c in text
    )
