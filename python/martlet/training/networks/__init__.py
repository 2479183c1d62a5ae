"""Networks as frozen dataclasses over dicts of arrays. Weights lie as ONNX wants them.

Streams (`is_stream`): `start(lanes, feature_count)` gives the state, `hidden(weights, state, x [T, B, F], keep [T, B])`
the values [T, B, width] and the next state; `keep` is 0 at the first tick after a reset, else 1. Windows:
`hidden(weights, x [B, window, F])` gives [B, width]. x is normalised. All take `dropout_key`, without which nothing is
dropped, and `numerics`, which says what products compute in (`quantization`).

`initial(key, feature_count)` makes weights; `prunable` names those that are pruned, with their layouts; `neurons` and
`resized` are for `pruning.without_neurons`, where a layer's own weights are `LAYER_w`; `nodes(builder, weights, value)`
adds the network to an ONNX graph.
"""

from __future__ import annotations

import dataclasses

from .convolutional import TCN
from .dense import MLP
from .deeplob import DeepLOB
from .mixer import Mixer
from .recurrent import Recurrent
from .tabl import BiNCTABL

KINDS = {
    "gru": Recurrent, "lstm": Recurrent, "tcn": TCN, "mlp": MLP, "binctabl": BiNCTABL, "deeplob": DeepLOB,
    "mixer": Mixer}


def make(kind: str, **options):
    """A network by its kind, with its options: make("gru", units=(32,), dense=(64,))."""
    if kind not in KINDS:
        raise ValueError(f"there is no network {kind!r}; there are {', '.join(KINDS)}")
    if KINDS[kind] is Recurrent:
        options = {"cell": kind} | options
    known = {field.name for field in dataclasses.fields(KINDS[kind])}
    wrong = sorted(options.keys() - known)
    if wrong:
        raise ValueError(f"{kind} has no option {', '.join(wrong)}; it has {', '.join(sorted(known))}")
    return KINDS[kind](**{name: tuple(value) if isinstance(value, list) else value for name, value in options.items()})
