"""What earlier jobs have finished with, so that `datasource.process: new` reads only the rest. Append-only.

Each job that is done leaves one file with a digest of 16 bytes for every object that it has finished with: what it read,
and what it could not read and never will. What a timeout, a change or an expiry kept out is new the next time.
"""

import json
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.ids import digest
from jobs.spec import SelectionJob
from worker.ahead import ahead
from worker.errors import JobFailed
from worker.layout import seen_key
from worker.manifest import Plan
from worker.publish import Results
from worker.samples import SkipReason, Source
from worker.storage.store import ObjectStore

FORMAT_VERSION = 1
DIGEST_BYTES = 16
READ_AHEAD = 4
PARQUET = "application/vnd.apache.parquet"
_VOLATILE = {reason.value for reason in SkipReason if reason.volatile}

Digests = NDArray[np.bytes_]


def seen_set(job: SelectionJob, source: ObjectStore) -> str:
    """Return the digest that names what jobs share: the input's place, and the datapool's name, else the job's."""
    owner = ("job", job.name) if job.datapool is None else ("datapool", job.datapool.name)
    return digest(source.place, *owner)


def seen_before(sources: Sequence[Source], store: ObjectStore, shared: str) -> NDArray[np.bool_]:
    """Return (n,) True where an earlier job has finished with a source; another ETag is another object.

    Memory: 16 bytes a source, and an object of each of READ_AHEAD files.

    Raises:
        JobFailed: a file is damaged, or of a newer format.
    """
    own = _digests(sources)
    seen = np.zeros(len(own), np.bool_)
    files = [info.key for info in store.list(seen_key(shared))]
    for digests in ahead(lambda key: _read(store, key), files, threads=READ_AHEAD, depth=READ_AHEAD):
        seen |= np.isin(own, digests)
    return seen


def remember(results: Results, plan: Plan, shared: str) -> None:
    """Write what a job has finished with, by its plan and its skipped.json; call it just before done.json.

    The file is made of the plan alone, so writing it again changes nothing.
    """
    left_out = json.loads(results.store.get(f"{results.prefix}skipped.json"))
    unfinished = {one["source"] for one in left_out if one["reason"] in _VOLATILE}
    finished = (source for chunk in plan.chunks for source in chunk.sources if source.key not in unfinished)
    results.store.put(
        seen_key(shared, results.job_id), _to_bytes(_digests(list(finished))), media_type=PARQUET
    )


def _digests(sources: Sequence[Source]) -> Digests:
    """Return (n,) digests of key and ETag; trailing zero bytes do not count in comparisons, which all of them share."""
    return np.frombuffer(b"".join(map(_digest, sources)), f"S{DIGEST_BYTES}")


def _digest(source: Source) -> bytes:
    key, etag = source.key.encode("utf-8", "surrogatepass"), source.etag.encode("utf-8", "surrogatepass")
    hashed = blake2b(len(key).to_bytes(8, "big"), digest_size=DIGEST_BYTES)
    hashed.update(key)
    hashed.update(etag)
    return hashed.digest()


def _to_bytes(digests: Digests) -> bytes:
    column = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(DIGEST_BYTES), len(digests), [None, pa.py_buffer(np.sort(digests).tobytes())]
    )
    about = {"framesift": json.dumps({"format_version": FORMAT_VERSION})}
    out = BytesIO()
    pq.write_table(pa.table({"digest": column}).replace_schema_metadata(about), out, use_dictionary=False)
    return out.getvalue()


def _read(store: ObjectStore, key: str) -> Digests:
    try:
        table = pq.read_table(BytesIO(store.get(key)))
        version = json.loads(table.schema.metadata[b"framesift"])["format_version"]
        if version > FORMAT_VERSION:
            raise JobFailed(
                f"{key}: format {version}; this framesift reads up to {FORMAT_VERSION}: update it"
            )
        return _joined(table["digest"].chunks)
    except (pa.ArrowException, KeyError, TypeError, ValueError, OSError) as error:
        raise JobFailed(f"{store.url}{key} is damaged: {error}") from error


def _joined(chunks: Iterable[pa.Array]) -> Digests:
    width = DIGEST_BYTES
    bodies = (
        chunk.buffers()[1].to_pybytes()[chunk.offset * width : (chunk.offset + len(chunk)) * width]
        for chunk in chunks
    )
    return np.frombuffer(b"".join(bodies), f"S{width}")
