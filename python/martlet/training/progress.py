"""How far a training is, on a terminal only."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar


class Progress:
    """Epochs done, the time that is left and a note, in one line on standard error; nothing where that is not a
    terminal."""

    def __init__(self, total: int, done: int = 0) -> None:
        self.bar = Bar(TextColumn("epoch"), MofNCompleteColumn(), BarColumn(24), TimeRemainingColumn(),
                       TextColumn("{task.fields[note]}"), console=Console(stderr=True),
                       disable=not sys.stderr.isatty())
        self.task = self.bar.add_task("", total=total, completed=done, note="")
        self.bar.start()

    def show(self, done: int, note: str) -> None:
        self.bar.update(self.task, completed=done, note=note)

    def close(self) -> None:
        if not self.bar.disable:
            self.bar.stop()


def stage(name: str | None) -> None:
    """Says on a terminal what begins now; None at the end."""
    if sys.stderr.isatty():
        Console(stderr=True).print("done" if name is None else name, style="dim" if name is None else "bold",
                                   markup=False, highlight=False)
