"""`framesift datapool`: look at datapools, remove samples, change the model."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.errors import JobRejected
from jobs.visible import visible
from worker.rendering.text import plural
from worker.terminal import err, exit_codes, out

if TYPE_CHECKING:
    from worker.datapool.contents import Contents
    from worker.storage.store import ObjectStore

Name = Annotated[str, typer.Argument(metavar="NAME", help="the datapool")]
Output = Annotated[str, typer.Option("--output", help="folder or s3://bucket/prefix/ where its jobs write")]
Connection = Annotated[str | None, typer.Option(help="named S3 connection of the output")]
AsJson = Annotated[bool, typer.Option("--json", help="for machines: one JSON document on stdout")]


app = typer.Typer(help="What earlier jobs have kept.", no_args_is_help=True)


@app.command("list")
def list_(*, output: Output, connection: Connection = None, as_json: AsJson = False) -> None:
    """List the datapools under an output, with sizes reckoned from the names of their files."""
    with exit_codes():
        from worker.datapool.version import datapool_names, existing_version
        from worker.errors import JobFailed
        from worker.space import described

        store = _connected(output, connection)
        rows: list[dict[str, Any]] = []
        for name in datapool_names(store):
            try:
                one = existing_version(store, name, at="NAME")
            except JobFailed as error:  # one that is damaged keeps no other from being listed
                err.print(visible(f"{name}: {error}"), style="yellow", markup=False)
                continue
            rows.append({"name": one.name, "samples": one.reckoned, "model": described(one.about)})
        if as_json:
            out.print_json(json.dumps(rows))
            return
        for row in rows:
            _say(f"{row['name']}: {row['samples']:,} samples, {row['model']}")
        if not rows:
            _say(f"no datapools under {store.url}")


@app.command()
def show(name: Name, *, output: Output, connection: Connection = None, as_json: AsJson = False) -> None:
    """Show a datapool: its model, its samples by input, and what made it."""
    with exit_codes():
        from worker.datapool.contents import contents
        from worker.datapool.version import existing_version

        store = _connected(output, connection)
        found = contents(store, existing_version(store, name, at="NAME"))
        if as_json:
            out.print_json(json.dumps(asdict(found)))
            return
        for line in _lines(found):
            _say(line)


@app.command()
def remove(
    name: Name,
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEYS...", help="names as in selected.txt, or the input's URL and the name"),
    ] = None,
    *,
    output: Output,
    keys_file: Annotated[
        Path | None, typer.Option(help="file with one name a line, as selected.txt is")
    ] = None,
    connection: Connection = None,
) -> None:
    """Remove samples from a datapool. Later selections no longer see them; nothing else changes."""
    with exit_codes():
        from worker.datapool.contents import named
        from worker.datapool.version import existing_version
        from worker.datapool.writing import remove as write_removal

        wanted = [*(keys or []), *_from_file(keys_file)]
        if not wanted:
            raise JobRejected("KEYS: give names, or --keys-file")
        store = _connected(output, connection)
        version = existing_version(store, name, at="NAME")
        removed = named(store, version, wanted)
        write_removal(store, version, removed, now=datetime.now(UTC))
        _say(f"removed {plural(len(removed), 'sample')} from {name}")


@app.command()
def reembed(
    name: Name,
    *,
    output: Output,
    model: Annotated[str, typer.Option(metavar="JSON", help="the new model, as embedding.model of a job")],
    connection: Connection = None,
) -> None:
    """Embed a datapool by another model: reads its samples again from where they came. Stopped, run it again."""
    with exit_codes():
        from jobs.datasource import parse_location
        from worker.datapool.reembedding import reembed as embed_anew
        from worker.datapool.version import existing_version
        from worker.settings import load_settings
        from worker.storage.connect import connect

        location, settings = (
            parse_location(output, connection=connection, at="--output"),
            load_settings(),
        )
        store = connect(location, settings)
        done = embed_anew(
            store,
            existing_version(store, name, at="NAME"),
            output=location,
            model=_model(model),
            settings=settings,
            now=datetime.now(UTC),
        )
        for one in done.dropped:
            _say(f"dropped  {one.source}: {one.reason}, {one.detail}")
        _say(f"re-embedded {plural(done.version.at_most, 'sample')} of {name}, dropped {len(done.dropped):,}")


def _say(line: str) -> None:
    out.print(visible(line), markup=False)


def _connected(output: str, connection: str | None) -> "ObjectStore":
    from jobs.datasource import parse_location
    from worker.settings import load_settings
    from worker.storage.connect import connect

    return connect(parse_location(output, connection=connection, at="--output"), load_settings())


def _from_file(path: Path | None) -> list[str]:
    from worker.name_lines import from_lines

    if path is None:
        return []
    try:
        return from_lines(path.read_text())
    except OSError as error:
        raise JobRejected(f"--keys-file: cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise JobRejected(f"--keys-file: {path} is not a list of names ({error})") from error


def _model(text: str) -> dict[str, object]:
    try:
        model = json.loads(text)
    except ValueError as error:
        raise JobRejected(f"--model: not JSON ({error})") from error
    if not isinstance(model, dict):
        raise JobRejected(
            f'--model: should be an object such as {{"type": "efficientnet_lite0"}} (got {text})'
        )
    return model


def _lines(found: "Contents") -> list[str]:
    reduced = "as the model gives it" if found.dimension is None else f"to {found.dimension} dimensions"
    lines = [
        f"datapool  {found.name}",
        f"model     {found.model}",
        f"reduced   {reduced}{', length 1' if found.normalize else ''}",
        f"samples   {found.samples:,}",
    ]
    lines += [f"  {count:>8,}  {url}" for url, count in found.by_input.items()]
    lines.append("versions")
    for one in found.versions:
        change = f"-{one['removed']:,}" if "removed" in one else f"+{one['added']:,}"
        lines.append(f"  {one['version']:>8}  {one['by']}  {change}")
    return lines
