"""The files that deploy Framesift, read."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
DOCKERFILE = REPOSITORY / "Dockerfile"
COMPOSE = REPOSITORY / "docker-compose.yml"
GUIDE = REPOSITORY / "docs" / "deployment.md"


@cache
def compose() -> dict[str, Any]:
    """Return the Compose file with its anchors resolved."""
    return yaml.safe_load(COMPOSE.read_text())


def manifests(text: str) -> list[dict[str, Any]]:
    """Return the Kubernetes objects of a YAML text."""
    return [document for document in yaml.safe_load_all(text) if document]


def metrics_in(expression: str) -> set[str]:
    """Return the names of ours that a PromQL expression reads."""
    return set(re.findall(r"\bframesift[:_]\w+", expression))
