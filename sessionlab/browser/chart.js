// The chart: one bar for each hour, day, week or month; a brush over it sets the time.

const DRAGGING_MS = 160;

function makeChart({ listen, filters }) {
  const HEIGHT = 64,
    TOP = 12,
    BOTTOM = 14;
  const what = make(
    "select",
    { "aria-label": "The chart shows" },
    ...[
      ["tokens", "tokens"],
      ["cost_usd", "cost"],
      ["sessions", "sessions"],
    ].map(([value, text]) => make("option", { value, text })),
  );
  // The surface stays as it is while what lies under it is drawn anew, so that clicks and drags end where they began.
  const drawing = draw("g");
  const told = draw("text", { class: "slb-told", y: 9, "text-anchor": "end" });
  const surface = draw("rect", { class: "slb-surface", x: 0, y: 0, width: "100%", height: HEIGHT });
  const svg = draw("svg", { height: HEIGHT, role: "img" }, drawing, told, surface);
  const element = make("div", { class: "slb-chart" }, what, svg);
  let data = { edges: [], tokens: [], cost_usd: [], sessions: [] },
    times = [null, null],
    width = 300,
    drag = null,
    timer = 0;
  const names = { tokens: short, cost_usd: dollars, sessions: whole };
  const count = () => Math.max(0, data.edges.length - 1);
  const x = (i) => (i * width) / Math.max(1, count());
  const place = (ms) => {
    // where a time is, in bars
    const next = data.edges.findIndex((edge) => edge > ms);
    if (next === 0) return 0;
    if (next < 0) return count();
    return next - 1 + (ms - data.edges[next - 1]) / (data.edges[next] - data.edges[next - 1]);
  };
  function paint() {
    const shown = what.value,
      values = data[shown],
      most = Math.max(...values, 0),
      n = count();
    const bars = values.map((value, i) => {
      const h = most ? (value / most) * (HEIGHT - TOP - BOTTOM) : 0;
      const gap = width / Math.max(1, n) > 4 ? 1 : 0;
      return draw("rect", {
        class: "slb-bar",
        x: x(i),
        y: HEIGHT - BOTTOM - Math.max(h, value ? 1 : 0),
        width: Math.max(1, x(1) - gap),
        height: Math.max(h, value ? 1 : 0),
      });
    });
    const parts = [
      ...bars,
      draw("line", { class: "slb-axis", x1: 0, x2: width, y1: HEIGHT - BOTTOM + 0.5, y2: HEIGHT - BOTTOM + 0.5 }),
    ];
    const text = (content, props) => {
      const t = draw("text", props);
      t.textContent = content;
      parts.push(t);
    };
    if (n) {
      text(`${names[shown](most)}${shown === "cost_usd" ? "" : ` ${shown}`} at most`, { x: 2, y: 9 });
      text(day(new Date(data.edges[0])), { x: 0, y: HEIGHT - 2 });
      text(day(new Date(data.edges[n] - 1)), { x: width, y: HEIGHT - 2, "text-anchor": "end" });
    } else text("No times are known", { x: 2, y: HEIGHT / 2 });
    const [since, until] = drag ? drag.times : times;
    if (since != null || until != null) {
      const a = x(since == null ? 0 : place(since)),
        b = x(until == null ? n : place(until));
      parts.push(
        draw("rect", { class: "slb-brush", x: a, y: 0.5, width: Math.max(2, b - a), height: HEIGHT - BOTTOM - 0.5 }),
      );
    }
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    svg.setAttribute(
      "aria-label",
      n
        ? `Bar chart of ${what.selectedOptions[0].text} by the start of sessions, ${day(new Date(data.edges[0]))} to ${day(new Date(data.edges[n] - 1))}; the date fields filter as its brush does.`
        : "Chart without times",
    );
    drawing.replaceChildren(...parts);
    told.setAttribute("x", width - 2);
  }
  function span(i) {
    const a = new Date(data.edges[i]),
      b = new Date(data.edges[i + 1] - 1);
    if (data.edges[i + 1] - data.edges[i] <= 2 * 3_600_000) return when(data.edges[i]);
    return day(a) === day(b) ? day(a) : `${day(a)} to ${day(b)}`;
  }
  const barAt = (event) =>
    Math.max(
      0,
      Math.min(
        count() - 1,
        Math.floor(((event.clientX - svg.getBoundingClientRect().left) / svg.getBoundingClientRect().width) * count()),
      ),
    );
  function drawn(event) {
    const at = barAt(event),
      [a, b] = [Math.min(drag.from, at), Math.max(drag.from, at)];
    drag.times = [data.edges[a], data.edges[b + 1]];
    clearTimeout(timer);
  }
  listen(svg, "pointerdown", (event) => {
    if (event.button || !count()) return;
    svg.setPointerCapture(event.pointerId);
    drag = { from: barAt(event), times: [null, null] };
    drawn(event);
    paint();
  });
  listen(svg, "pointermove", (event) => {
    if (!count()) return;
    const at = barAt(event);
    told.textContent = `${span(at)}: ${short(data.tokens[at])} tokens, ${dollars(data.cost_usd[at])}, ${plural(data.sessions[at], "session")}`;
    if (!drag) return;
    drawn(event);
    paint();
    const chosen = drag.times;
    timer = setTimeout(() => filters.setTimes(...chosen), DRAGGING_MS);
  });
  const drop = (event) => {
    if (!drag) return;
    if (event.type === "pointerup") drawn(event);
    const chosen = drag.times;
    drag = null;
    times = chosen;
    filters.setTimes(...chosen);
    paint();
  };
  listen(svg, "pointerup", drop);
  listen(svg, "pointercancel", drop);
  listen(svg, "pointerleave", () => (told.textContent = ""));
  listen(svg, "dblclick", () => filters.setTimes(null, null));
  listen(what, "change", paint);
  const sized = new ResizeObserver(() => {
    const now = svg.clientWidth;
    if (now && now !== width) {
      width = now;
      paint();
    }
  });
  sized.observe(svg);
  paint();
  return {
    element,
    show(message) {
      data = message.chart;
      times = [message.since, message.until];
      paint();
    },
    end() {
      sized.disconnect();
      clearTimeout(timer);
    },
  };
}
