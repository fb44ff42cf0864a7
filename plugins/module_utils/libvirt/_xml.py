# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's XML as trees: parsed without trust, written by a library, compared without regard to layout.

Trees are xml.etree.ElementTree's. What libvirt prints holds no document type; a text that has one is refused, so that
no entity is ever expanded (libvirt's own schemas know none).
"""

from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ET
from typing import NoReturn
from xml.parsers import expat

MAX_BYTES = 10 * 1024 * 1024
"""As much as virsh itself reads (tools/vsh.h: VSH_MAX_XML_FILE)."""
QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0"
_UNFIT = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 has no character for, and the blanks that a parser changes in an attribute."""

ET.register_namespace("qemu", QEMU_NAMESPACE)


class BadXml(Exception):
    """A text that is no XML of libvirt's, or a value that XML cannot carry."""


def parse(text: str, root: str) -> ET.Element:
    """The tree, without the blanks of the layout. ``root``: what its first element must be. Raises BadXml."""
    data = text.encode("utf-8", "surrogateescape")
    if len(data) > MAX_BYTES:
        raise BadXml(f"{len(data)} bytes of XML, the most that is read are {MAX_BYTES}")
    try:
        _refuse_document_type(data)
        tree = ET.fromstring(data)
    except (expat.ExpatError, ET.ParseError, ValueError, LookupError) as exc:
        raise BadXml(f"no XML: {exc}") from exc
    if tree.tag != root:
        raise BadXml(f"the XML of a <{tree.tag}>, expected a <{root}>")
    for element in tree.iter():
        element.tail = None
        if element.text is not None and not element.text.strip():
            element.text = None
    return tree


def _refuse_document_type(data: bytes) -> None:
    def refuse(name: str, *_rest: object) -> NoReturn:
        raise BadXml(f"XML with a document type ({name}), which libvirt never writes")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(data, True)


def dump(tree: ET.Element) -> str:
    """Text in libvirt's layout, two blanks to a level. The tree itself stays as it is."""
    copied = ET.fromstring(ET.tostring(tree))
    _indent(copied, "\n")
    return ET.tostring(copied, encoding="unicode") + "\n"


def _indent(element: ET.Element, outer: str) -> None:
    """ElementTree's own is there from Python 3.9 on."""
    inner = outer + "  "
    children = list(element)
    if not children:
        return
    element.text = inner
    for child in children:
        _indent(child, inner)
        child.tail = inner
    children[-1].tail = outer


def same(one: ET.Element | None, other: ET.Element | None) -> bool:
    """Whether two trees say the same, whatever their layout."""
    if one is None or other is None:
        return one is other
    return dump(one) == dump(other)


def fit(value: str) -> bool:
    """Whether a text comes out of XML as it was put in."""
    return not _UNFIT.search(value)


def child(parent: ET.Element, path: str) -> ET.Element:
    """The first element at the path (names with / between), made where it is not there."""
    for name in path.split("/"):
        found = parent.find(name)
        parent = ET.SubElement(parent, name) if found is None else found
    return parent


def set_text(parent: ET.Element, path: str, text: str, **attributes: str) -> None:
    """Give the element at the path this text, and these attributes besides those that it has."""
    element = child(parent, path)
    element.text = text
    element.attrib.update(attributes)


def without_secrets(tree: ET.Element) -> ET.Element:
    """For people's eyes and logs: what --security-info adds, a display's password, left out."""
    shown = copy.deepcopy(tree)
    for element in shown.iter():
        element.attrib.pop("passwd", None)
    return shown
