"""A report as Markdown and as one HTML file with its figures in it; neither says when it was written."""

from __future__ import annotations

import base64
import html
import pathlib
import re
from dataclasses import dataclass, field

STYLE = """body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border: 1px solid #ccc; padding: .25rem .6rem; text-align: left; } th { background: #f3f3f3; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; } code { background: #f6f6f6; } img { max-width: 100%; }"""


@dataclass
class Report:
    """Headings, paragraphs, tables, code and figures, in order. In texts only `code` and **bold** are marked up."""

    title: str
    blocks: list[tuple] = field(default_factory=list)

    def heading(self, text: str) -> None:
        self.blocks.append(("heading", text))

    def paragraph(self, text: str) -> None:
        self.blocks.append(("paragraph", text))

    def table(self, rows: list[list[str]]) -> None:
        """The first row is the head."""
        self.blocks.append(("table", rows))

    def markdown_table(self, text: str) -> None:
        """A table that is Markdown already."""
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.strip().splitlines()]
        self.table([rows[0], *rows[2:]])

    def code(self, text: str) -> None:
        self.blocks.append(("code", text.rstrip()))

    def figure(self, path: pathlib.Path, text: str) -> None:
        """A PNG file; Markdown refers to it by its name in `plots/`."""
        self.blocks.append(("figure", path, text))

    def markdown(self) -> str:
        parts = [f"# {self.title}"]
        for kind, *values in self.blocks:
            if kind == "heading":
                parts.append(f"## {values[0]}")
            elif kind == "table":
                parts.append(markdown_table(values[0]))
            elif kind == "code":
                parts.append(f"```yaml\n{values[0]}\n```")
            elif kind == "figure":
                parts.append(f"![{values[1]}](plots/{values[0].name})")
            else:
                parts.append(values[0])
        return "\n\n".join(parts) + "\n"

    def html(self) -> str:
        parts = [f"<h1>{_marked(self.title)}</h1>"]
        for kind, *values in self.blocks:
            if kind == "heading":
                parts.append(f"<h2>{_marked(values[0])}</h2>")
            elif kind == "table":
                parts.append(_table(values[0]))
            elif kind == "code":
                parts.append(f"<pre>{html.escape(values[0])}</pre>")
            elif kind == "figure":
                data = base64.b64encode(values[0].read_bytes()).decode()
                text = html.escape(values[1])
                parts.append(f'<figure><img alt="{text}" src="data:image/png;base64,{data}"></figure>')
            else:
                parts.append(f"<p>{_marked(values[0])}</p>")
        body, title = "\n".join(parts), html.escape(self.title)
        return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
                f"<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n")

    def write(self, folder: pathlib.Path, name: str = "report") -> None:
        (folder / f"{name}.md").write_text(self.markdown())
        (folder / f"{name}.html").write_text(self.html())


def markdown_table(rows: list[list]) -> str:
    """Cells are written as `str` has them; the first row is the head."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def _table(rows):
    head, *body = ["".join(f"<{tag}>{_marked(cell)}</{tag}>" for cell in row)
                   for tag, row in zip(["th"] + ["td"] * (len(rows) - 1), rows)]
    lines = "".join(f"<tr>{row}</tr>" for row in body)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"


def _marked(text):
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
