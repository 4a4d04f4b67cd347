// The transcript: chunks of messages, of which those near the window are in the page.

const ITEM_PX = 110; // how high a message is taken to be before it was drawn

function makeTranscript({ send, listen, say, sought }) {
  const title = make("h2", { class: "slb-title", tabindex: -1 });
  const facts = make("div", { class: "slb-facts" });
  const family = make("div", { class: "slb-family" });
  const tools = make("div", { class: "slb-tools", role: "toolbar", "aria-label": "Move in the transcript" });
  const feed = make("div", {
    class: "slb-feed",
    role: "feed",
    tabindex: 0,
    "aria-label": "Transcript",
    "aria-busy": "false",
  });
  const blank = make("div", { class: "slb-empty", text: "Choose a session to read it: click it, or Enter on it." });
  const element = make(
    "section",
    { class: "slb-transcript", "aria-label": "Transcript of the chosen session" },
    make("div", { class: "slb-top" }, title, facts, family, tools),
    feed,
    blank,
  );

  let key = null,
    head = null,
    total = 0,
    size = 1,
    errors = [],
    hits = [],
    sections = [],
    current = -1;
  let chunks = new Map(),
    asked = new Set(),
    unfolded = new Set(),
    wholes = new Map(),
    waiting = null;
  const copying = new Map();
  const sight = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const n = sections.indexOf(entry.target);
        if (n < 0) continue;
        if (entry.isIntersecting) want(n);
        else release(n);
      }
    },
    { root: feed, rootMargin: "900px 0px" },
  );

  // Moving
  const button = (text, label, move) => {
    const b = make("button", { type: "button", text, "aria-label": label, title: label });
    listen(b, "click", move);
    tools.append(b);
    return b;
  };
  const first = button("⤒", "First message (Home)", () => go(0));
  const last = button("⤓", "Last message (End)", () => go(total - 1));
  const badBefore = button("‹ error", "Previous error (Shift+E)", () => jump(errors, -1, "error"));
  const badNext = button("error ›", "Next error (E)", () => jump(errors, 1, "error"));
  const hitBefore = button("‹ hit", "Previous search hit (Shift+N)", () => jump(hits, -1, "hit"));
  const hitNext = button("hit ›", "Next search hit (N)", () => jump(hits, 1, "hit"));
  const counts = make("span", { class: "slb-counts" });
  tools.append(counts);

  function jump(places, step, what) {
    if (!places.length) {
      say(`There is no ${what} in this session.`);
      return;
    }
    const from = current < 0 ? topmost() - (step > 0 ? 1 : 0) : current;
    const next =
      step > 0
        ? (places.find((place) => place > from) ?? places[0])
        : (places.findLast((place) => place < from) ?? places.at(-1));
    say(`${what} ${places.indexOf(next) + 1} of ${places.length}`);
    go(next, what === "hit");
  }
  function topmost() {
    const line = feed.getBoundingClientRect().top + 4;
    for (const article of feed.querySelectorAll("article"))
      if (article.getBoundingClientRect().bottom > line) return Number(article.dataset.place);
    return 0;
  }
  function go(place, isHit = false) {
    if (place < 0 || place >= total) return;
    current = place;
    waiting = { place, isHit, tries: 3 };
    settle();
  }
  /** Bring the message that is waited for into sight, as soon as it is there; heights may change while others come. */
  function settle() {
    if (!waiting) return;
    const { place, isHit } = waiting,
      n = Math.floor(place / size);
    if (!chunks.has(n)) {
      want(n);
      sections[n]?.scrollIntoView({ block: "nearest" });
      return;
    }
    want(n);
    const article = feed.querySelector(`article[data-place="${place}"]`);
    if (!article) return;
    if (isHit) for (const fold of article.querySelectorAll("details")) if (fold.querySelector("mark")) fold.open = true;
    if (article.classList.contains("slb-failed") && !isHit)
      for (const fold of article.querySelectorAll("details.slb-failed")) fold.open = true;
    const mark = isHit && article.querySelector("mark");
    const target = mark && article.clientHeight > feed.clientHeight ? mark : article;
    feed.scrollTop +=
      target.getBoundingClientRect().top - feed.getBoundingClientRect().top - (target === mark ? 60 : 4);
    focusOn(article);
    if ((waiting.tries -= 1) > 0) requestAnimationFrame(settle);
    else waiting = null;
  }
  function focusOn(article) {
    for (const other of feed.querySelectorAll(".slb-current")) other.classList.remove("slb-current");
    article.classList.add("slb-current");
    if (feed.contains(feed.getRootNode().activeElement) || waiting) article.focus({ preventScroll: true });
  }
  listen(element, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
    const article = event.target.closest?.("article");
    if (article) current = Number(article.dataset.place);
    const act = {
      j: () => go(current + 1),
      k: () => go(current - 1),
      n: () => jump(hits, 1, "hit"),
      N: () => jump(hits, -1, "hit"),
      e: () => jump(errors, 1, "error"),
      E: () => jump(errors, -1, "error"),
      Home: () => go(0),
      End: () => go(total - 1),
      c: () => current >= 0 && copy(current),
    }[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });
  listen(feed, "focusin", (event) => {
    const article = event.target.closest("article");
    if (article) current = Number(article.dataset.place);
  });

  // Chunks
  function want(n) {
    if (n < 0 || n >= sections.length) return;
    if (!chunks.has(n)) {
      if (!asked.has(n)) {
        asked.add(n);
        send("chunk", { key, chunk: n });
      }
      return;
    }
    const section = sections[n];
    if (section.isDrawn) return;
    section.isDrawn = true;
    section.replaceChildren(...chunks.get(n).map(drawItem));
    section.style.height = "";
  }
  function release(n) {
    const section = sections[n];
    if (!section.isDrawn || section.contains(section.getRootNode().activeElement)) return;
    section.style.height = `${section.offsetHeight}px`;
    section.isDrawn = false;
    section.replaceChildren();
  }
  function redraw(n) {
    if (sections[n]?.isDrawn) {
      sections[n].isDrawn = false;
      want(n);
    }
  }

  /** When the message before was made, so far as it is here. */
  function timeBefore(place) {
    for (let at = place - 1; at >= 0; at--) {
      const item = chunks.get(Math.floor(at / size))?.[at % size];
      if (!item) return null;
      if (item.message?.created_at != null) return item.message.created_at;
    }
    return null;
  }

  // One message
  function drawItem(item) {
    const { message, turn } = item;
    const who = message ? message.role : "tool";
    const article = make("article", {
      class: `slb-item slb-${["user", "assistant", "tool", "system"].includes(who) ? who : "other"}`,
      tabindex: -1,
      "aria-posinset": item.place + 1,
      "aria-setsize": total,
    });
    article.dataset.place = item.place;
    if (item.is_error) article.classList.add("slb-failed");
    if (item.place === current) article.classList.add("slb-current");
    for (const change of item.changes) article.append(make("p", { class: "slb-change", text: `⚙ ${change}` }));
    if (item.follows != null)
      article.append(link(`↳ a branch: goes on from message ${item.follows + 1}`, () => go(item.follows)));
    const line = make("header", {}, make("strong", { class: "slb-role", text: who }));
    const add = (text, name = "") => {
      if (text) line.append(make("span", { class: name, text }));
    };
    if (message) {
      if (message.kind && message.kind !== "message") add(message.kind, "slb-flag");
      if (message.is_preamble) add("preamble", "slb-flag");
      if (message.is_sidechain) {
        add("sidechain", "slb-flag");
        article.classList.add("slb-aside");
      }
    }
    if (item.is_error) add("✕ error", "slb-flag slb-bad");
    if (message?.created_at != null)
      line.append(
        make("time", {
          datetime: new Date(message.created_at).toISOString(),
          title: when(message.created_at),
          text: clock(message.created_at, timeBefore(item.place)),
        }),
      );
    if (turn) {
      add(turn.model, "slb-model");
      if (turn.error_type) add(turn.error_type, "slb-bad");
      if (["length", "content_filter"].includes(turn.finish_reason)) add(`stopped: ${turn.finish_reason}`, "slb-bad");
      if (turn.input_tokens != null || turn.output_tokens != null) {
        const cached = turn.cache_read_input_tokens ? ` (${short(turn.cache_read_input_tokens)} cached)` : "";
        add(
          `${turn.input_tokens == null ? "?" : short(turn.input_tokens)}${cached} → ${turn.output_tokens == null ? "?" : short(turn.output_tokens)} tokens`,
        );
      }
      add(dollars(turn.cost_usd));
      add(duration(turn.duration_s));
    }
    line.append(
      make("button", {
        type: "button",
        class: "slb-copy",
        text: "copy",
        "aria-label": `Copy message ${item.place + 1}`,
        onclick: () => copy(item.place),
      }),
    );
    article.append(line);
    article.setAttribute("aria-label", `${item.place + 1}: ${who}${item.is_error ? ", error" : ""}`);
    if (message?.reasoning)
      article.append(
        fold(item, "reasoning", message.reasoning, [`Reasoning, ${plural(message.reasoning[1], "character")}`]),
      );
    if (message?.content?.[1]) article.append(...textOf(item, "content", message.content));
    item.calls.forEach((call, n) => article.append(drawCall(item, call, n)));
    if (item.branches.length) {
      const links = item.branches.map((place) => link(`↳ message ${place + 1}`, () => go(place)));
      article.append(make("div", { class: "slb-branches" }, make("span", { text: "also went on at" }), ...links));
    }
    return article;
  }
  function drawCall(item, call, n) {
    const preview = call.arguments ? call.arguments[0].replace(/\s+/g, " ").slice(0, 160) : "";
    const state = [call.status, call.exit_code == null ? "" : `exit code ${call.exit_code}`, duration(call.duration_s)]
      .filter(Boolean)
      .join(", ");
    const bad = call.is_error || ["denied", "cancelled", "timeout"].includes(call.status);
    const parts = [
      make("strong", { text: call.tool_name || "(no name)" }),
      make("span", { class: bad ? "slb-bad" : "slb-dim", text: bad ? `✕ ${state}` : state }),
      put(make("code", {}), preview, sought()),
    ];
    const details = folded(item, `call:${n}`, parts, (body) => {
      if (call.arguments)
        body.append(
          make("div", { class: "slb-label", text: "arguments" }),
          ...textOf(item, `arguments:${n}`, call.arguments, true),
        );
      body.append(make("div", { class: "slb-label", text: call.result ? "result" : "no result" }));
      if (call.result) body.append(...textOf(item, `result:${n}`, call.result));
    });
    details.classList.add("slb-call");
    if (call.is_error) details.classList.add("slb-failed");
    return details;
  }
  const fold = (item, part, text, summary) =>
    folded(
      item,
      part,
      summary.map((words) => make("span", { text: words })),
      (body) => body.append(...textOf(item, part, text)),
    );
  /** A fold whose body is made when it is first opened, and that stays as it was left. */
  function folded(item, part, summary, fill) {
    const name = `${item.place}:${part}`;
    const body = make("div", { class: "slb-body" });
    const details = make("details", {}, make("summary", {}, ...summary), body);
    fill(body);
    details.open = unfolded.has(name);
    details.addEventListener("toggle", () => {
      if (details.open) unfolded.add(name);
      else unfolded.delete(name);
    });
    return details;
  }
  function textOf(item, part, [text, length], isJson = false) {
    const all = wholes.get(`${item.place}:${part}`) ?? text;
    const shown = isJson && all.length === length ? pretty(all) : all;
    const pre = put(make("pre", { dir: "auto" }), shown, sought());
    if (all.length >= length) return [pre];
    const more = make("button", { type: "button", class: "slb-more", text: `Show all ${whole(length)} characters` });
    more.addEventListener("click", () => {
      more.disabled = true;
      send("whole", { key, place: item.place, part });
    });
    return [pre, more];
  }
  function link(text, act) {
    return make("button", { type: "button", class: "slb-link", text, onclick: act });
  }

  // Copying
  async function copy(place) {
    const item = chunks.get(Math.floor(place / size))?.[place % size];
    if (!item) return;
    const content = item.message?.content;
    if (!content?.[1]) {
      await toClipboard(
        item.calls
          .map((call) => [call.tool_name, call.arguments?.[0], call.result?.[0]].filter(Boolean).join("\n"))
          .join("\n\n"),
      );
      return;
    }
    const all = wholes.get(`${place}:content`) ?? content[0];
    if (all.length >= content[1]) await toClipboard(all);
    else {
      copying.set(`${place}:content`, toClipboard);
      send("whole", { key, place, part: "content" });
    }
  }
  async function toClipboard(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea", { class: "slb-hidden", "aria-hidden": "true" });
      area.value = text;
      element.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    say("Copied.");
  }

  // What Python says
  const sameKey = (other) => key && other && key[0] === other[0] && key[1] === other[1];
  function show(message) {
    const isSame = sameKey(message.key),
      wasAtEnd = feed.scrollHeight - feed.scrollTop - feed.clientHeight < 40;
    key = message.key;
    head = message.head;
    total = message.total;
    size = message.chunk_size;
    errors = message.errors;
    hits = message.hits;
    if (isSame && message.unchanged) {
      const kept = Math.floor(message.unchanged / size);
      for (const n of [...chunks.keys()])
        if (n >= kept && n !== message.chunk) {
          chunks.delete(n);
          asked.delete(n);
        }
    } else {
      chunks = new Map();
      asked = new Set();
      unfolded = new Set();
      wholes = new Map();
      current = -1;
      waiting = null;
      sight.disconnect();
      sections = [];
      feed.replaceChildren();
      feed.scrollTop = 0;
    }
    chunks.set(message.chunk, message.items);
    asked.add(message.chunk);
    const needed = Math.ceil(total / size);
    for (const section of sections.splice(needed)) {
      sight.unobserve(section);
      section.remove();
    }
    while (sections.length < needed) {
      const n = sections.length,
        section = make("div", { class: "slb-chunk" });
      section.style.height = `${Math.min(size, total - n * size) * ITEM_PX}px`;
      sections.push(section);
      feed.append(section);
    }
    if (isSame && message.unchanged)
      for (let n = Math.floor(message.unchanged / size); n < needed; n++) {
        sections[n].isDrawn &&= chunks.has(n) ? (redraw(n), true) : false;
      }
    want(message.chunk);
    for (const section of sections) sight.observe(section);
    showHead();
    if (isSame && wasAtEnd && message.unchanged)
      requestAnimationFrame(() => {
        want(needed - 1);
        feed.scrollTop = feed.scrollHeight;
      });
    if (!isSame && hits.length && sought()) go(hits[0], true);
  }
  function showHead() {
    blank.hidden = Boolean(head);
    for (const part of [title, facts, family, tools, feed]) part.hidden = !head;
    if (!head) return;
    title.textContent = head.label;
    const tokens =
      head.input_tokens == null && head.output_tokens == null
        ? ""
        : `${short((head.input_tokens || 0) + (head.output_tokens || 0))} tokens`;
    const told = [
      head.source,
      head.agent_name,
      head.directory,
      when(head.started_at),
      duration(head.duration_s),
      (head.models || []).join(", "),
      plural(head.turn_count, "turn"),
      tokens,
      head.cost_status === "unpriced"
        ? head.cost_usd == null
          ? "cost unknown"
          : `at least ${dollars(head.cost_usd)}`
        : dollars(head.cost_usd),
    ];
    facts.replaceChildren(...told.filter(Boolean).map((text) => make("span", { text })));
    facts.title = `${head.session_id}\n${head.origin || ""}`;
    const open = (session) => send("open", { source: head.source, session_id: session.session_id });
    const parts = [];
    if (head.parent)
      parts.push(
        head.parent.is_there
          ? link(`↑ started by: ${head.parent.label}`, () => open(head.parent))
          : make("span", { text: `started by ${head.parent.label}, which is not here` }),
      );
    const children = head.children.map((child) =>
      link(`↓ ${child.label} (${plural(child.turn_count, "turn")})`, () => open(child)),
    );
    if (children.length > 3)
      parts.push(
        make(
          "details",
          {},
          make("summary", { text: `↓ ${plural(children.length, "session")} started from here` }),
          make("div", { class: "slb-children" }, ...children),
        ),
      );
    else parts.push(...children);
    family.replaceChildren(...parts);
    family.hidden = !parts.length;
    counts.textContent = [
      plural(total, "message"),
      errors.length ? plural(errors.length, "error") : "",
      sought() ? plural(hits.length, "hit") : "",
    ]
      .filter(Boolean)
      .join(" · ");
    for (const b of [badBefore, badNext]) b.hidden = !errors.length;
    for (const b of [hitBefore, hitNext]) b.hidden = !hits.length;
    for (const b of [first, last]) b.disabled = !total;
    if (!total) feed.replaceChildren(make("div", { class: "slb-empty", text: "This session has no messages." }));
  }
  function hear(message) {
    if (message.op === "session") show(message);
    if (message.op === "closed") {
      key = head = null;
      showHead();
    }
    if (message.op === "hits") {
      hits = message.hits;
      if (head) showHead();
    }
    if (!["chunk", "whole"].includes(message.op) || !sameKey(message.key)) return;
    if (message.op === "chunk") {
      chunks.set(message.chunk, message.items);
      want(message.chunk);
      settle();
      return;
    }
    const name = `${message.place}:${message.part}`;
    const waits = copying.get(name);
    copying.delete(name);
    if (waits) return waits(message.text);
    wholes.set(name, message.text);
    redraw(Math.floor(message.place / size));
  }
  showHead();
  return {
    element,
    hear,
    markAgain() {
      for (let n = 0; n < sections.length; n++) redraw(n);
    },
    end() {
      sight.disconnect();
    },
  };
}
