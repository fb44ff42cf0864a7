# SPDX-License-Identifier: GPL-3.0-or-later
"""The report in a real browser: found, filtered, grouped, readable, without a request and without a complaint."""

from __future__ import annotations

import pytest
from ansible_collections.zkvm.vfio_ccw.plugins.module_utils._busid import BusId, default_uuid
from ansible_collections.zkvm.vfio_ccw.tests.unit.report_hosts import css, guest, lpar1, many, passed, row

FLEET = {"lpar1": lpar1(), "lpar2": many(300), "lpar3": {"unreachable": True, "msg": "Connection timed out"}}
THOUSAND = {"lpar1": many(1000)}

# what is set is told to the page as if a user had, and then what a user sees is waited for
SETTLED = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
VISIBLE = """
    [...document.querySelectorAll("tr[data-state]")].filter((row) => row.getClientRects().length)
      .map((row) => [row.cells[0].innerText.trim(), row.querySelector("code").innerText])
"""
SHOWN = 'document.getElementById("shown").textContent'


def find(browser, words):
    browser.run(
        f"""{{ const field = document.getElementById("words"); field.value = {words!r};
            field.dispatchEvent(new Event("input")); {SETTLED} }}"""
    )
    return browser.run(VISIBLE)


def press(browser, selector):
    browser.run(f"document.querySelector({selector!r}).click(); {SETTLED}")
    return browser.run(VISIBLE)


def choose(browser, name, value):
    browser.run(
        f"""{{ const list = document.getElementById({name!r}); list.value = {value!r};
            list.dispatchEvent(new Event("change")); {SETTLED} }}"""
    )
    return browser.run(VISIBLE)


def complaints(browser):
    """Errors, warnings and refusals that the browser told of, and addresses that it asked for besides the page's."""
    said = [event["entry"]["text"] for event in browser.told("Log.entryAdded")]
    said += [str(event) for event in browser.told("Runtime.consoleAPICalled")]
    said += [str(event) for event in browser.told("Runtime.exceptionThrown")]
    said += [event["message"] for event in browser.told("Page.javascriptDialogOpening")]
    asked = [event["request"]["url"] for event in browser.told("Network.requestWillBeSent")]
    return said + asked[1:]


# --- as it is opened


def test_it_asks_for_nothing_and_nothing_is_complained_about(show):
    browser = show(FLEET)
    find(browser, "linux01")
    choose(browser, "order", "guest")
    assert complaints(browser) == []
    assert len(browser.told("Network.requestWillBeSent")) == 1


def test_what_could_be_markup_is_seen_as_text(show):
    evil = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
    hosts = {evil: css([passed(1, evil), *(row(at, driver=evil) for at in range(2, 9))], [guest(evil, True)])}
    browser = show(hosts)
    assert find(browser, "<script>") != []
    choose(browser, "order", "guest")
    assert "pwned" not in browser.run("document.title").replace(evil, "")
    assert evil in browser.run("document.body.textContent")
    assert browser.run("document.querySelectorAll('img, script').length") == 1
    assert complaints(browser) == []


def test_the_policy_stops_what_the_page_does_not_bring_along(show):
    """If ever something slipped in, it would neither run nor load."""
    browser = show({"lpar1": lpar1()})
    browser.run(
        f"""document.body.insertAdjacentHTML("beforeend", "<img src='file:///x.png' onerror='window.ran = 1'>");
        {{ const made = document.createElement("script"); made.textContent = "window.ran = 1";
           document.body.append(made); }}
        {SETTLED}"""
    )
    assert browser.run("window.ran") is None
    assert any("Content Security Policy" in text for text in complaints(browser))


@pytest.mark.parametrize("hosts", [FLEET, THOUSAND], ids=["fleet", "thousand"])
@pytest.mark.parametrize("width", [400, 800, 1280])
def test_nothing_sticks_out_to_the_right(show, hosts, width):
    browser = show(hosts)
    browser.resize(width)
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_it_can_be_read_without_scripts(show):
    browser = show(FLEET, scripts=False)
    assert browser.run("document.getElementById('controls').getClientRects().length") == 0
    assert len(browser.run(VISIBLE)) > 20


def test_ten_thousand_devices_are_few_elements(show):
    browser = show({"lpar1": many(10_000)})
    assert browser.run("document.querySelectorAll('*').length") < 12_000
    assert browser.run(SHOWN) == "10000 devices"


# --- finding


def test_a_device_is_found_among_a_thousand(show):
    browser = show(THOUSAND)
    assert [state for state, _names in find(browser, "0.0.4142")] == ["free"]
    assert browser.run(SHOWN) == "1 of 1000 devices, in 1 row"
    assert browser.run("document.querySelector('tr:not([hidden]) pre').innerText") == "0.0.4142  0.0.0142"
    find(browser, default_uuid(BusId(0, 0x4010)))
    assert browser.run("document.querySelector('tr:not([hidden]) pre').innerText").startswith("0.0.4010  ")
    assert browser.run(SHOWN) == "1 of 1000 devices, in 1 row"
    assert find(browser, "no such device") == []
    press(browser, "#reset")
    assert browser.run(SHOWN) == "1000 devices"


def test_words_of_the_row_and_of_the_line_are_found_together(show):
    browser = show(THOUSAND)
    find(browser, "LINUX01 0.0.42")
    assert browser.run(SHOWN) == "2 of 1000 devices, in 1 row"
    find(browser, "mounted")
    assert browser.run(SHOWN).startswith("10 of 1000 devices")


