from hashlib import blake2b

import numpy as np

from worker.random_keys import random_keys, uniforms


def test_random_keys__are_the_documented_digests():
    digest = blake2b(b"7\0a/b.jpg", digest_size=8, person=b"framesift.draw").digest()

    assert random_keys(7, ["a/b.jpg"]).tolist() == [int.from_bytes(digest, "little")]


def test_random_keys__belong_to_name_and_seed_alone():
    keys = random_keys(0, ["a", "b", "\udcff"])

    assert random_keys(0, ["\udcff", "a"]).tolist() == [keys[2], keys[0]]
    assert not set(random_keys(1, ["a", "b"])) & set(keys)
    assert random_keys(-1, []).shape == (0,)


def test_uniforms__fill_zero_to_one_evenly():
    values = uniforms(random_keys(3, [str(number) for number in range(4000)]))

    assert uniforms(np.array([0, 2**64 - 1], np.uint64)).tolist() == [0.0, 1 - 2**-53]
    assert np.histogram(values, bins=4, range=(0, 1))[0].min() > 900
