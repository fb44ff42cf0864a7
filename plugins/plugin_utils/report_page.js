// SPDX-License-Identifier: GPL-3.0-or-later
// The page works without this. It finds, filters and groups the rows that are there, and makes none of text from a host.
"use strict";
(() => {
  const id = (name) => document.getElementById(name);
  const tables = [...document.querySelectorAll("table.devices")];
  const rows = tables.flatMap((table) => [...table.tBodies[0].rows]);
  const words = id("words"), guest = id("guest"), order = id("order"), shown = id("shown");
  const chips = [...document.querySelectorAll(".chip")];
  const total = rows.reduce((sum, row) => sum + Number(row.dataset.count), 0);
  const about = new Map(rows.map((row) => {
    const list = row.querySelector("pre");
    const lines = list ? list.textContent.split("\n") : [];
    const rest = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
    const place = row.closest("section").querySelector("h2").textContent.toLowerCase();
    return [row, { text: rest + " " + place, list, lines, low: lines.map((line) => line.toLowerCase()) }];
  }));

  // how many devices of a row have all the words: those in whose line they are, or all of them
  const hits = (one, row, asked) => {
    if (!asked.every((word) => one.text.includes(word))) return [];
    if (!one.list) return [0];
    const own = asked.filter((word) => one.low.some((line) => line.includes(word)));
    const found = one.low.flatMap((line, at) => (own.every((word) => line.includes(word)) ? [at] : []));
    return own.length ? found : one.low.map((line, at) => at);
  };

  const pressed = (kind) => chips.filter((chip) => chip.dataset[kind] && chip.getAttribute("aria-pressed") === "true")
    .map((chip) => chip.dataset[kind]);

  const show = () => {
    const asked = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const states = pressed("state"), levels = pressed("level"), whose = guest ? guest.value : "";
    let count = 0, groups = 0;
    for (const [row, one] of about) {
      const data = row.dataset;
      const fits = (!states.length || states.includes(data.state))
        && (!levels.length || levels.some((level) => data.level.split(" ").includes(level)))
        && (!whose || data.guest === whose);
      const found = fits ? hits(one, row, asked) : [];
      row.hidden = !found.length;
      if (found.length) {
        groups += 1;
        count += one.list ? found.length : 1;
      }
      if (one.list) {
        const some = found.length && found.length < one.lines.length;
        one.list.textContent = some ? found.map((at) => one.lines[at]).join("\n") : one.lines.join("\n");
        one.list.parentNode.open = Boolean(some) || (one.list.parentNode.open && !asked.length && !row.dataset.opened);
        row.dataset.opened = some ? "1" : "";
        row.querySelector("summary").textContent = some
          ? `${found.length} of ${one.lines.length} devices` : `${one.lines.length} devices`;
      }
    }
    for (const table of tables) {
      for (const body of table.tBodies) {
        const head = body.querySelector("tr.group");
        if (head) head.hidden = ![...body.rows].some((row) => row !== head && !row.hidden);
      }
      const section = table.closest("section");
      section.classList.toggle("none", ![...table.querySelectorAll("tr[data-state]")].some((row) => !row.hidden));
    }
    const all = count === total;
    shown.textContent = all ? `${total} devices` : `${count} of ${total} devices, in ${groups} ${groups === 1 ? "row" : "rows"}`;
    id("reset").hidden = all && !asked.length && !states.length && !levels.length && !whose;
    document.body.classList.toggle("filtered", !all);
  };

  const regroup = () => {
    const key = order.value;
    for (const table of tables) {
      const mine = rows.filter((row) => row.closest("table") === table);
      [...table.tBodies].forEach((body) => body.remove());
      const parts = new Map();
      for (const row of mine) {
        const name = key ? (key === "state" ? row.cells[0].textContent : row.dataset[key]) : "";
        if (!parts.has(name)) parts.set(name, []);
        parts.get(name).push(row);
      }
      for (const name of [...parts.keys()].sort()) {
        const body = table.appendChild(document.createElement("tbody"));
        if (key) {
          const head = body.insertRow(), cell = document.createElement("th");
          const count = parts.get(name).reduce((sum, row) => sum + Number(row.dataset.count), 0);
          head.className = "group";
          cell.colSpan = 6;
          cell.scope = "rowgroup";
          cell.textContent = `${name || "no guest"} (${count})`;
          head.append(cell);
        }
        body.append(...parts.get(name));
      }
    }
    show();
  };

  let due = 0;
  words.addEventListener("input", () => { cancelAnimationFrame(due); due = requestAnimationFrame(show); });
  if (guest) guest.addEventListener("change", show);
  order.addEventListener("change", regroup);
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      show();
    });
  }
  id("reset").addEventListener("click", () => {
    words.value = "";
    if (guest) guest.value = "";
    chips.forEach((chip) => chip.setAttribute("aria-pressed", "false"));
    show();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      words.focus();
    }
  });
  // a link of the drawing leads to a row: it has to be seen
  window.addEventListener("hashchange", () => {
    const row = document.getElementById(location.hash.slice(1));
    if (row && row.hidden) id("reset").click();
    if (row) row.scrollIntoView({ block: "center" });
  });
  document.body.classList.add("scripted");
  id("controls").hidden = false;
  show();
})();
