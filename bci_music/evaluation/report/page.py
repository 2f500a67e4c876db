"""The page itself: its look and its skeleton; everything it needs stands inside it, and it runs no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bci_music.evaluation.report.palette import DARK, FONT, LIGHT
from bci_music.evaluation.report.tables import Table
from bci_music.evaluation.report.verdict import Sentence


@dataclass(frozen=True)
class Drawing:
    """A picture as inline SVG, and the caption that says its protocol."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A panel of the page: one idea, words first, then tables and drawings in the order given."""

    title: str
    words: Sequence[str] = ()
    blocks: Sequence[Table | Drawing] = ()
    key: str = field(default="")


MARKS = {"for": "●", "against": "▲", "note": "○"}

CSS = """
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.55 var(--font); }
main { max-width: 1200px; margin: 0 auto; padding: 32px 16px 64px; }
header { padding: 0 24px 16px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 8px; }
h2 { font-size: 13px; font-weight: 500; color: var(--muted); margin: 0 0 16px; }
section { background: var(--panel); border-radius: 10px; padding: 24px; margin: 0 0 16px; }
p { margin: 0 0 8px; max-width: 92ch; }
.muted, figcaption, .caption, small { color: var(--muted); }
.badge { display: inline-block; border: 1px solid var(--warm); color: var(--warm); border-radius: 99px;
  padding: 2px 12px; font-size: 13px; margin: 0 8px 8px 0; }
.verdict { list-style: none; margin: 0; padding: 0; }
.verdict li { padding-left: 24px; text-indent: -24px; margin: 0 0 8px; max-width: 92ch; }
.verdict li::before { display: inline-block; width: 24px; text-indent: 0; content: attr(data-mark); }
.for::before { color: var(--accent); } .against::before { color: var(--warm); } .note::before { color: var(--muted); }
.key { font-size: 13px; margin-top: 16px; }
figure { margin: 16px 0 0; overflow-x: auto; }
figure + figure, .table + figure { margin-top: 32px; }
figcaption { font-size: 13px; max-width: 110ch; margin-top: 8px; }
svg.drawing { display: block; width: 100%; min-width: 560px; height: auto; }
svg.drawing * { stroke-linejoin: round; stroke-linecap: butt; }
.table { overflow-x: auto; margin-top: 16px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
.caption { font-size: 13px; max-width: 110ch; margin: 16px 0 0; }
.table + .caption, figure + .caption { margin-top: 32px; }
th, td { text-align: left; vertical-align: top; padding: 8px 16px 8px 0; font-weight: 400; }
thead th { color: var(--muted); font-size: 12px; vertical-align: bottom; line-height: 1.3; padding-bottom: 4px; }
thead tr.groups th { padding-top: 0; color: var(--text); }
tbody tr { border-top: 1px solid var(--line); }
tbody th { min-width: 150px; }
th small, td small { display: block; font-size: 11px; line-height: 1.4; white-space: nowrap; }
th small { white-space: normal; max-width: 40ch; }
td b { font-weight: 600; white-space: nowrap; }
.apart { border-left: 1px solid var(--line); padding-left: 16px; }
.chosen th b { color: var(--accent); }
.absent { color: var(--muted); }
.yes { color: var(--accent); } .no { color: var(--warm); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px; color: var(--muted); margin: 8px 0 0; }
summary { cursor: pointer; }
@media print { section { break-inside: avoid; } }
"""

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: dark light; {{ dark | safe }} }
@media (prefers-color-scheme: light) { :root { {{ light | safe }} } }
{{ css | safe }}</style>
</head>
<body>
<main>
<header>
<h1>{{ title }}</h1>
{% for badge in badges %}<span class="badge">{{ badge }}</span>{% endfor %}
<p class="muted">{{ subtitle }}</p>
</header>
<section id="verdict">
<h2>What the numbers say</h2>
<ul class="verdict">
{% for s in verdict %}<li class="{{ s.mark }}" data-mark="{{ marks[s.mark] }}">{{ s.text }}</li>
{% endfor %}</ul>
<p class="muted key">● clears its controls&ensp; ▲ does not, or not all of them&ensp; ○ to be known when reading.
“Above” means that the whole 95 % interval lies beyond the control's.</p>
</section>
{% for section in sections %}<section{% if section.key %} id="{{ section.key }}"{% endif %}>
<h2>{{ section.title }}</h2>
{% for words in section.words %}<p>{{ words }}</p>
{% endfor %}{% for block in section.blocks %}{% if block.svg is defined %}<figure>
{{ block.svg | safe }}
<figcaption>{{ block.caption }}</figcaption>
</figure>
{% else %}{{ table(block) }}{% endif %}{% endfor %}</section>
{% endfor %}<section id="provenance">
<h2>How every row was made</h2>
{% for name, text in provenance %}<details><summary>{{ name }}</summary><pre>{{ text }}</pre></details>
{% endfor %}</section>
</main>
</body>
</html>
"""

TABLE = """{% macro table(t) %}{% set starts = t.groups | starts %}<p class="caption">{{ t.caption }}</p>
<div class="table"><table>
<thead>
<tr class="groups"><th></th>{% for name, span in t.groups %}<th colspan="{{ span }}"
{%- if not loop.first %} class="apart"{% endif %}>{{ name }}</th>{% endfor %}</tr>
<tr><th></th>{% for name in t.columns %}<th{% if loop.index0 in starts %} class="apart"{% endif %}>{{ name }}</th>
{%- endfor %}</tr>
</thead>
<tbody>
{% for line in t.lines %}<tr{% if line.chosen %} class="chosen"{% endif %}>
<th scope="row"><b>{{ line.title }}</b><small>{{ line.note }}</small></th>
{% for cell in line.cells %}<td{% if loop.index0 in starts %} class="apart"{% endif %}><b
{%- if cell.text == "not run" %} class="absent"{% endif %}>{{ cell.text }}</b>
{%- if cell.stands is not none %} <span class="{{ 'yes' if cell.stands else 'no' }}">{{ '●' if cell.stands else '▲' }}
{%- endif %}{% if cell.stands is not none %}</span>{% endif %}
{%- for small in cell.small %}<small>{{ small }}</small>{% endfor %}</td>
{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{% endmacro %}"""


def render(
    title: str, subtitle: str, badges: Sequence[str], verdict: Sequence[Sentence], sections: Sequence[Section],
    provenance: Sequence[tuple[str, str]],
) -> str:
    """Return the whole page as HTML; all words are escaped, drawings are taken as they are."""  # fmt: skip
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    environment.filters["starts"] = _starts
    return environment.from_string(TABLE + TEMPLATE).render(
        title=title, subtitle=subtitle, badges=badges, verdict=verdict, sections=sections, provenance=provenance,
        marks=MARKS, css=CSS, dark=_variables(DARK), light=_variables(LIGHT),
    )  # fmt: skip


def _starts(groups: Sequence[tuple[str, int]]) -> set[int]:
    """Columns at which a group after the first begins."""
    places, at = set(), 0
    for _, span in groups[:-1]:
        at += span
        places.add(at)
    return places


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in colours.items()) + f" --font: {FONT};"
