"""Block pruning in the blocks of the engine's kernels (docs/MODEL.md), while training; and removal of whole neurons.

Gradual: the share of zero blocks follows the cubic schedule of Zhu and Gupta (2017, arXiv 1710.01878), blocks are
ranked by their norm per weight, and the masks are frozen from `end` on. Regrowth (Evci et al. 2020, RigL, arXiv
1911.11134): at each change of the masks some of the weakest blocks give way to those zero blocks whose gradient is
largest, a share that falls to zero as a cosine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..graph_builder import UNITS_IN_BLOCK

#: Outputs and inputs of a block of a linear layer, in floats and in bytes. Of a recurrent layer it is 8 units of all
#: gates.
FLOAT_BLOCK, INTEGER_BLOCK = (16, 1), (8, 4)
#: Stands for the weights [neurons, outputs] of all heads where a layer is the last one before them.
HEADS = "heads"


@dataclass(frozen=True)
class Layout:
    """How a weight's outputs and inputs lie in its array.

    `columns` [inputs, outputs]; `rows` [gates · outputs, inputs], gates one after the other; `taps` [outputs, channels,
    *taps], whose inputs are ordered by tap, then by channel.
    """

    form: str
    gates: int = 1

    def matrix(self, weight: np.ndarray) -> np.ndarray:
        """[gates, outputs of a gate, inputs]"""
        if self.form == "columns":
            return weight.T[None]
        if self.form == "taps":
            return np.moveaxis(weight, 1, -1).reshape(1, len(weight), -1)
        return weight.reshape(self.gates, -1, weight.shape[1])

    def restored(self, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The weight's own form of a matrix."""
        if self.form == "columns":
            return matrix[0].T
        if self.form == "taps":
            return np.moveaxis(matrix.reshape(shape[0], *shape[2:], shape[1]), -1, 1)
        return matrix.reshape(shape)

    def block(self, is_integer: bool) -> tuple[int, int]:
        """Outputs of a gate and inputs in a block."""
        outputs, inputs = INTEGER_BLOCK if is_integer else FLOAT_BLOCK
        return (UNITS_IN_BLOCK if self.gates > 1 else outputs), inputs


@dataclass(frozen=True)
class Pruning:
    """Gradual pruning; `begin` and `end` are shares of the training."""

    density: float = 0.1
    begin: float = 0.1
    end: float = 0.6
    #: Steps between changes of the masks.
    every: int = 100
    #: Whether blocks are those of bytes, 8×4, rather than of floats, 16×1.
    is_integer: bool = False
    #: Whether all matrices are ranked together, rather than each keeping the same share.
    is_global: bool = False
    #: Share of the kept blocks that is exchanged at first; 0 for none.
    regrowth: float = 0.0

    def sparsity(self, progress: float) -> float:
        """Share of zero blocks at a share of the training."""
        part = min(max((progress - self.begin) / (self.end - self.begin), 0.0), 1.0)
        return (1 - self.density) * (1 - (1 - part) ** 3)

    def exchanged(self, progress: float) -> float:
        """Share of the kept blocks that give way at a share of the training."""
        part = min(max((progress - self.begin) / (self.end - self.begin), 0.0), 1.0)
        return self.regrowth / 2 * (1 + np.cos(np.pi * part))


def block_norms(layout: Layout, weight: np.ndarray, is_integer: bool) -> np.ndarray:
    """The root of the mean square of each block [panels, columns of blocks]; blocks at the ends may be smaller."""
    matrix = layout.matrix(np.asarray(weight, np.float64) ** 2)
    sums = _sums(matrix, layout.block(is_integer))
    return np.sqrt(sums / _sums(np.ones_like(matrix), layout.block(is_integer)))


