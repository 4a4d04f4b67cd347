// The list: as many rows as are in sight, asked for page by page.

const ROW_PX = 28;
const PAGE = 200; // rows that Python sends at once
const MOST_PX = 12_000_000; // browsers draw no elements that are much higher
const COLUMNS = [
  { name: "started_at", title: "Started", width: 132, show: (v) => when(v) },
  { name: "name", title: "Session", width: 170, grows: true, show: (v) => v },
  { name: "cost_usd", title: "Cost", width: 80, isNumber: true, show: (v) => dollars(v) },
  { name: "tokens", title: "Tokens", width: 68, isNumber: true, show: (v) => short(v) },
  { name: "turn_count", title: "Turns", width: 58, isNumber: true, show: (v) => whole(v) },
  { name: "error_count", title: "Errors", width: 60, isNumber: true, show: (v) => (v ? whole(v) : "") },
  { name: "source", title: "Tool", width: 96, show: (v) => v },
  { name: "agent_name", title: "Agent", width: 96, show: (v) => v },
  { name: "models", title: "Models", width: 150, show: (v) => v },
  { name: "duration_s", title: "Duration", width: 88, isNumber: true, show: (v) => duration(v) },
  { name: "tool_call_count", title: "Calls", width: 58, isNumber: true, show: (v) => whole(v) },
  { name: "directory", title: "Directory", width: 220, show: (v) => v },
];

