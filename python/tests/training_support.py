"""A small synthetic instrument whose next moves its features tell, for the tests of the training kit."""

import json

import numpy as np

COUNT, FEATURES = 12_000, 12


def write_folder(path, seed=6, count=COUNT):
    """A price that falls, rests or rises for a while; feature 0 shows which in noise, feature 1 is constant."""
    random = np.random.default_rng(seed)
    spell = np.cumsum(random.random(count) < 0.08)
    drift = random.integers(-1, 2, spell[-1] + 1)[spell]
    mid = 100_000_000_000 + np.cumsum(2 * drift + random.integers(-1, 2, count)) * 5_000_000
    features = random.normal(size=(count, FEATURES)).astype(np.float32)
    features[:, 0] += 2 * drift
    features[:, 1] = 3
    reset = np.zeros(count, np.uint8)
    reset[[0, count // 4]] = 1
    half = random.integers(1, 4, count) * 5_000_000
    for name, array in [("features", features), ("mid", mid), ("bid", mid - half), ("ask", mid + half),
                        ("reset", reset),
                        ("instrument", np.zeros(count, np.uint32)),
                        ("ts_recv", 1_700_000_000_000_000_000 + np.arange(count, dtype=np.uint64) * 10**6)]:
        np.save(path / f"{name}.npy", array)
    describe(path)
    return path


def describe(path, **changes):
    """Writes features.json; a change to None leaves a key out."""
    values = {"names": [f"f{i}" for i in range(FEATURES)], "feature_set_version": 1, "warm_up_ticks": 50,
              "instruments": ["TEST/A"], "files": ["a.dbn"], "sha256": ["ab" * 32], "ticks": COUNT} | changes
    (path / "features.json").write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
