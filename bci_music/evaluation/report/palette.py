"""Colours of the page, dark and light, and how a matplotlib drawing becomes inline SVG that follows them."""

from __future__ import annotations

import html
import io
import re
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

# The tokens of DESIGN section 7; drawings are made in the dark ones, which then become variables of the page.
DARK = {
    "ground": "#0e1116", "panel": "#151a21", "line": "#27303a", "text": "#e8ecf1", "muted": "#8a95a3",
    "accent": "#4cc9b0", "warm": "#f2b260", "bad": "#ef6a5b", "good": "#7bd88f", "second": "#a394f5",
    "front": "#5aa9e6", "centre": "#9ccf6e", "right": "#c9b458",
}  # fmt: skip
LIGHT = {
    "ground": "#f3f5f7", "panel": "#ffffff", "line": "#d8dee5", "text": "#161b22", "muted": "#5b6673",
    "accent": "#0f8a74", "warm": "#a86408", "bad": "#c23a2b", "good": "#2c7a3d", "second": "#6a58c9",
    "front": "#2470ad", "centre": "#4f7f22", "right": "#7d6a14",
}  # fmt: skip
# Image pixels cannot be variables: one hue that reads on both grounds, from see-through to solid.
IMAGE_HUE = "#22a58d"
SERIES = ("accent", "second", "warm", "front", "centre", "bad", "right", "good")
FONT = "Inter, 'Noto Sans', 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', sans-serif"


def look() -> AbstractContextManager[Any]:
    """Matplotlib's settings for a drawing, for as long as the context lasts."""
    import matplotlib

    c = DARK
    settings: Any = {
        "svg.fonttype": "none", "font.size": 9.0, "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"],
        "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "legend.frameon": False,
        "text.color": c["text"], "axes.labelcolor": c["muted"], "axes.edgecolor": c["line"],
        "axes.titlesize": 9.0, "axes.titlecolor": c["text"], "axes.titlelocation": "left", "axes.labelsize": 9.0,
        "xtick.color": c["line"], "ytick.color": c["line"], "xtick.labelcolor": c["muted"],
        "ytick.labelcolor": c["text"], "xtick.labelsize": 8.0, "ytick.labelsize": 9.0, "axes.linewidth": 0.8,
        "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "lines.linewidth": 1.6,
        "grid.color": c["line"], "grid.linewidth": 0.6, "legend.fontsize": 8.0, "legend.labelcolor": c["text"],
    }  # fmt: skip
    return matplotlib.rc_context(settings)


def svg(canvas: Canvas, key: str, title: str) -> str:
    """Return the drawing as SVG to stand inside a page.

    Colours become the page's variables (so they follow dark and light), names inside it start with `key` (so that
    several drawings can share a page), and nothing in it points outside.

    Parameters
    ----------
    canvas : matplotlib.figure.Figure
    key : str
        Letters and digits, unique in the page.
    title : str
        Read out where the drawing cannot be seen.
    """
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": key, "svg.fonttype": "none"}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        canvas.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'\bid="', f'id="{key}-', text)
    text = text.replace("url(#", f"url(#{key}-").replace('href="#', f'href="#{key}-')
    for name, value in DARK.items():
        text = text.replace(value, f"var(--{name})")
    text = re.sub(r'font-family: [^;"]*', "font-family: var(--font)", text)
    size = re.search(r'<svg[^>]*?width="([\d.]+)pt"', text)
    width = float(size[1]) * 4 / 3 if size else 0.0
    opening = re.search(r'viewBox="[^"]*"', text)
    head = f'<svg class="drawing" role="img" aria-label="{html.escape(title)}" {opening[0] if opening else ""} '
    return re.sub(r"<svg[^>]*>", lambda _: f'{head}style="max-width: {width:.0f}px">', text, count=1)
