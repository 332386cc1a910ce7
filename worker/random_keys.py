"""Random numbers that belong to a sample: from a hash of seed and name, so that no order of work changes them."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def random_keys(seed: int, names: Sequence[str]) -> NDArray[np.uint64]:
    """Return an (n,) uniform 64-bit key for each name.

    The key is the BLAKE2b digest of 8 bytes, read as a little-endian integer, of the seed in decimal, a zero byte
    and the name in UTF-8 (a lone surrogate, which some buckets hold, passes as it is), personalised with
    `framesift.draw`.
    """
    prefix = blake2b(b"%d\0" % seed, digest_size=8, person=b"framesift.draw")
    digests = bytearray()
    for name in names:
        digest = prefix.copy()
        digest.update(name.encode("utf-8", "surrogatepass"))
        digests += digest.digest()
    return np.frombuffer(bytes(digests), dtype="<u8").astype(np.uint64)


def uniforms(keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return (n,) numbers in [0, 1), multiples of 2**-53, from the upper bits of (n,) keys."""
    return (keys >> np.uint64(11)).astype(np.float64) * 2.0**-53
