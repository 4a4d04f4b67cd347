// The page's side of the session browser. Python holds the sessions; this asks for the rows and messages in sight.
// What comes from a history is put in by textContent alone, so nothing in it can run.

const DEEP_MS = 350;
const LOOK_MS = 2_000;
const NO_ANSWER_MS = 5_000;
const NO_KERNEL = "No kernel answers. Run the cell that makes this browser to use it.";

function render({ model, el }) {
  const ends = new AbortController();
  const { signal } = ends;
  const id = `slb${++made}-${Math.random().toString(36).slice(2)}`;
  const listen = (target, name, handler, options = {}) =>
    target.addEventListener(name, handler, { signal, ...options });
  /** Say something to Python; a kernel that was restarted or shut down is heard and spoken to no more. */
  const reach = (act) => {
    try {
      act();
    } catch {
      isCut = true;
      tell("kernel", NO_KERNEL);
    }
  };
  const send = (op, content = {}) => reach(() => model.send({ op, ...content }));
  const save = () => reach(() => model.save_changes());

  const root = make("div", { class: "slb", role: "group", "aria-label": "Session browser" });
  const note = make("div", { class: "slb-note", role: "alert" });
  const said = make("div", { class: "slb-said", role: "status" });
  root.style.height = `${model.get("height_px")}px`;
  const say = (text) => {
    said.textContent = text;
  };
  let isCut = false;
  const notes = {}; // by what they are of; the first one is shown
  const tell = (of, text) => {
    notes[of] = text;
    const shown = Object.values(notes).find(Boolean) || "";
    if (note.textContent !== shown) note.textContent = shown;
    note.hidden = !shown;
  };
  tell("kernel", "");

  const filters = makeFilters({ model, save, listen, id });
  const chart = makeChart({ listen, filters });
  const transcript = makeTranscript({ send, listen, say, sought: () => filters.values().text || "" });
  const list = makeList({ model, send, save, listen, id, say, opening: transcript.opening });
  const summary = make("div", { class: "slb-summary" }, list.totals, chart.element);
  const panes = make("div", { class: "slb-panes" }, list.element, transcript.element);
  root.append(filters.element, summary, note, panes, said);
  el.append(root);

  // JupyterLab's own keys (a, b, x, dd, arrows …) must not act on the notebook while somebody is in here.
  listen(root, "keydown", (event) => {
    const isSave = (event.ctrlKey || event.metaKey) && event.key === "s";
    if (!isSave) event.stopPropagation();
    const isTyping = event.target.closest("input, select, textarea");
    if (event.key === "/" && !isTyping) {
      event.preventDefault();
      filters.focus();
    }
  });

  // What Python says
  let lastHeard = 0,
    asked = performance.now(),
    isLooking = false,
    lookMs = 0,
    deepTimer = 0;
  function hear(message) {
    if (message.view && message.view !== id) return; // an answer to another view's beginning
    lastHeard = performance.now();
    isCut = false;
    tell("kernel", "");
    if (message.op === "error") {
      tell(message.of, message.text);
      return;
    }
    if (message.op === "looked") {
      isLooking = false;
      lookMs = performance.now() - asked;
      if (message.is_done) tell("look", "");
      return;
    }
    if (message.op === "list") tell("pick", "");
    if (message.op === "session") tell("open", "");
    if (message.op === "choices") filters.offer(message.choices);
    if (message.op === "list") {
      list.show(message);
      chart.show(message);
      filters.showTimes(message);
      clearTimeout(deepTimer);
      if (!message.is_thorough) deepTimer = setTimeout(() => send("deep", { serial: message.serial }), DEEP_MS);
    }
    if (message.op === "rows") list.add(message);
    // Who opened it in this list may have gone on to another row by now.
    if (["session", "closed"].includes(message.op)) list.open(message.key || null, message.by === id ? null : message.row);
    transcript.hear(message);
  }
  model.on("msg:custom", hear);
  const onFilters = () => {
    filters.showValues();
    list.startAgain();
    transcript.markAgain();
  };
  const onSort = () => {
    list.startAgain();
    list.showSort();
  };
  const onHeight = () => {
    root.style.height = `${model.get("height_px")}px`;
  };
  model.on("change:filters", onFilters);
  model.on("change:sort", onSort);
  model.on("change:height_px", onHeight);

  // What other processes record is looked for while the widget is in sight.
  let isInSight = true;
  const sight = new IntersectionObserver((entries) => {
    isInSight = entries.at(-1).isIntersecting;
  });
  sight.observe(root);
  const clock = setInterval(() => {
    if (isCut) return;
    const now = performance.now();
    if (isLooking || !lastHeard) {
      if (now - asked > NO_ANSWER_MS && now - lastHeard > NO_ANSWER_MS) {
        tell("kernel", lastHeard ? "The kernel is busy; the list waits for it." : NO_KERNEL);
      }
      return;
    }
    if (document.hidden || !isInSight || now - asked < Math.max(LOOK_MS, 5 * lookMs)) return;
    isLooking = true;
    asked = now;
    send("look");
  }, 500);

  send("hello", { view: id, zone: Intl.DateTimeFormat().resolvedOptions().timeZone });
  return () => {
    ends.abort();
    sight.disconnect();
    clearInterval(clock);
    clearTimeout(deepTimer);
    list.end();
    chart.end();
    transcript.end();
    model.off("msg:custom", hear);
    model.off("change:filters", onFilters);
    model.off("change:sort", onSort);
    model.off("change:height_px", onHeight);
    root.remove();
  };
}

export default { render };
