"""Headers of XDF streams: bounded before anything is made of them, and fixed where pyxdf would stumble."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from bci_music.data.readers.xdf_rows import RowShape
from bci_music.messages import UserError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_FORMATS = {"double64": 8, "float32": 4, "string": 0, "int32": 4, "int16": 2, "int8": 1, "int64": 8}
_MOST_CHANNELS, _HIGHEST_HZ, _MOST_XML, _DEEPEST = 10_000, 1e6, 1 << 24, 40


class NotXmlError(Exception):
    """Bytes that are no XML."""


def parse_xml(xml: bytes) -> Element:
    """Parse what anybody may have written; `NotXmlError`, or `UserError` where it is an attack."""
    from xml.etree.ElementTree import ParseError

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    if len(xml) > _MOST_XML:
        raise UserError(f"has {len(xml)} bytes, expected some thousand")
    try:
        root = fromstring(xml.decode("utf-8", "replace"))
    except DefusedXmlException as error:
        raise UserError("declares entities, which no recorder does") from error
    except (ParseError, ValueError) as error:
        raise NotXmlError from error
    level, depth = [root], 0
    while level:
        level, depth = [child for node in level for child in node], depth + 1
        if depth > _DEEPEST:
            raise UserError(f"is nested more than {_DEEPEST} deep")
    return root


def read_header(xml: bytes) -> tuple[str, RowShape, bytes]:
    """Name and row shape of a stream, and its header as pyxdf can read it; `UserError` where it cannot be true."""
    from xml.etree.ElementTree import SubElement, tostring

    root = parse_xml(xml)
    changed = root.tag != "info"
    root.tag = "info"
    given = {key: (root.findtext(key) or "").strip() for key in ("channel_count", "nominal_srate", "channel_format")}
    channels, rate = _number(given["channel_count"]), _number(given["nominal_srate"] or "0")
    if channels is None or not 0 <= channels <= _MOST_CHANNELS or channels != int(channels):
        raise UserError(f"states {given['channel_count'][:40]!r} channels, expected up to {_MOST_CHANNELS}")
    if rate is None or not 0 <= rate <= _HIGHEST_HZ:
        raise UserError(f"states a rate of {given['nominal_srate'][:40]!r} Hz, expected up to {_HIGHEST_HZ:.0f}")
    if given["channel_format"] not in _FORMATS:
        raise UserError(f"states the format {given['channel_format'][:40]!r}, expected {', '.join(_FORMATS)}")
    name = (root.findtext("name") or "").strip()
    wanted = {"name": name or "unnamed", "channel_count": f"{channels:.0f}", "nominal_srate": f"{rate:.12g}"}
    for key, text in wanted.items():
        node = root.find(key)
        node = SubElement(root, key) if node is None else node
        was = (node.text or "").strip()
        if was != text and (key == "name" or not _plain_number(was)):
            node.text, changed = text, True
    return name, RowShape(int(channels), _FORMATS[given["channel_format"]]), tostring(root) if changed else xml


def _number(text: str) -> float | None:
    """A number, also with a decimal comma; None where it is none."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _plain_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?(e[+-]?\d+)?", text) is not None
