"""Images and pushes as tables: plain text for the terminal, HTML for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .layout import Image
    from .upload import PushReport

Rows = Sequence[Sequence[str]]


def size(count: int) -> str:
    """Bytes for people, in the decimal units that Docker prints."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def short(digest: str) -> str:
    """The start of a digest: enough to tell two apart by eye."""
    return digest.removeprefix("sha256:")[:12]


def _image_rows(image: Image) -> Rows:
    return [
        (
            layer.name,
            size(layer.size),
            str(layer.files or ""),
            short(layer.digest),
            "cached" if layer.cached else "built",
        )
        for layer in image.layers
    ]


_IMAGE_HEAD = ("layer", "size", "files", "digest", "")
_PUSH_HEAD = ("layer", "size", "digest", "")


def image_text(image: Image) -> str:
    """A title line and one line a layer."""
    title = f"image {short(image.digest)}  {image.platform}  {size(image.size)}"
    return f"{title}\n{text_table(_IMAGE_HEAD, _image_rows(image))}"


def image_html(image: Image) -> str:
    """The same as an HTML table."""
    title = f"Image <code>{short(image.digest)}</code> · {image.platform} · {size(image.size)}"
    return _html(title, _IMAGE_HEAD, _image_rows(image))


def _push_rows(report: PushReport) -> Rows:
    return [(la.name, size(la.size), short(la.digest), la.outcome) for la in report.layers]


def push_text(report: PushReport) -> str:
    """What a push sent, one line a layer."""
    title = f"{report.reference}  {short(report.digest)}  sent {size(report.sent_bytes)}"
    return f"{title}\n{text_table(_PUSH_HEAD, _push_rows(report))}"


def push_html(report: PushReport) -> str:
    """The same as an HTML table."""
    title = (
        f"<code>{escape(report.reference)}</code> · {short(report.digest)} · "
        f"sent {size(report.sent_bytes)}"
    )
    return _html(title, _PUSH_HEAD, _push_rows(report))


def text_table(head: Sequence[str], rows: Rows) -> str:
    """Columns padded to their widest cell."""
    table = [list(head), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def _html(title: str, head: Sequence[str], rows: Rows) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<table><caption>{title}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )
