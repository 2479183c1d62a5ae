"""What a run's folder was made of beside its configuration: a run goes on only with the same."""

from __future__ import annotations

import hashlib
import json
import pathlib

from .. import features
from . import stages
from .config import Config, ConfigError, expanded

NAME = "origin.json"
#: Raised by hand when a stage gives other values for the same input: what an earlier release kept is then not gone on
#: with.
STAGES_VERSION = 1


def of(config: Config) -> dict:
    """SHA-256 of each feed, or of the features.json of a folder; versions of the feature set and of the stages."""
    paths = stages.given_feeds(config) or [expanded(config.data.folder, "data.folder") / "features.json"]
    return {"data": [_sha256(path) for path in paths], "feature set": features.VERSION, "stages": STAGES_VERSION}


def write(found: dict, folder: pathlib.Path) -> None:
    (folder / NAME).write_text(json.dumps(found, indent=1) + "\n")


def require_same(found: dict, folder: pathlib.Path) -> None:
    """Refuses a folder that was made of something else than what was `found` now."""
    try:
        kept = json.loads((folder / NAME).read_text())
        differing = [name for name in found | kept if kept.get(name) != found.get(name)]
    except (OSError, ValueError, TypeError, AttributeError):
        differing = ["data or release, of which it says nothing"]
    if differing:
        raise ConfigError(f"{folder} holds a run of other {', '.join(differing)} ({folder / NAME}): remove the folder "
                          "to begin anew, or choose another --out")


def _sha256(path: pathlib.Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"data: {path}: {error.strerror or error}") from error
