"""Every command, option and setting that a deployed file or its guide names exists."""

import re
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel

from jobs.settings import QueueSettings
from tests.deploy.files import COMPOSE, DEPLOY, DOCKERFILE, GUIDE, KUBERNETES, compose, manifests
from worker.cli import app
from worker.settings import Connection, Settings

TEXTS = [
    COMPOSE,
    DOCKERFILE,
    GUIDE,
    *(path for path in sorted(DEPLOY.rglob("*")) if path.suffix in {".yaml", ".yml", ""} and path.is_file()),
]
OF_COMPOSE = {"FRAMESIFT_PHOTOS", "FRAMESIFT_REDIS_PORT", "FRAMESIFT_S3_PORT", "FRAMESIFT_METRICS_PORT"}
"""Variables that docker-compose.yml itself replaces; no service sees them."""
OF_FRAMESIFT = {"FRAMESIFT_CONFIG"}
"""What is read before the settings are."""


def settings() -> set[str]:
    """Return the names of all variables, `NAME` for a connection's."""
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if name == "connections":
            names |= {f"CONNECTIONS__NAME__{key.upper()}" for key in Connection.model_fields}
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            names |= {f"{name}__{key}".upper() for key in kind.model_fields}
        else:
            names.add(name.upper())
    return {f"FRAMESIFT_{name}" for name in names}


def command_lines() -> list[Any]:
    """Return the arguments that containers are started with, from Compose and Kubernetes."""
    found = [
        (name, service["command"])
        for name, service in compose()["services"].items()
        if "build" in service and "command" in service
    ]

    def walk(node: Any, where: str) -> None:
        if isinstance(node, dict):
            if str(node.get("image", "")).rpartition("/")[2].startswith("framesift") and "args" in node:
                found.append((where, node["args"]))
            for value in node.values():
                walk(value, where)
        elif isinstance(node, list):
            for value in node:
                walk(value, where)

    for path in sorted(KUBERNETES.rglob("*.yaml")):
        for one in manifests(path.read_text()):
            walk(one, f"{path.parent.name}/{path.name}")
    return [pytest.param(arguments, id=f"{where}-{arguments[0]}") for where, arguments in found]


def commands_of_the_guide() -> list[list[str]]:
    """Return the words after `framesift` or `client` in the guide's code."""
    code = re.findall(r"```\w*\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    lines = [line for block in code for line in block.splitlines()] + re.findall(
        r"`(framesift [^`]+)`", GUIDE.read_text()
    )
    found = [re.search(r"(?:^framesift|run --rm client) (.+)", line) for line in lines]
    return [match.group(1).split("#")[0].split() for match in found if match]


def command(words: list[str]) -> Any:
    """Return the command that the words lead to.

    Raises:
        AssertionError: there is no such command; the text has the choices.
    """
    here: Any = typer.main.get_command(app)
    for word in words:
        choices = getattr(here, "commands", None)
        if choices is None:
            break
        assert word in choices, (
            f"{' '.join(words)}: no command {word!r}; there are {', '.join(sorted(choices))}"
        )
        here = choices[word]
    return here


def assert_known(words: list[str]) -> None:
    """Assert that the command and every option of the words exist."""
    words = [str(word) for word in words]
    known = {
        name for parameter in command(words).params for name in (*parameter.opts, *parameter.secondary_opts)
    }
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in known, (
                f"{' '.join(words)}: {word} is none of {', '.join(sorted(known))}"
            )


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_variables__are_settings(text: Any) -> None:
    named = set(re.findall(r"\bFRAMESIFT_[A-Z0-9_]*[A-Z0-9]", text.read_text()))
    general = {re.sub(r"^(FRAMESIFT_CONNECTIONS__)[A-Z0-9]+(__)", r"\1NAME\2", name) for name in named}
    assert general <= settings() | OF_COMPOSE | OF_FRAMESIFT


def test_variables_of_compose__are_used_there_and_are_no_settings() -> None:
    assert not OF_COMPOSE & settings()
    assert all(f"${{{name}:-" in COMPOSE.read_text() for name in OF_COMPOSE)


def test_exporter_and_client__get_no_more_than_what_reaches_the_queue() -> None:
    for name in ("metrics", "client"):
        given = compose()["services"][name]["environment"]
        assert given.keys() <= {f"FRAMESIFT_{field.upper()}" for field in QueueSettings.model_fields}


@pytest.mark.parametrize("arguments", command_lines())
def test_command_line__exists(arguments: list[str]) -> None:
    assert_known(arguments)


def test_guide__names_commands_and_options_that_exist() -> None:
    lines = commands_of_the_guide()
    assert {line[0] for line in lines} >= {"submit", "status"}
    for line in lines:
        assert_known(line)
