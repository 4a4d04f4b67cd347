// The transcript: chunks of messages, of which those near the window are in the page.

const MORE = 200_000; // characters of a long text that are shown at once
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
    wholes = new Map(), // texts as far as they were asked for, and whether there is more
    inSight = new Set(),
    waiting = null,
    isOpening = false, // the reader of this view asked for a session
    isFollowing = false; // the reader is at the end and sees what comes
  const sight = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const n = entry.target.number;
        if (sections[n] !== entry.target) continue;
        if (entry.isIntersecting) {
          inSight.add(n);
          want(n);
        } else {
          inSight.delete(n);
          release(n);
        }
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
  function go(place, isHit = false, mayFocus = true) {
    if (place < 0 || place >= total) return;
    current = place;
    isFollowing = false;
    waiting = { place, isHit, mayFocus, tries: 3 };
    settle();
  }
  /** Bring the message that is waited for into sight, as soon as it is there; heights may change while others come. */
  function settle() {
    if (!waiting) return;
    const { place, isHit, mayFocus } = waiting,
      n = Math.floor(place / size);
    if (!chunks.has(n)) {
      want(n);
      feed.scrollTop += sections[n].getBoundingClientRect().top - feed.getBoundingClientRect().top;
      return;
    }
    want(n);
    const article = feed.querySelector(`article[data-place="${place}"]`);
    if (!article) return;
    if (isHit) for (const fold of article.querySelectorAll("details")) if (fold.querySelector("mark")) fold.open = true;
    if (article.classList.contains("slb-failed") && !isHit)
      for (const fold of article.querySelectorAll("details.slb-failed")) fold.open = true;
    const mark = isHit && article.querySelector("mark");
    if (isHit && !mark) askForCut(chunks.get(n)[place % size]);
    const target = mark && article.clientHeight > feed.clientHeight ? mark : article;
    feed.scrollTop +=
      target.getBoundingClientRect().top - feed.getBoundingClientRect().top - (target === mark ? 60 : 4);
    focusOn(article, mayFocus);
    if ((waiting.tries -= 1) > 0) requestAnimationFrame(settle);
    else waiting = null;
  }
  function focusOn(article, mayFocus) {
    for (const other of feed.querySelectorAll(".slb-current")) other.classList.remove("slb-current");
    article.classList.add("slb-current");
    if (mayFocus || feed.contains(feed.getRootNode().activeElement)) article.focus({ preventScroll: true });
  }
  /** What is sought stands where a text was cut: ask for more of its texts, once. */
  function askForCut(item) {
    const texts = [
      ["content", item.message?.content],
      ["reasoning", item.message?.reasoning],
    ];
    item.calls.forEach((call, n) => texts.push([`arguments:${n}`, call.arguments], [`result:${n}`, call.result]));
    for (const [part, text] of texts) {
      if (text?.[2] && !wholes.has(`${item.place}:${part}`)) askForMore(item, part, text[1]);
    }
  }
  const askForMore = (item, part, length) => {
    const name = `${item.place}:${part}`;
    send("whole", { key, place: item.place, part, until: Math.min(length, (wholes.get(name)?.until || 0) + MORE) });
  };
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
    const focused = section.getRootNode().activeElement;
    const place = section.contains(focused) ? focused.closest("article")?.dataset.place : null;
    section.replaceChildren(...chunks.get(n).map(drawItem));
    section.isDrawn = true;
    section.style.height = "";
    if (place != null) section.querySelector(`article[data-place="${place}"]`)?.focus({ preventScroll: true });
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
  function textOf(item, part, [text, length, isCut], isJson = false) {
    const more = wholes.get(`${item.place}:${part}`);
    const isWhole = more ? !more.isCut : !isCut;
    const all = more ? more.text : text;
    const pre = put(make("pre", { dir: "auto" }), isJson && isWhole ? pretty(all) : all, sought());
    if (isWhole) return [pre];
    const isLast = length - (more?.until || 0) <= MORE;
    const label = `${isLast ? "Show all" : "Show more of"} ${whole(length)} characters`;
    return [
      pre,
      make("button", { type: "button", class: "slb-more", text: label, onclick: () => askForMore(item, part, length) }),
    ];
  }
  function link(text, act) {
    return make("button", { type: "button", class: "slb-link", text, onclick: act });
  }

  // Copying
  let isCopying = false; // another view's copies are none of this one's
  const copy = (place) => {
    isCopying = true;
    send("copy", { key, place });
  };
  async function toClipboard(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea", { class: "slb-hidden", "aria-hidden": "true" });
      const focused = element.getRootNode().activeElement;
      area.value = text;
      element.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      focused?.focus({ preventScroll: true });
    }
    say("Copied.");
  }

  // What Python says
  const sameKey = (other) => key && other && key[0] === other[0] && key[1] === other[1];
  function show(message) {
    const isSame = sameKey(message.key) && !message.is_new;
    const isOwn = isOpening;
    isOpening = false;
    if (isSame && feed.scrollHeight - feed.scrollTop - feed.clientHeight < 40) isFollowing = true;
    key = message.key;
    head = message.head;
    total = message.total;
    size = message.chunk_size;
    errors = message.errors;
    hits = message.hits;
    if (isSame) forgetFrom(message.unchanged);
    else startAgain();
    chunks.set(message.chunk, message.items);
    asked.add(message.chunk);
    makeSections();
    showHead();
    if (!isSame) want(message.chunk);
    for (const n of isSame ? inSight : []) want(n);
    if (isFollowing) toEnd();
    if (!isSame && isOwn && hits.length && sought()) go(hits[0], true);
  }
  function startAgain() {
    chunks = new Map();
    asked = new Set();
    unfolded = new Set();
    wholes = new Map();
    inSight = new Set();
    current = -1;
    waiting = null;
    isFollowing = false;
    sight.disconnect();
    sections = [];
    feed.replaceChildren();
    feed.scrollTop = 0;
  }
  /** Forget what has changed; what is drawn of it stays until the new is here. */
  function forgetFrom(place) {
    for (const n of asked) if (n >= Math.floor(place / size)) asked.delete(n);
    for (const n of chunks.keys()) if (n >= Math.floor(place / size)) chunks.delete(n);
    for (const name of wholes.keys()) if (parseInt(name) >= place) wholes.delete(name);
    for (const section of sections.slice(Math.floor(place / size))) section.isDrawn = false;
  }
  function makeSections() {
    const needed = Math.ceil(total / size);
    for (const section of sections.splice(needed)) {
      sight.unobserve(section);
      inSight.delete(section.number);
      section.remove();
    }
    while (sections.length < needed) {
      const section = make("div", { class: "slb-chunk" });
      section.number = sections.length;
      section.style.height = `${Math.min(size, total - section.number * size) * ITEM_PX}px`;
      sections.push(section);
      feed.append(section);
      sight.observe(section);
    }
    if (total) feed.querySelector(":scope > .slb-empty")?.remove();
  }
  function toEnd() {
    requestAnimationFrame(() => {
      if (!isFollowing) return;
      want(sections.length - 1);
      feed.scrollTop = feed.scrollHeight;
    });
  }
  for (const event of ["wheel", "pointerdown", "keydown", "touchstart"]) {
    listen(feed, event, () => (isFollowing = false), { passive: true });
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
    if (message.op === "copied" && isCopying) {
      isCopying = false;
      toClipboard(message.text);
    }
    if (!["chunk", "whole"].includes(message.op) || !sameKey(message.key)) return;
    if (message.op === "chunk") {
      chunks.set(message.chunk, message.items);
      if (inSight.has(message.chunk)) want(message.chunk);
      settle();
      if (isFollowing) toEnd();
      return;
    }
    const { text, until, is_cut: isCut } = message;
    wholes.set(`${message.place}:${message.part}`, { text, until, isCut });
    redraw(Math.floor(message.place / size));
    settle();
  }
  showHead();
  return {
    element,
    hear,
    opening() {
      isOpening = true;
    },
    markAgain() {
      for (let n = 0; n < sections.length; n++) redraw(n);
    },
    end() {
      sight.disconnect();
    },
  };
}
