"""Labels a folder's mids.i64 and resets.u8 with the NumPy twin, for each `horizon:alpha` given: labels.<horizon>."""

import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from martlet.labels import directions  # noqa: E402

folder = pathlib.Path(sys.argv[1])
mids = np.fromfile(folder / "mids.i64", "<i8")
resets = np.fromfile(folder / "resets.u8", bool)
for word in sys.argv[2:]:
    horizon, alpha = word.split(":")
    directions(mids, resets, int(horizon), float(alpha)).tofile(folder / f"labels.{horizon}")
print("done", flush=True)
