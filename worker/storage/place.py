"""Names of places in the texts that a person reads."""


def place(url: str, key: str = "") -> str:
    """Return `url` + `key` on one line: what cannot be printed (a newline, a NUL, a text direction) is escaped."""
    return one_line(url + key)


def one_line(text: str) -> str:
    """Return the text with its unprintable characters as backslash escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
