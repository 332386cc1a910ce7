"""A bucket's lifecycle configuration, as S3 answers with it, to rules about when objects expire."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from worker.storage.store import ExpiryRule


def expiry_rules(rules: Sequence[Mapping[str, Any]], *, below: str) -> tuple[ExpiryRule, ...]:
    """Return the enabled rules that delete current objects below a prefix of the bucket, with prefixes relative to it.

    Tags are not known from a listing, so a rule that asks for tags counts as if every object had them: what might
    expire counts as expiring.
    """
    return tuple(_rules(rules, below))


def _rules(rules: Sequence[Mapping[str, Any]], below: str) -> Iterator[ExpiryRule]:
    for rule in rules:
        expiration, conditions = rule.get("Expiration", {}), _conditions(rule)
        days, date = expiration.get("Days"), expiration.get("Date")
        prefix = _relative(conditions.get("Prefix", rule.get("Prefix", "")), below)
        if rule.get("Status") != "Enabled" or prefix is None or (days is None and date is None):
            continue
        yield ExpiryRule(
            prefix,
            days,
            date,
            larger_than=conditions.get("ObjectSizeGreaterThan", -1),
            smaller_than=conditions.get("ObjectSizeLessThan"),
        )


def _conditions(rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a rule's conditions, one alone or several joined by And."""
    given: Mapping[str, Any] = rule.get("Filter", {})
    joined: Mapping[str, Any] = given.get("And", given)
    return joined


def _relative(prefix: str, below: str) -> str | None:
    """Return a prefix of the bucket as the keys below another one have it; None where no such key starts with it."""
    if below.startswith(prefix):
        return ""
    return prefix.removeprefix(below) if prefix.startswith(below) else None
