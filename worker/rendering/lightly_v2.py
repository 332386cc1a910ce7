"""report_v2.json: the same numbers under the names that LightlyOne's users already read."""

from typing import Any

from worker.facts import CategoryFacts, Distances, DistanceSet, Facts, MeasureFacts, Metrics, Scatter, SetName

_SETS: dict[SetName, str] = {
    "input": "input",
    "selected": "selected",
    "random": "random",
    "datapool": "preselectedDatapool",
    "selected_with_datapool": "selectedWithDatapool",
}


def lightly_v2(facts: Facts) -> dict[str, Any]:
    """Return the content of report_v2.json: general information and the analysis of the embeddings.

    What this worker does not compute (savings, predictions) is left out, as that format allows. Image pairs that
    stand for closest look-alikes are the same as in report.json.
    """
    found = facts.analysis
    return {
        "generalInformation": {
            "workerInformation": {"buildVersion": facts.run.versions.get("framesift", "")},
            "runInformation": {
                "startTimestamp": facts.run.started_at.isoformat(),
                "endTimestamp": facts.run.finished_at.isoformat(),
                "totalProcessingTimeS": (facts.run.finished_at - facts.run.started_at).total_seconds(),
                "runId": facts.job.id,
            },
            "datasetInformation": {
                "datasetName": facts.job.name,
                "datasetSizes": _sizes(facts),
                **_video_sizes(facts),
            },
            "selectedAndRemovedImageExamples": [
                {"selectedImage": pair.kept, "removedImage": pair.dropped, "distance": pair.distance}
                for pair in found.look_alikes
            ],
        },
        "datasetAnalysis": {
            "embeddingInformation": {
                "distanceToNearestNeighborInSet": _distances(found.diversity),
                "distanceToCoverInput": _distances(found.coverage),
                "scatterPlotData": {"pcaEmbeddingData": _scatter(found.scatter)},
            },
            "metadataInformation": {
                "lightlyNumeric": {one.name: _measure(one) for one in found.measures},
                "customCategorical": {one.name: _category(one) for one in found.categories},
            },
        },
    }


def _sizes(facts: Facts) -> dict[str, int]:
    counts = facts.counts
    return {
        "nInput": counts.pool,
        "nCorrupt": sum(counts.skipped.values()),
        "nDuplicate": counts.duplicates,
        "nRemoved": counts.pool - counts.selected,
        "nSelected": counts.selected,
        "nPreselectedDatapool": counts.preselected,
        "nSelectedWithDatapool": counts.selected + counts.preselected,
    }


def _video_sizes(facts: Facts) -> dict[str, Any]:
    """Count videos; a video is selected when a frame of it is, and corrupt when a part of it is.

    Left out with a datapool, which does not tell how many videos its samples are from.
    """
    if facts.videos is None or facts.counts.preselected:
        return {}
    totals = facts.videos.totals
    return {
        "videoLevelSizes": {
            "nInput": totals.videos,
            "nCorrupt": totals.faulty,
            "nDuplicate": totals.only_duplicates,
            "nRemoved": totals.videos - totals.selected_from,
            "nSelected": totals.selected_from,
            "nPreselectedDatapool": 0,
            "nSelectedWithDatapool": totals.selected_from,
        }
    }


def _distances(found: Distances) -> dict[str, Any]:
    sets = {_SETS[one.name]: _counted(one) for one in found.sets if one.metrics is not None}
    return {"bins": len(found.edges) - 1, "range": [found.edges[0], found.edges[-1]], **sets}


def _counted(one: DistanceSet) -> dict[str, Any]:
    return {"counts": list(one.counts), "metrics": _metrics(one.metrics)}


def _measure(one: MeasureFacts) -> dict[str, Any]:
    return {
        "bins": len(one.edges) - 1,
        "range": [one.edges[0], one.edges[-1]],
        "input": {"counts": list(one.input_counts), "metrics": _metrics(one.input)},
        "selected": {"counts": list(one.selected_counts), "metrics": _metrics(one.selected)},
    }


def _category(one: CategoryFacts) -> dict[str, Any]:
    return {
        name: {"counts": dict(zip(one.values, counted, strict=True))}
        for name, counted in (("input", one.input_counts), ("selected", one.selected_counts))
    }


def _metrics(found: Metrics | None) -> dict[str, float] | None:
    return None if found is None else found.model_dump()


def _scatter(found: Scatter) -> dict[str, Any]:
    return {
        "input2dEmbeddings": [list(point) for point in found.input],
        **({"datapool2dEmbeddings": [list(point) for point in found.datapool]} if found.datapool else {}),
        "selectedExcludingDatapool2dEmbeddings": [list(point) for point in found.selected],
        "exampleImages": [{"location": [one.x, one.y], "filename": one.sample} for one in found.examples],
    }
