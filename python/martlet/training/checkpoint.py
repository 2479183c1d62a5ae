"""A training run's checkpoint: one file, replaced as a whole, that is continued only with what it was begun with."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from .batches import Examples, TrainingError
from .data import kept_values

NAME = "checkpoint.npz"


def identity(network, heads, settings, examples: Examples, first: dict | None) -> dict:
    """What a run is, in values that JSON keeps."""
    sha = hashlib.sha256()
    for name in sorted(first or {}):
        sha.update(np.ascontiguousarray(first[name]))
    parts = {
        "network": {"kind": type(network).__name__} | dataclasses.asdict(network), "heads": dataclasses.asdict(heads),
        "settings": dataclasses.asdict(settings), "examples": examples.digest(), "first": sha.hexdigest()}
    return json.loads(json.dumps(parts))


def save(folder: pathlib.Path, identity: dict, saved: tuple[dict, dict]) -> None:
    """Writes the run's arrays and values; a reader sees the old file or the new one."""
    arrays, values = saved
    leaves = {f"{name}/{key}": value for name, part in arrays.items() if name != "optimizer"
              for key, value in (part or {}).items()}
    leaves |= {f"optimizer/{number}": leaf for number, leaf in enumerate(jax.tree.leaves(arrays["optimizer"]))}
    text = json.dumps({"identity": identity, "values": values})
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / f"{NAME}.new"
    with open(whole, "wb") as file:
        np.savez(file, json=np.array(text), **{name: np.asarray(leaf) for name, leaf in leaves.items()})
    os.replace(whole, folder / NAME)


def load(folder: pathlib.Path, expected: dict) -> tuple[dict, dict]:
    """The arrays by name, and the values, of a run that is the `expected` one."""
    head, arrays = kept_values(folder / NAME)
    leaves = {name: jnp.asarray(array) for name, array in arrays.items()}
    differing = [name for name in expected if head["identity"].get(name) != expected[name]]
    if differing:
        raise TrainingError(
            f"{folder / NAME} is of a run with other {', '.join(differing)}; remove it or choose another folder")
    return leaves, head["values"]
