# Copyright: (c) 2026, The zkvm.vfio_ccw maintainers
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page and the picture as texts: nothing from a host becomes markup, and the size stays small."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils import _report_boxes as drawn
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._report import (
    ReportError,
    report_counts,
    report_html,
    report_svg,
)
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._report_drawing import STYLE as DRAWING_STYLE
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._report_findings import examine
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._report_layout import MOST, MOST_GUESTS, layout
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._report_markup import as_html, clean, element
from ansible_collections.zkvm.vfio_ccw.plugins.plugin_utils._report_page import SCRIPT, STYLE
from ansible_collections.zkvm.vfio_ccw.tests.unit.report_hosts import css, guest, lpar1, many, passed, refused, row

AT = "2026-11-25 19:30 UTC"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "</title></style></script><h1>",
    "<!-- --><![CDATA[ ]]>&amp;&lt;",
    "{{ lookup('pipe', 'id') }}{% raw %}{# x",
    "\x00\x1b[2J\u202eevil\ud800",
)


class Tags(HTMLParser):
    """The elements of a page with their attributes, and what its scripts are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.cdata_elem == "script":
            self.scripts.append(data)


def everywhere(text):
    """A host all of whose texts are ``text``."""
    one = refused(1, text, text, chpids=[text, text], driver=text, driver_override=text)
    one["ccw"] = {**one["ccw"], **dict.fromkeys(("driver", "control_unit", "type"), text)}
    one["ccw"]["block_devices"] = [{"name": text, "size": 5000}]
    gone = {**passed(2, text, in_use=False), "mdevs": [{"uuid": text, "in_use": False}], "device": text}
    gone["at_boot"] = {"driver": text, "mdevs": [text]}
    many_alike = [row(number, driver=text) for number in range(8, 24)]
    paths = [{"chpid": text, "status": text, "configured": text, "type": text}]
    noted = [{"device": text, "noted": text, "subchannel": text, "guest": text, "state": text}]
    left = [{"subchannel": text, "driver": text, "mdevs": [text]}]
    answer = css(
        [one, gone, *many_alike],
        [{"name": text, "hypervisor": text, "running": False, "uuids": [text]}],
        channel_paths=paths,
        not_as_noted=noted,
        definitions_without_device=left,
        ignored=[text],
    )
    other = [{**row(3), "type": text}]
    return {text: answer, "failed": {"msg": text}, "other": css(other), "nonsense": {"subchannels": text}}


def plan(text):
    refusal = {"id": text, "device": text, "found": text, "next_step": text}
    return {
        "other": {"actions": [{"device": text, "step": text, "description": text}]},
        text: {"actions": [], "refusals": [refusal], "msg": text},
        "failed": {"msg": text},
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_host_says_stays_text_in_the_page(text):
    innocent = Tags(report_html(everywhere("x"), plan("x"), "x", "x"))
    page = report_html(everywhere(text), plan(text), text, text)
    found = Tags(page)
    # the hosts are in the order of their names
    assert Counter((tag, *sorted(one)) for tag, one in found.tags) == Counter(
        (tag, *sorted(one)) for tag, one in innocent.tags
    )
    assert found.scripts == [SCRIPT]
    assert not re.search(r"\{[{%#]", page)
    page.encode("utf-8")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_host_says_stays_text_in_the_picture(text):
    tree = ElementTree.fromstring(report_svg(everywhere(text), text))
    innocent = ElementTree.fromstring(report_svg(everywhere("x"), "x"))
    assert Counter((one.tag, *sorted(one.attrib)) for one in tree.iter()) == Counter(
        (one.tag, *sorted(one.attrib)) for one in innocent.iter()
    )


def test_addresses_lead_into_the_page_or_to_the_docs():
    page = Tags(report_html(everywhere("javascript:alert(1)")))
    targets = {one["href"] for _tag, one in page.tags if "href" in one}
    assert all(one.startswith(("#", "https://github.com/zkvm/vfio_ccw/blob/main/docs/")) for one in targets)


def test_the_policy_allows_the_page_its_own_style_and_script_and_no_address():
    policy = next(one["content"] for _tag, one in Tags(report_html({"lpar1": lpar1()})).tags if "http-equiv" in one)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    digests = {
        name: "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
        for name, text in (("style-src", STYLE), ("script-src", SCRIPT))
    }
    assert rules == {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'", **digests}


def test_style_and_script_can_stand_in_a_page_as_they_are():
    for text in (STYLE, SCRIPT, DRAWING_STYLE):
        assert "</" not in text and "<!--" not in text and "http" not in text and "url(" not in text
        assert not re.search(r"\{[{%#]", text)


def test_the_same_hosts_make_the_same_bytes_whatever_their_order():
    hosts = {"lpar2": many(300), "lpar1": lpar1()}
    turned = dict(reversed(list(hosts.items())))
    assert report_html(hosts, at=AT) == report_html(turned, at=AT)
    assert report_svg(hosts) == report_svg(turned)
    assert AT in report_html(hosts, at=AT) and "As of" not in report_html(hosts)


def test_what_is_counted():
    two = [refused(1, "unavailable", "boxed"), refused(2, "unavailable", "boxed"), passed(3, "linux01")]
    hosts = {"lpar1": css(two, [guest("linux01", True, 3)]), "lpar2": {"failed": True, "msg": "no"}}
    assert report_counts(hosts) == {
        "hosts": 2,
        "not_seen": ["lpar2"],
        "devices": 3,
        "passed": 1,
        "errors": 1,  # both for the same reason
        "warnings": 1,  # the CHPID that is varied off
    }
    with pytest.raises(ReportError, match="hosts is empty"):
        report_counts({})


@pytest.mark.parametrize(("count", "size", "elements"), [(1000, 200_000, 2500), (10_000, 1_000_000, 12_000)])
def test_many_devices_make_a_small_page(count, size, elements):
    page = report_html({"lpar1": many(count)}, at=AT)
    assert len(page.encode()) < size
    assert len(Tags(page).tags) < elements
    assert f"0.0.{0x4000 + count - 1:04x}" in page


def test_it_needs_hosts():
    for wrong in ({}, [], "lpar1", None):
        with pytest.raises(ReportError):
            report_html(wrong)
    with pytest.raises(ReportError):
        report_html({"lpar1": lpar1()}, docs="javascript:alert(1)")


def test_what_is_invisible_is_shown_as_replaced():
    assert clean("a\u202eb\x00c\u200bd\te\nf") == "a\ufffdb\ufffdc\ufffdd\te\nf"


def test_texts_and_elements_keep_their_order():
    made = element("p", {"class": None}, "a", element("b", {}, "<"), "c", "d", None, element("i", {}))
    assert as_html(made) == "<!DOCTYPE html>\n<p>a<b>&lt;</b>cd<i></i></p>\n"


# --- what would be done next


@pytest.mark.parametrize(
    ("planned", "text"),
    [
        (None, "No wanted state was given"),
        ({"skipped": True}, "No wanted state was given"),
        ({"actions": []}, "Nothing: all devices are as wanted."),
        ({"failed": True, "msg": "the journal cannot be read"}, "Not known: the journal cannot be read"),
        ({"unreachable": True, "msg": "gone"}, "Not known: gone"),
        (
            {"actions": [], "refusals": [{"id": "mounted", "device": "0.0.7e01", "found": "it is mounted"}]},
            "Nothing: the passthrough refuses the list as it is.",
        ),
        (
            {
                "actions": [
                    {"device": f"0.0.800{at}", "step": step, "description": f"{step} 0.0.800{at}"}
                    for at in range(3)
                    for step in ("offline", "create-mdev")
                ]
            },
            "<code>0.0.8000-0.0.8002</code> (3 devices, here the first): offline 0.0.8000; create-mdev 0.0.8000",
        ),
        (
            {"actions": [{"device": "0.0.8000-0.0.8fff", "step": "offline", "description": "offline", "count": 4096}]},
            "4096 steps",
        ),
    ],
)
def test_a_plan_is_told_as_it_is(planned, text):
    page = report_html({"lpar1": css([row(0x8000)])}, {"lpar1": planned})
    assert text in page
    assert ("What would be done next" in page) == ("No wanted state" not in text)


# --- the drawing


@pytest.mark.parametrize(
    "answer",
    [
        lpar1(),
        many(1000),
        many(10_000),
        many(2000, guests=200),
        css([row(at, chpids=[f"{at:02x}"], pim="80") for at in range(90)]),
    ],
    ids=["one", "thousand", "ten thousand", "guests", "paths"],
)
def test_no_box_lies_on_another(answer):
    made = layout(examine("lpar1", answer))
    assert made.boxes
    for column in range(5):
        mine = sorted((box for box in made.boxes if box.column == column), key=lambda box: box.y)
        assert all(one.y + one.height <= other.y for one, other in zip(mine, mine[1:]))
        assert all(box.y >= drawn.HEAD and box.y + box.height <= made.height for box in mine)
        assert len({box.key for box in mine}) == len(mine)


def test_a_drawing_stays_one_that_can_be_read():
    made = layout(examine("lpar1", many(10_000, guests=200)))
    count = [sum(box.column == column for box in made.boxes) for column in range(5)]
    assert count[drawn.DEVICES] <= MOST and count[drawn.GUESTS] <= MOST_GUESTS
    assert sum(len(box.devices) for box in made.boxes if box.column == drawn.DEVICES) == 10_000


def test_many_channel_paths_that_follow_each_other_are_one_box():
    rows = [row(at, chpids=[f"{at:02x}"], pim="80") for at in range(0x20, 0x50)]
    paths = [{"chpid": f"{at:02x}", "status": "offline" if at == 0x30 else "online"} for at in range(0x20, 0x50)]
    made = layout(examine("lpar1", css(rows, channel_paths=paths)))
    names = [box.lines for box in made.boxes if box.column == drawn.PATHS]
    assert names == [("20-2f", "online"), ("30", "varied off"), ("31-4f", "online")]
    assert [line.broken for line in made.lines if line.state == "path"] == [False, True, False]


def test_a_passed_device_is_drawn_at_the_control_unit_of_its_neighbours():
    """vfio_ccw does not show the type of the control unit."""
    answer = css(
        [passed(0x7E00, "linux01"), row(0x7E01), passed(0x7E02, "linux01"), passed(0x8000, "a", chpids=["7f"])]
    )
    units = [box.lines for box in layout(examine("lpar1", answer)).boxes if box.column == drawn.UNITS]
    assert units == [("3990/e9", "3 subchannels"), ("type not known", "1 subchannel")]


def test_lines_go_from_paths_to_guests():
    made = layout(examine("lpar1", css([passed(0x7E52, "linux01", pam="80")], [guest("linux01", True, 0x7E52)])))
    lines = {(line.start.lines[0], line.end.lines[0]): line.broken for line in made.lines}
    mdev = next(box.lines[0] for box in made.boxes if box.column == drawn.MDEVS)
    assert lines == {
        ("40", "type not known"): False,
        ("41", "type not known"): True,
        ("type not known", "0.0.7e52"): False,
        ("0.0.7e52", mdev): False,
        (mdev, "linux01"): False,
    }
