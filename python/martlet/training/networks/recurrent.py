"""Dense layers, then GRU or LSTM layers whose state goes round: one tick in, one prediction out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from ..pruning import HEADS, Layout
from .common import FLOAT, dropped, glorot
from .dense import dense, dense_layouts, dense_neurons, dense_nodes, initial_dense, replaced

GATES = {"gru": 3, "lstm": 4}


@dataclass(frozen=True)
class Recurrent:
    """GRU (Cho et al. 2014, `linear_before_reset` = 1) or LSTM (Hochreiter and Schmidhuber 1997), gates in ONNX's
    order.

    A weight of a layer is `NAME_w` [gates · units, inputs], `NAME_r` [gates · units, units], `NAME_wb` and `NAME_rb`
    with NAME gru0, gru1 … or lstm0 …
    """

    cell: str = "gru"
    units: tuple[int, ...] = (32,)
    dense: tuple[int, ...] = (64,)
    input_dropout: float = 0.2
    dropout: float = 0.2
    #: Of a quantised GRU: whether the new state is mixed from the previous one as a float, which writes the step as
    #: single operators, rather than from the quantised one, which moves in steps of 1/63 or not at all.
    keeps_float_state: bool = False

    is_stream, is_quantizable = True, True

    def __post_init__(self):
        if self.cell not in GATES or not self.units:
            raise ValueError(f"a recurrent network is of gru or lstm cells, with at least one layer; not {self}")

    @property
    def width(self) -> int:
        return self.units[-1]

    @property
    def names(self) -> list[str]:
        return [f"{self.cell}{layer}" for layer in range(len(self.units))]

    def initial(self, key: jax.Array, feature_count: int) -> dict:
        """Glorot-uniform weights, an orthogonal recurrence, gates that begin by remembering."""
        weights = initial_dense(jax.random.fold_in(key, 1), self.dense, feature_count)
        inputs, gates = (feature_count, *self.dense)[-1], GATES[self.cell]
        orthogonal = jax.nn.initializers.orthogonal()
        for layer, (name, units) in enumerate(zip(self.names, self.units)):
            keys = jax.random.split(jax.random.fold_in(key, 100 + layer), 2 * gates)
            weights[f"{name}_w"] = jnp.concatenate([glorot(k, (units, inputs), inputs, units) for k in keys[:gates]])
            weights[f"{name}_r"] = jnp.concatenate([orthogonal(k, (units, units)) for k in keys[gates:]])
            # The GRU's update gate is its first, the LSTM's forget gate its third.
            remembering = slice(0, units) if self.cell == "gru" else slice(2 * units, 3 * units)
            weights[f"{name}_wb"] = jnp.zeros(gates * units).at[remembering].set(1.0)
            weights[f"{name}_rb"] = jnp.zeros(gates * units)
            inputs = units
        return weights

    def exported_window(self, is_integer: bool) -> int:
        return 1

    def start(self, lanes: int, feature_count: int) -> dict:
        state = {}
        for name, units in zip(self.names, self.units):
            state[name] = jnp.zeros((lanes, units))
            if self.cell == "lstm":
                state[f"{name}_cell"] = jnp.zeros((lanes, units))
        return state

    def hidden(self, weights, state, x, keep, dropout_key=None, numerics=FLOAT):
        x = dropped(x, self.input_dropout, dropout_key, 0)
        x = dense(self.dense, weights, x, self.dropout, dropout_key, numerics)
        step = self._gru if self.cell == "gru" else self._lstm
        state = dict(state)
        for layer, name in enumerate(self.names):
            if layer > 0:
                x = dropped(x, self.dropout, dropout_key, 100 + layer)
            x = step(weights, name, state, x, keep, numerics)
        return x, state

    def _sums(self, weights, name, x, numerics):
        weight = numerics.weight(weights[f"{name}_w"].T)
        return numerics.product(name, x, weight) + weights[f"{name}_wb"]

    def _gru(self, weights, name, state, x, keep, numerics):
        recurrence, bias = numerics.weight(weights[f"{name}_r"].T), weights[f"{name}_rb"]

        def step(hidden, inputs):
            sums, kept = inputs
            hidden = hidden * kept[:, None]
            ahead = jnp.split(numerics.state_product(hidden, recurrence) + bias, 3, axis=-1)
            update, reset, new = jnp.split(sums, 3, axis=-1)
            update, reset = jax.nn.sigmoid(update + ahead[0]), jax.nn.sigmoid(reset + ahead[1])
            new = jnp.tanh(new + reset * ahead[2])
            old = hidden if self.keeps_float_state else numerics.state(hidden)
            hidden = new + update * (old - new)
            return hidden, hidden

        state[name], x = jax.lax.scan(step, state[name], (self._sums(weights, name, x, numerics), keep))
        return x

    def _lstm(self, weights, name, state, x, keep, numerics):
        recurrence, bias = numerics.weight(weights[f"{name}_r"].T), weights[f"{name}_rb"]

        def step(carried, inputs):
            (hidden, cell), (sums, kept) = carried, inputs
            hidden, cell = hidden * kept[:, None], cell * kept[:, None]
            sums = sums + (numerics.state_product(hidden, recurrence) + bias)
            enter, leave, keeping, candidate = jnp.split(sums, 4, axis=-1)
            cell = jax.nn.sigmoid(keeping) * cell + jax.nn.sigmoid(enter) * jnp.tanh(candidate)
            hidden = jax.nn.sigmoid(leave) * jnp.tanh(cell)
            return (hidden, cell), hidden

        first, sums = (state[name], state[f"{name}_cell"]), self._sums(weights, name, x, numerics)
        (state[name], state[f"{name}_cell"]), x = jax.lax.scan(step, first, (sums, keep))
        return x

    @property
    def prunable(self) -> dict[str, Layout]:
        gates = Layout("rows", GATES[self.cell])
        return dense_layouts(self.dense) | {f"{name}_{part}": gates for name in self.names for part in "wr"}

    @property
    def neurons(self) -> dict:
        neurons, gates = dense_neurons(self.dense, (f"{self.names[0]}_w", 1, 1)), GATES[self.cell]
        for layer, (name, units) in enumerate(zip(self.names, self.units)):
            reader = (f"{self.names[layer + 1]}_w", 1, 1) if layer + 1 < len(self.units) else (HEADS, 0, 1)
            neurons[name] = (units, [
                (f"{name}_w", 0, gates), (f"{name}_r", 0, gates), (f"{name}_r", 1, 1), (f"{name}_wb", 0, gates),
                (f"{name}_rb", 0, gates), reader])
        return neurons

    def resized(self, layer: str, count: int) -> "Recurrent":
        field = "dense" if layer.startswith("dense") else "units"
        return dataclasses.replace(self, **{field: replaced(getattr(self, field), layer, count)})

    def nodes(self, builder, weights: dict, value: str) -> str:
        value = dense_nodes(builder, self.dense, weights, value)
        for name in self.names:
            parts = [weights[f"{name}_{part}"] for part in ("w", "r", "wb", "rb")]
            if self.cell == "lstm":
                value = builder.lstm(name, value, *parts)
            else:
                value = builder.gru(name, value, *parts, keeps_float_state=self.keeps_float_state)
        return builder.reshape(value, 1, self.width)
