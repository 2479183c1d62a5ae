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

    def code(self, text: str) -> None:
        self.blocks.append(("code", text.rstrip()))

    def figure(self, path: pathlib.Path, text: str) -> None:
        """A PNG file; Markdown refers to it by its name in `plots/`."""
        self.blocks.append(("figure", path, text))

    def markdown(self) -> str:
        parts = [f"# {self.title}", *(FORMS[kind][0](*values) for kind, *values in self.blocks)]
        return "\n\n".join(parts) + "\n"

    def html(self) -> str:
        parts = [f"<h1>{_marked(self.title)}</h1>", *(FORMS[kind][1](*values) for kind, *values in self.blocks)]
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


def _figure(path, text):
    data, text = base64.b64encode(path.read_bytes()).decode(), html.escape(text)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"></figure>'


def _marked(text):
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)


#: Each kind of block as Markdown and as HTML.
FORMS = {
    "heading": (lambda text: f"## {text}", lambda text: f"<h2>{_marked(text)}</h2>"),
    "paragraph": (lambda text: text, lambda text: f"<p>{_marked(text)}</p>"),
    "table": (markdown_table, _table),
    "code": (lambda text: f"```yaml\n{text}\n```", lambda text: f"<pre>{html.escape(text)}</pre>"),
    "figure": (lambda path, text: f"![{text}](plots/{path.name})", _figure),
}
