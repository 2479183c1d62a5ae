"""What the tests of whole runs share: small features, and a configuration for them."""

import jax
import pytest
import yaml

from martlet.training import config, loop
from training_support import describe, write_folder

COUNT = 8_000


@pytest.fixture(scope="module", autouse=True)
def quick_compiler():
    """Most of the time here is the compiler's, for which small networks are not worth it."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("features"), count=COUNT)
    describe(folder, ticks=COUNT)
    return folder


def interrupt(patch, epoch):
    """Ends the training at an epoch, as Ctrl-C would."""
    def show(progress, reached, note):
        if reached == epoch:
            raise KeyboardInterrupt
    patch.setattr(loop.Progress, "show", show)


def small(features, **changes):
    values = {
        "name": "small", "data": {"folder": str(features), "horizons": [10]},
        "network": {"kind": "gru", "units": [16], "dense": [16], "dropout": 0.0},
        "training": {"epochs": 8, "learning_rate": 1e-2, "burn_in": 50, "lanes": 8, "steps": 25},
        "pruning": {"density": 0.5, "every": 5},
        "baselines": ["majority", "persistence"], "has_dense": False} | changes
    return config.parse(yaml.safe_dump(values))