function makeList({ model, send, save, listen, id, say, opening }) {
  const unselect = make("button", { type: "button", text: "Unselect", onclick: () => send("pick") });
  const totals = make("div", { class: "slb-totals" }, unselect);
  unselect.hidden = true;
  const head = make("div", { class: "slb-row slb-head", role: "row", "aria-rowindex": 1 });
  const space = make("div", { class: "slb-space", role: "rowgroup" });
  const grid = make(
    "div",
    {
      class: "slb-grid",
      role: "grid",
      tabindex: 0,
      "aria-label": "Sessions",
      "aria-multiselectable": "true",
      "aria-describedby": `${id}-keys`,
    },
    make("div", { role: "rowgroup", class: "slb-headgroup" }, head),
    space,
  );
  const empty = make("div", { class: "slb-empty", text: "Waiting for the kernel …" });
  const keys = make("div", {
    class: "slb-keys",
    id: `${id}-keys`,
    text: "Enter opens, Space ticks, Shift-click ticks to there, Esc unticks all, / searches",
  });
  const element = make("section", { class: "slb-list", "aria-label": "List of sessions" }, grid, empty, keys);

  let total = 0,
    serial = -1,
    active = 0,
    anchor = null,
    opened = null,
    frame = 0,
    isNew = true;
  let at = {}; // the places of the values in a row
  let pages = new Map(),
    asked = new Set();
  const live = new Map();
  const scale = () => Math.max(1, (total * ROW_PX) / MOST_PX);

  // Head
  const buttons = new Map();
  head.append(
    make(
      "div",
      { class: "slb-cell slb-tick", role: "columnheader" },
      make("span", { class: "slb-hidden", text: "selected" }),
    ),
  );
  for (const column of COLUMNS) {
    const button = make("button", { type: "button", text: column.title });
    const cell = make(
      "div",
      { class: `slb-cell${column.isNumber ? " slb-number" : ""}`, role: "columnheader" },
      button,
    );
    size(cell, column);
    listen(button, "click", () => {
      const now = model.get("sort");
      const isFirstDown = column.isNumber || column.name === "started_at";
      const same = now.replace(/^-/, "") === column.name;
      model.set(
        "sort",
        same ? (now.startsWith("-") ? column.name : `-${column.name}`) : `${isFirstDown ? "-" : ""}${column.name}`,
      );
      save();
    });
    buttons.set(column.name, cell);
    head.append(cell);
  }
  function size(cell, column) {
    cell.style.flex = `${column.grows ? 1 : 0} 0 ${column.width}px`;
  }
  function showSort() {
    const now = model.get("sort");
    for (const [name, cell] of buttons) {
      const is = now.replace(/^-/, "") === name;
      if (is) cell.setAttribute("aria-sort", now.startsWith("-") ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
  }
  showSort();

  // Rows
  const rowAt = (i) => pages.get(Math.floor(i / PAGE))?.[i % PAGE];
  function makeRow(i) {
    const row = make("div", { class: "slb-row", role: "row", id: `${id}-row-${i}`, "aria-rowindex": i + 2 });
    row.dataset.row = i;
    row.append(make("div", { class: "slb-cell slb-tick", role: "gridcell" }));
    for (const column of COLUMNS) {
      const cell = make("div", { class: `slb-cell${column.isNumber ? " slb-number" : ""}`, role: "gridcell" });
      size(cell, column);
      row.append(cell);
    }
    return row;
  }
  function fill(row, i) {
    const values = rowAt(i);
    if (row.values === values && row.total === total) return;
    row.values = values;
    row.total = total;
    const cells = row.children;
    if (!values) {
      for (const cell of cells) cell.textContent = "";
      cells[2].textContent = "…";
      return;
    }
    cells[0].textContent = values[at.is_picked] ? "☑" : "☐";
    COLUMNS.forEach((column, n) => {
      const text = column.show(values[at[column.name]]) || "";
      cells[n + 1].textContent = text;
      cells[n + 1].title = typeof values[at[column.name]] === "string" ? values[at[column.name]] : text;
      if (column.name === "name" && !values[at.name]) {
        cells[n + 1].textContent = values[at.first_prompt] || "(no name)";
        cells[n + 1].title = values[at.first_prompt] || "";
      }
      if (column.name === "name") cells[n + 1].classList.toggle("slb-unnamed", !values[at.name]);
      if (column.name === "cost_usd" && values[at.cost_status] === "unpriced") {
        cells[n + 1].textContent = text ? `≥ ${text}` : "?";
        cells[n + 1].title = "A model of this session has no known price";
      }
      if (column.name === "error_count") cells[n + 1].classList.toggle("slb-bad", Boolean(values[at[column.name]]));
    });
    row.setAttribute("aria-selected", String(Boolean(values[at.is_picked])));
  }
  function paint() {
    frame = 0;
    const by = scale(),
      top = grid.scrollTop,
      first = (top * by) / ROW_PX,
      seen = Math.ceil(grid.clientHeight / ROW_PX);
    const start = Math.max(0, Math.floor(first) - 6),
      end = Math.min(total, Math.floor(first) + seen + 8);
    for (const [i, row] of live)
      if (i < start || i >= end) {
        row.remove();
        live.delete(i);
      }
    for (let i = start; i < end; i++) {
      let row = live.get(i);
      if (!row) {
        row = makeRow(i);
        live.set(i, row);
        space.append(row);
      }
      row.style.top = `${by === 1 ? i * ROW_PX : top + (i - first) * ROW_PX}px`;
      fill(row, i);
      const values = rowAt(i);
      row.classList.toggle("slb-active", i === active);
      const isOpen = Boolean(
        opened && values && values[at.source] === opened[0] && values[at.session_id] === opened[1],
      );
      row.classList.toggle("slb-open", isOpen);
      if (isOpen) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
    if (live.has(active)) grid.setAttribute("aria-activedescendant", live.get(active).id);
    else grid.removeAttribute("aria-activedescendant");
    for (let page = Math.floor(start / PAGE); page * PAGE < end; page++) {
      if (!asked.has(page)) {
        asked.add(page);
        send("page", { start: page * PAGE });
      }
    }
  }
  const soon = () => {
    frame ||= requestAnimationFrame(paint);
  };

  function show(message) {
    total = message.total;
    at = Object.fromEntries(message.columns.map((name, place) => [name, place]));
    if (isNew) {
      pages = new Map();
      active = 0;
      anchor = null;
      grid.scrollTop = 0;
      for (const row of live.values()) row.remove();
      live.clear();
    }
    // Rows may have come above: the active one stays active, and where it is on the page.
    const key = rowAt(active)?.slice(0, 2).join(" ");
    const moved = isNew ? -1 : message.rows.findIndex((row) => row.slice(0, 2).join(" ") === key);
    if (moved >= 0 && moved !== active) {
      if (grid.scrollTop > 0) grid.scrollTop += (moved - active) * ROW_PX;
      active = moved;
    }
    if (message.serial !== serial) anchor = null;
    isNew = false;
    serial = message.serial;
    grid.dataset.serial = serial;
    pages.set(0, message.rows);
    asked = new Set([0]);
    active = Math.max(0, Math.min(active, total - 1));
    space.style.height = `${(total * ROW_PX) / scale()}px`;
    grid.setAttribute("aria-rowcount", total + 1);
    empty.hidden = total > 0;
    empty.textContent = message.of
      ? message.is_thorough
        ? "No session fits the filters."
        : "Looking in the messages …"
      : "There are no sessions in these histories yet.";
    if (message.active != null && !live.has(message.active) && message.picked && message.picked !== show.picked)
      goTo(message.active);
    show.picked = message.picked;
    showTotals(message);
    paint();
  }
  function showTotals({ totals: sums, of, picked, is_thorough }) {
    const cost =
      sums.cost_usd == null
        ? sums.unpriced
          ? "cost unknown"
          : ""
        : `${sums.unpriced ? "at least " : ""}${dollars(sums.cost_usd)}`;
    const parts = [
      picked
        ? `${plural(sums.sessions, "session")} selected`
        : sums.sessions === of
          ? plural(of, "session")
          : `${whole(sums.sessions)} of ${plural(of, "session")}`,
      picked ? `${whole(total)} listed` : "",
      plural(sums.turns, "turn"),
      sums.tokens == null ? "" : `${short(sums.tokens)} tokens`,
      cost,
      sums.errors ? plural(sums.errors, "error") : "",
    ].filter(Boolean);
    for (const old of totals.querySelectorAll("strong, span")) old.remove();
    totals.prepend(...parts.map((text, i) => make(i ? "span" : "strong", { text })));
    if (!picked && totals.contains(totals.getRootNode().activeElement)) grid.focus();
    unselect.hidden = !picked;
    const spoken = parts.join(", ") + (is_thorough ? "" : ", still looking in messages");
    if (showTotals.last !== spoken) say((showTotals.last = spoken));
  }
  function goTo(i) {
    active = Math.max(0, Math.min(total - 1, i));
    const by = scale(),
      top = (active * ROW_PX) / by,
      room = grid.clientHeight - 2 * ROW_PX;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top > grid.scrollTop + room) grid.scrollTop = top - room;
    soon();
  }
  function openRow(i) {
    const values = rowAt(i);
    if (!values) return;
    opening();
    goTo(i);
    send("open", { source: values[at.source], session_id: values[at.session_id], by: id });
  }
  // Another list may be on its way: a session is told by its name, and a range with the list that it is of.
  function turnTick(values) {
    send("pick", { source: values[at.source], session_id: values[at.session_id], on: !values[at.is_picked] });
  }
  function tickRange(start, end) {
    send("pick", { serial, start, end, on: true });
  }

  listen(grid, "scroll", soon, { passive: true });
  listen(space, "click", (event) => {
    const row = event.target.closest(".slb-row");
    if (!row) return;
    const i = Number(row.dataset.row),
      values = rowAt(i);
    if (!values) return;
    goTo(i);
    if (event.shiftKey && anchor != null) tickRange(Math.min(anchor, i), Math.max(anchor, i) + 1);
    else if (event.ctrlKey || event.metaKey || event.target.closest(".slb-tick")) {
      anchor = i;
      turnTick(values);
    } else {
      anchor = i;
      openRow(i);
    }
  });
  listen(grid, "keydown", (event) => {
    if (event.target.closest("button")) return;
    const page = Math.max(1, Math.floor(grid.clientHeight / ROW_PX) - 2);
    const to = {
      ArrowDown: active + 1,
      ArrowUp: active - 1,
      PageDown: active + page,
      PageUp: active - page,
      Home: 0,
      End: total - 1,
    }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      goTo(to);
    } else if (event.key === "Enter") {
      event.preventDefault();
      openRow(active);
    } else if (event.key === " ") {
      event.preventDefault();
      anchor = active;
      if (rowAt(active)) turnTick(rowAt(active));
    } else if (event.key === "Escape") {
      event.preventDefault();
      send("pick");
    }
  });
  const sized = new ResizeObserver(soon);
  sized.observe(grid);

  return {
    element,
    totals,
    show,
    showSort,
    add(message) {
      if (message.serial === serial) {
        pages.set(message.start / PAGE, message.rows);
        soon();
      }
    },
    open(key, row) {
      opened = key;
      if (row != null) goTo(row);
      soon();
    },
    startAgain() {
      isNew = true;
    },
    end() {
      cancelAnimationFrame(frame);
      sized.disconnect();
    },
  };
}
