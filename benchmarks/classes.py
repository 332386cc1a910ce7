"""How evenly a selection covers classes that it never saw, beside random draws of the same size.

    python -m benchmarks.classes DIR [--output OUT] [--share 0.1] [--keep 1.0]

DIR has one sub-folder a class. Runs the usual job on it (diversity, default model) and reads what it wrote: classes in
the selection and how well each class is covered, against 100 random draws from the same pool, and how well the
embedding itself tells classes apart. Where classes are equally large, random draws are as even as can be;
`--keep 0.65` makes each class 0.65 times as large as the
one before it (by name), nearer to what a camera brings home.
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.job_options import DIVERSITY, job_document
from jobs.spec import parse_job
from worker.analysis.scatter import principal_axes
from worker.errors import FramesiftError, JobRejected
from worker.events import Events
from worker.prepare import prepare
from worker.runner import run
from worker.settings import load_settings

DRAWS = 100


@dataclass(frozen=True, slots=True)
class Pool:
    """What a job left in samples.parquet: vectors (n, d), class numbers (n,), and the rows that were selected."""

    vectors: NDArray[np.float32]
    classes: NDArray[np.int64]
    names: tuple[str, ...]
    selected: NDArray[np.int64]


def main() -> None:
    """Run the job and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder with one sub-folder a class")
    parser.add_argument(
        "--output", type=Path, help="where the job writes (default: a folder that is removed)"
    )
    parser.add_argument("--share", type=float, default=0.1, help="share of the pool to select (default: 0.1)")
    parser.add_argument("--keep", type=float, default=1.0, help="size of a class over that of the one before")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder
        if asked.keep < 1:
            folder = thinned(folder, Path(temporary) / "input", keep=asked.keep)
        try:
            pool = selected_pool(folder, asked.output or Path(temporary) / "output", share=asked.share)
        except (FramesiftError, JobRejected) as error:
            raise SystemExit(str(error)) from error
    if len(pool.names) < 2:
        raise SystemExit(f"{asked.folder}: needs at least two sub-folders with photos")
    sys.stdout.write("\n".join(_lines(asked.folder, pool)) + "\n")


def thinned(folder: Path, copy: Path, *, keep: float) -> Path:
    """Copy the first keep**k of the photos of class k = 0, 1, ..., at least one of each."""
    for position, class_folder in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        photos = sorted(path for path in class_folder.iterdir() if path.is_file())
        target = copy / class_folder.name
        target.mkdir(parents=True)
        for photo in photos[: max(1, round(len(photos) * keep**position))]:
            shutil.copyfile(photo, target / photo.name)
    return copy


def selected_pool(folder: Path, output: Path, *, share: float) -> Pool:
    """Select a share of a folder's photos by diversity."""
    options = {
        "datasource.input": str(folder),
        "datasource.output": str(output),
        "selection.proportion_samples": share,
        "name": "classes",
    }
    document = {"kind": "selection", "selection": {"strategies": [DIVERSITY]}}
    job = parse_job(job_document(json.dumps(document).encode(), options=options, assignments=[]))
    outcome = run(prepare(job, load_settings()), Events())
    table = pq.read_table(Path(outcome.result_url.removeprefix("file://")) / "samples.parquet")
    folders = [name.partition("/")[0] for name in table["sample"].to_pylist()]
    names, classes = np.unique(folders, return_inverse=True)
    return Pool(
        vectors=np.stack(table["embedding"].to_numpy()),
        classes=classes,
        names=tuple(names.tolist()),
        selected=np.flatnonzero(table["selected_at"].is_valid()),
    )


def evenness(counts: NDArray[np.int64]) -> float:
    """Return the entropy of (K,) class counts over ln K: 1 where all are equal, 0 where all lie in one."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(len(counts)))


def coverage_of_classes(pool: Pool, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for each of K classes the mean distance of its photos to the closest of these rows. Memory: n x k float64."""
    squares = (pool.vectors**2).sum(axis=1)
    products = pool.vectors @ pool.vectors[rows].T
    closest = np.sqrt((squares[:, None] + squares[rows] - 2 * products).min(axis=1).clip(min=0))
    return np.bincount(pool.classes, weights=closest) / np.bincount(pool.classes)


def nearest_neighbour_accuracy(vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    """Return the share of (n, d) vectors whose nearest other vector has their class. Memory: n x n float32."""
    squares = (vectors**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * (vectors @ vectors.T)
    np.fill_diagonal(distances, np.inf)
    return float((classes[distances.argmin(axis=1)] == classes).mean())


def separation(vectors: NDArray[np.float32], classes: NDArray[np.int64]) -> tuple[float, float]:
    """Return how far the first principal axis of (n, d) vectors tells class 0 from class 1.

    The share of its variance that lies between the classes (eta squared), and the area under the ROC curve, 0.5 to 1.
    """
    mean, axes, _ = principal_axes(vectors)
    along = (vectors - mean) @ axes[:, 0]
    second = classes == 1
    between = second.mean() * (1 - second.mean()) * (along[second].mean() - along[~second].mean()) ** 2
    above = (along[second][:, None] > along[~second]).mean()
    return float(between / along.var()), float(max(above, 1 - above))


def _lines(folder: Path, pool: Pool) -> list[str]:
    classes, n = len(pool.names), len(pool.selected)
    rng = np.random.default_rng(0)
    draws = [rng.choice(len(pool.classes), n, replace=False) for _ in range(DRAWS)]
    ours = _facts(pool, pool.selected)
    random = np.array([_facts(pool, draw) for draw in draws])
    lines = [
        f"{folder}: {n} of {len(pool.classes)} photos, {classes} classes; {DRAWS} random draws",
        "| classes in the selection | selected | random: mean | random: 2.5 % to 97.5 % | draws as good or better |",
        "|---|---|---|---|---|",
    ]
    for column, (name, higher) in enumerate(_FACTS.items()):
        low, high = np.percentile(random[:, column], [2.5, 97.5])
        as_good = random[:, column] >= ours[column] if higher else random[:, column] <= ours[column]
        lines.append(
            f"| {name} | {ours[column]:.3f} | {random[:, column].mean():.3f} | {low:.3f} to {high:.3f} | {as_good.sum()} |"
        )
    accuracy = nearest_neighbour_accuracy(pool.vectors, pool.classes)
    chance = float(((np.bincount(pool.classes) / len(pool.classes)) ** 2).sum())
    lines.append(f"nearest neighbour has the same class: {accuracy:.3f} (by chance {chance:.3f})")
    if classes == 2:
        share, area = separation(pool.vectors, pool.classes)
        lines.append(
            f"first principal axis: {share:.3f} of its variance between {' and '.join(pool.names)}, ROC AUC {area:.3f}"
        )
    return lines


_FACTS = {
    "evenness (entropy / ln K)": True,
    "classes hit": True,
    "smallest share": True,
    "largest share": False,
    "coverage distance, std over classes": False,
    "coverage distance of the worst class": False,
}
"""What `_facts` returns, and whether more of it is better."""


def _facts(pool: Pool, rows: NDArray[np.int64]) -> tuple[float, ...]:
    counts = np.bincount(pool.classes[rows], minlength=len(pool.names))
    covered = coverage_of_classes(pool, rows)
    return (
        evenness(counts),
        float((counts > 0).sum()),
        float(counts.min() / len(rows)),
        float(counts.max() / len(rows)),
        float(covered.std()),
        float(covered.max()),
    )


if __name__ == "__main__":
    main()
