// The filters: what is typed and chosen goes to Python, and what Python says is shown.

const TYPING_MS = 80;
const CHOICES = { source: "tool", agent_name: "agent", model: "model", directory: "directory" };
const PLURALS = { source: "tools", agent_name: "agents", model: "models", directory: "directories" };

function makeFilters({ model, save, listen, id }) {
  const search = make("input", {
    type: "search",
    class: "slb-search",
    "aria-label": "Search names, prompts and messages",
    placeholder: "Search names, prompts, messages  ( / )",
    spellcheck: "false",
  });
  const selects = Object.fromEntries(
    Object.keys(CHOICES).map((name) => [
      name,
      make(
        "select",
        { "aria-label": `Filter by ${CHOICES[name]}` },
        make("option", { value: "", text: `All ${PLURALS[name]}` }),
      ),
    ]),
  );
  const from = make("input", { type: "date", "aria-label": "From day", max: "9999-12-31" });
  const to = make("input", { type: "date", "aria-label": "To day", max: "9999-12-31" });
  const errors = make("input", { type: "checkbox", id: `${id}-errors` });
  const clear = make("button", { type: "button", text: "Clear" });
  const element = make(
    "div",
    { class: "slb-filters", role: "search", "aria-label": "Filters" },
    search,
    ...Object.values(selects),
    make("span", { class: "slb-days" }, from, make("span", { text: "–", "aria-hidden": "true" }), to),
    make("label", { class: "slb-check", for: `${id}-errors` }, errors, "with errors"),
    clear,
  );

  let timer = 0;
  const iso = (at) => at.toISOString().replace(/\.000Z$/, "+00:00"); // as Python writes it, so that it sends nothing back
  const values = () => ({ ...model.get("filters") });
  function set(changes) {
    const next = { ...values(), ...changes };
    for (const [name, value] of Object.entries(next)) if (!value) delete next[name];
    if (JSON.stringify(next) === JSON.stringify(values())) return;
    model.set("filters", next);
    save();
  }
  /** The midnight that a day begins with, or after it; null while its year is being typed. */
  const midnight = (value, days) => {
    const [y, m, d] = value.split("-").map(Number);
    return y < 1000 || y > 9998 ? null : new Date(y, m - 1, d + days);
  };
  const setDay = (name, field, days) => {
    const at = field.value && midnight(field.value, days);
    if (at !== null) set({ [name]: at && iso(at) });
  };
  listen(search, "input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => set({ text: search.value }), TYPING_MS);
  });
  for (const [name, select] of Object.entries(selects)) listen(select, "change", () => set({ [name]: select.value }));
  listen(from, "change", () => setDay("since", from, 0));
  listen(to, "change", () => setDay("until", to, 1));
  listen(errors, "change", () => set({ has_errors: errors.checked }));
  listen(clear, "click", () => {
    clearTimeout(timer);
    model.set("filters", {});
    save();
    search.value = "";
    search.focus(); // the button is of no use now, and the focus must not fall to the notebook
  });

  function offer(choices) {
    for (const [name, found] of Object.entries(choices)) {
      const chosen = values()[name] || "";
      const options = found.map(([value, count]) => make("option", { value, text: `${value} (${whole(count)})` }));
      if (chosen && !found.some(([value]) => value === chosen))
        options.push(make("option", { value: chosen, text: `${chosen} (0)` }));
      selects[name].replaceChildren(make("option", { value: "", text: `All ${PLURALS[name]}` }), ...options);
      selects[name].value = chosen;
    }
  }
  function showValues() {
    const now = values();
    if (search.value !== (now.text || "") && search !== search.getRootNode().activeElement)
      search.value = now.text || "";
    for (const [name, select] of Object.entries(selects)) {
      if (now[name] && ![...select.options].some((option) => option.value === now[name]))
        select.append(make("option", { value: now[name], text: now[name] }));
      select.value = now[name] || "";
    }
    errors.checked = Boolean(now.has_errors);
    clear.disabled = !Object.keys(now).length;
  }
  function showTimes({ since, until }) {
    const focused = element.getRootNode().activeElement; // what is being typed is left alone
    if (from !== focused) from.value = since == null ? "" : day(new Date(since));
    if (to !== focused) to.value = until == null ? "" : day(new Date(until - 1));
  }
  search.value = values().text || "";
  showValues();
  const setTimes = (since, until) =>
    set({ since: since == null ? "" : iso(new Date(since)), until: until == null ? "" : iso(new Date(until)) });
  return { element, values, offer, showValues, showTimes, setTimes, focus: () => search.focus() };
}
