"""What travels between a process that decodes videos and its parent, as JSON and bytes."""

import json
from dataclasses import asdict, replace
from fractions import Fraction
from typing import Any

import numpy as np

from worker.media.messages import packed, unpacked
from worker.samples import SkipReason
from worker.video.frame_picture import SIGNATURE_PX
from worker.video.runs import Run
from worker.video.scanned import Fault, Frame, Header, Packets, Scan

Message = dict[str, Any]
Blobs = tuple[bytes | memoryview, ...]


def header_to(header: Header) -> Message:
    """Return a header as JSON can hold it."""
    return {**asdict(header), "time_base": str(header.time_base)}


def header_from(message: Message) -> Header:
    """Return the header that `header_to` took apart."""
    return Header(**{**message, "time_base": Fraction(message["time_base"])})


def scan_to(scan: Scan) -> tuple[Message, Blobs]:
    """Return a scan as JSON and the columns of its packets."""
    packets = scan.packets
    message = {
        "header": header_to(scan.header),
        "faults": [[fault.reason, fault.detail] for fault in scan.faults],
        "indexed": scan.indexed,
        "count": len(packets.pts),
    }
    columns = (packets.pts, packets.pos, packets.size, packets.key, packets.shown)
    return message, tuple(np.ascontiguousarray(column).data.cast("B") for column in columns)


def scan_from(message: Message, blob: bytearray) -> Scan:
    """Return the scan that `scan_to` took apart."""
    count = message["count"]
    pts, pos, size = np.frombuffer(blob, np.int64, 3 * count).reshape(3, count)
    key, shown = np.frombuffer(blob, np.bool_, offset=24 * count).reshape(2, count)
    faults = tuple(Fault(SkipReason(reason), detail) for reason, detail in message["faults"])
    return Scan(
        header_from(message["header"]), Packets(pts, key, shown, pos, size), faults, message["indexed"]
    )


def frame_to(frame: Frame) -> tuple[Message, Blobs]:
    """Return a frame as JSON, its signature and what its result holds."""
    result, blobs = packed(frame.result)
    message = {
        "pts": frame.pts,
        "content": frame.content,
        "signed": frame.signature is not None,
        "result": result,
    }
    signature = b"" if frame.signature is None else frame.signature.tobytes()
    return message, (signature, *blobs)


def frame_from(message: Message, blob: bytearray) -> Frame:
    """Return the frame that `frame_to` took apart."""
    side, signature = SIGNATURE_PX, None
    if message["signed"]:
        signature = np.frombuffer(blob, np.uint8, side * side).reshape(side, side).copy()
        blob = blob[side * side :]
    return Frame(message["pts"], message["content"], signature, unpacked(message["result"], blob))


def runs_to(runs: tuple[Run, ...]) -> list[list[Any]]:
    """Return runs as JSON can hold them."""
    return [[run.start, run.count, run.last, run.targets, run.hidden, run.follows, run.near] for run in runs]


def runs_from(rows: list[list[Any]]) -> list[Run]:
    """Return the runs that `runs_to` took apart."""
    return [
        Run(start, count, last, tuple(targets), tuple(hidden), follows, near)
        for start, count, last, targets, hidden, follows, near in rows
    ]


def parsed(header: bytes) -> Message:
    """Return a message as it came."""
    message: Message = json.loads(header)
    return message


def upright(header: Header, size: tuple[int, int]) -> Header:
    """Return a header with the size that frames are displayed in."""
    return replace(header, width=size[0], height=size[1])