def _sums(matrix, block):
    outputs, inputs = block
    gates, rows, columns = matrix.shape
    padded = np.pad(matrix, ((0, 0), (0, -rows % outputs), (0, -columns % inputs)))
    return padded.reshape(gates, -(-rows // outputs), outputs, -(-columns // inputs), inputs).sum(axis=(0, 2, 4))


def spread(layout: Layout, blocks: np.ndarray, shape: tuple[int, ...], is_integer: bool) -> np.ndarray:
    """A value of each block at all its weights; float32, shaped as the weight."""
    outputs, inputs = layout.block(is_integer)
    gates, rows, columns = layout.matrix(np.empty(shape, np.int8)).shape
    matrix = np.repeat(np.repeat(blocks, outputs, axis=0)[:rows], inputs, axis=1)[:, :columns]
    return layout.restored(np.broadcast_to(matrix, (gates, rows, columns)).astype(np.float32), shape)


def masks(weights: dict, layouts: dict[str, Layout], sparsity: float, pruning: Pruning, gradients: dict | None = None,
          exchanged: float = 0.0) -> dict[str, np.ndarray]:
    """1 at the blocks of largest norm, 0 at the `sparsity` share of smallest, shaped as the weights.

    With `gradients` of the loss, a share `exchanged` of the kept blocks gives way to as many zero ones of largest
    gradient. One block of each matrix stays.
    """
    norms = {name: block_norms(layout, weights[name], pruning.is_integer) for name, layout in layouts.items()}
    kept = _largest(norms, 1 - sparsity, pruning.is_global)
    if gradients is not None and exchanged > 0 and sparsity > 0:
        for name, layout in layouts.items():
            slopes = block_norms(layout, gradients[name], pruning.is_integer)
            count = min(int(exchanged * kept[name].sum()), int((~kept[name]).sum()))
            zero = np.where(kept[name], -1.0, slopes)
            weakest = np.argsort(np.where(kept[name], norms[name], np.inf), axis=None, kind="stable")[:count]
            grown = np.argsort(-zero, axis=None, kind="stable")[:count]
            kept[name].flat[weakest] = False
            kept[name].flat[grown] = True
    return {name: spread(layout, kept[name], np.shape(weights[name]), pruning.is_integer)
            for name, layout in layouts.items()}


def _largest(norms, share, is_global):
    """Which blocks of each matrix are among the largest, by matrix or of all."""
    kept = {}
    if is_global:
        ranked = np.sort(np.concatenate([array.ravel() for array in norms.values()]))
        zeros = int(round((1 - share) * ranked.size))
        limit = ranked[zeros] if zeros < ranked.size else np.inf
    for name, array in norms.items():
        if is_global:
            kept[name] = array >= limit
        else:
            count = max(int(round(share * array.size)), 1)
            kept[name] = np.zeros(array.shape, bool)
            kept[name].flat[np.argsort(-array, axis=None, kind="stable")[:count]] = True
        kept[name].flat[np.argmax(array)] = True
    return kept


def density(weights: dict, layouts: dict[str, Layout]) -> float:
    """Share of the prunable weights that are not zero."""
    total = sum(np.size(weights[name]) for name in layouts)
    return sum(int(np.count_nonzero(np.asarray(weights[name]))) for name in layouts) / total


def block_density(weights: dict, layouts: dict[str, Layout], is_integer: bool) -> dict[str, float]:
    """Share of blocks of each weight that are not all zero."""
    return {name: float((block_norms(layout, weights[name], is_integer) > 0).mean())
            for name, layout in layouts.items()}


def kept_neurons(network, share: float) -> dict[str, int]:
    """How many neurons of each layer a share is, rounded up to whole blocks of the kernels: 16 of a dense layer, 8 of a
    recurrent one."""
    counts = {}
    for layer, (size, _) in network.neurons.items():
        block, _ = network.prunable[f"{layer}_w"].block(is_integer=False)
        # Rounded first, because 0.28 · 200 / 8 is a little more than 7.
        counts[layer] = min(block * math.ceil(round(share * size / block, 9)), size)
    return counts


def resized(network, counts: dict[str, int]):
    """The network with so many neurons in each layer named."""
    for layer, count in counts.items():
        network = network.resized(layer, count)
    return network


def without_neurons(network, weights: dict, counts: dict[str, int], scores: dict | None = None):
    """The network and its weights with the most important neurons, so many of each layer named.

    `network.neurons` has for each layer its size and the axes of weights that belong to its neurons. Importance is the
    sum over these of `scores`, shaped as the weights: by default their squares; with (weight · gradient)², which
    `loop.importance` gives, it is the first-order estimate of Molchanov et al. (2019, arXiv 1906.10771).
    """
    scores = scores or {name: np.asarray(weight) ** 2 for name, weight in weights.items()}
    heads = sorted(name for name in weights if name.startswith("head_") and name.endswith("_w"))
    smaller = dict(weights)
    for layer, count in counts.items():
        if layer not in network.neurons:
            raise ValueError(
                f"{layer!r} is no layer whose neurons can be removed; there are {', '.join(network.neurons)}")
        size, places = network.neurons[layer]
        if not 0 < count <= size:
            raise ValueError(f"{layer} has {size} neurons; {count} of them cannot be kept")
        parts = [(name, axis, gates) for place, axis, gates in places
                 for name in (heads if place == HEADS else [place])]
        importance = np.zeros(size)
        for name, axis, gates in parts:
            by_neuron = np.moveaxis(np.asarray(scores[name]), axis, 0).reshape(gates, size, -1)
            importance += by_neuron.sum(axis=(0, 2))
        chosen = np.sort(np.argsort(-importance, kind="stable")[:count])
        for name, axis, gates in parts:
            rows = np.concatenate([gate * size + chosen for gate in range(gates)])
            smaller[name] = np.take(np.asarray(smaller[name]), rows, axis)
    return resized(network, counts), smaller