def test_what_is_found_stands_below_the_field(show):
    browser = show(THOUSAND)
    find(browser, "0.0.4142")
    assert browser.run("document.querySelector('tr[data-state]:not([hidden])').getBoundingClientRect().top") < 800


def test_only_what_wants_attention(show):
    browser = show({"lpar1": lpar1()})
    rows = press(browser, "[data-level=warning].chip")
    assert [names for _state, names in rows] == ["0.0.7e0f", "0.0.8000-0.0.807f", "0.0.8080-0.0.808f", "0.0.80ff"]
    assert [names for _state, names in press(browser, "[data-state=guest].chip")] == ["0.0.8080-0.0.808f"]
    press(browser, "#reset")
    assert [names for _state, names in choose(browser, "guest", "linux01")] == ["0.0.7e52-0.0.7e53"]


@pytest.mark.parametrize(
    ("key", "heads"),
    [
        ("guest", ["no guest (146)", "linux01 (2)", "linux02 (1)", "linux03 (16)"]),
        ("paths", ["00 (1)", "40 41 (19)", "50 51 (145)"]),
        ("unit", ["3832/02 (1)", "3990/e9 (145)", "not known (19)"]),
    ],
)
def test_rows_are_grouped(show, key, heads):
    browser = show({"lpar1": lpar1()})
    before = sorted(browser.run(VISIBLE))
    assert sorted(choose(browser, "order", key)) == before
    assert browser.run("[...document.querySelectorAll('tr.group')].map((row) => row.innerText.trim())") == heads
    assert choose(browser, "order", "") == browser.run(VISIBLE)
    assert browser.run("document.querySelectorAll('tr.group').length") == 0


def test_a_box_of_the_drawing_leads_to_its_row(show):
    browser = show({"lpar1": lpar1()})
    browser.run(
        f"document.querySelector('.drawing a').dispatchEvent(new MouseEvent('click', {{bubbles: true}})); {SETTLED}"
    )
    assert browser.run("document.querySelector(':target').dataset.state") == "never"


# --- reading

# WCAG 2: relative luminance and contrast, of each text that is seen against what is painted behind it
CONTRASTS = """
(() => {
  const parse = (text) => [...text.match(/[\\d.]+/g).map(Number), 1].slice(0, 4);
  const light = ([red, green, blue]) => [red, green, blue].map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (node) => {
    const frame = node.closest(".box")?.querySelector(".frame");
    if (frame) return parse(getComputedStyle(frame).fill);
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] > 0) return colour;
    }
    return parse(getComputedStyle(document.body).backgroundColor);
  };
  const low = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.getClientRects().length || node.closest("script, title, desc, option")) continue;
    const style = getComputedStyle(node);
    const colour = parse(node instanceof SVGElement ? style.fill : style.color);
    const [high, dark] = [light(colour), light(behind(node))].sort((one, other) => other - one);
    const contrast = (high + 0.05) / (dark + 0.05);
    const name = node.className.baseVal ?? node.className;
    if (contrast < 4.5) low.push([node.tagName, name, contrast, node.textContent.slice(0, 40)]);
  }
  return low;
})()
"""


@pytest.mark.parametrize("medium", ["", "print"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(show, scheme, medium):
    hosts = {
        **FLEET,
        "lpar4": css([{**row(1), "pam": "00"}, passed(2, "", in_use=None), {**passed(3, "a"), "mdevs": []}]),
    }
    browser = show(hosts)
    press(browser, "[data-state=guest].chip")
    browser.look(scheme, medium)
    assert browser.run(CONTRASTS) == []
    press(browser, "#reset")
    assert browser.run(CONTRASTS) == []
    assert browser.run("getComputedStyle(document.body).backgroundColor") == (
        "rgb(14, 18, 23)" if (scheme, medium) == ("dark", "") else "rgb(255, 255, 255)"
    )


def test_no_text_of_the_drawing_sticks_out_of_its_box(show):
    browser = show({**FLEET, "lpar5": css([passed(1, "a-guest-with-a-name-as-long-as-libvirt-takes-it")])})
    out = browser.run(
        """[...document.querySelectorAll(".box")].flatMap((box) => {
          const frame = box.querySelector(".frame").getBBox();
          return [...box.querySelectorAll("text")].filter((text) => {
            const own = text.getBBox();
            return own.x + own.width > frame.x + frame.width || own.x < frame.x;
          }).map((text) => text.textContent);
        })"""
    )
    assert out == []


def test_state_is_a_shape_and_a_word(show):
    """Not a colour alone: shapes differ between states, and a word stands beside."""
    browser = show({"lpar1": lpar1()})
    shapes = browser.run(
        "[...document.querySelectorAll('.store symbol')].map((one) => one.innerHTML.replace(/class=\"sign \\w+\"/, ''))"
    )
    assert len(set(shapes)) == len(shapes)
    assert all(state for state, _names in browser.run(VISIBLE))


def test_it_prints_without_what_only_a_screen_can_do(show):
    browser = show(FLEET)
    browser.look(medium="print")
    assert browser.run("document.getElementById('controls').getClientRects().length") == 0
    assert browser.run("document.querySelector('.legend').getClientRects().length") == 1
