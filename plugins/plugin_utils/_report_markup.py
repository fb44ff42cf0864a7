# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTML and SVG as trees of elements, so that no text can become markup: the serializer escapes all of it.

Texts come from hosts. What is invisible, or reorders what stands beside it, is replaced, and so is what cannot be
written. Nothing in the result looks like a template: a page that is kept in a variable may be templated again.
"""

from __future__ import annotations

import re
import typing as t
from xml.etree.ElementTree import Element, tostring

Child = t.Union[Element, str, None]

REPLACEMENT = "\ufffd"
_UNFIT = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufffe\uffff]"
)
"""Control characters, zero-width and bidirectional ones, halves of pairs, and what XML does not have."""
_TEMPLATE = re.compile(r"\{(?=[{%#])")
"""What Jinja begins with."""


def clean(text: str) -> str:
    return _UNFIT.sub(REPLACEMENT, text)


def element(tag: str, attributes: t.Mapping[str, str | None] | None = None, *children: Child) -> Element:
    """An element. Attributes that are None are left out; ``tag`` and the attributes' names are the code's own."""
    made = Element(tag, {name: clean(value) for name, value in (attributes or {}).items() if value is not None})
    for child in children:
        if child is None:
            continue
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + clean(child)
        else:
            made.text = (made.text or "") + clean(child)
    return made


def constant(tag: str, text: str) -> Element:
    """A style or a script. The text is written as it is: never one that came from outside."""
    made = Element(tag)
    made.text = text
    return made


def as_html(root: Element) -> str:
    return "<!DOCTYPE html>\n" + _TEMPLATE.sub("&#123;", tostring(root, encoding="unicode", method="html")) + "\n"


def as_svg(root: Element) -> str:
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return head + _TEMPLATE.sub("&#123;", tostring(root, encoding="unicode", method="xml")) + "\n"
