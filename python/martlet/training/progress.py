"""How far a training is, on a terminal only."""

from __future__ import annotations

import sys
import time


class Progress:
    """One line that rewrites itself on standard error; nothing where that is not a terminal."""

    def __init__(self, total: int, done: int = 0) -> None:
        self.total, self.first = total, done
        self.start, self.is_shown = time.monotonic(), sys.stderr.isatty()

    def show(self, done: int, note: str) -> None:
        if self.is_shown:
            left = (time.monotonic() - self.start) / (done - self.first) * (self.total - done)
            print(f"\repoch {done}/{self.total}, {left:.0f} s left  {note}\033[K", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.is_shown:
            print(file=sys.stderr)
