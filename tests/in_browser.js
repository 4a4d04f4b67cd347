// What a notebook does for an anywidget, in a bare page: models with traits, messages both ways, views.
// Python is behind window.__python(id, message), which answers with [[id, message], ...].
window.widgets = new Map();

window.fromPython = (messages) => {
  for (const [id, message] of messages) window.widgets.get(id)?.receive(message);
};

window.openWidget = async (id, state, { width, height }) => {
  const unpack = (value) =>
    value?.__base64__ === undefined
      ? value
      : new DataView(Uint8Array.from(atob(value.__base64__), (c) => c.charCodeAt(0)).buffer);
  const isEqual = (a, b) =>
    a === b || (!(a instanceof DataView || b instanceof DataView) && JSON.stringify(a) === JSON.stringify(b));

  const traits = new Map(Object.entries(state).map(([name, value]) => [name, unpack(value)]));
  let changed = {};
  const listeners = new Map();
  const emit = (event, ...values) => {
    for (const listener of [...(listeners.get(event) ?? [])]) listener(...values);
  };
  const put = (name, value) => {
    if (isEqual(traits.get(name), value)) return false;
    traits.set(name, value);
    emit(`change:${name}`, model, value);
    return true;
  };
  const toPython = async (message) => window.fromPython(await window.__python(id, message));

  const model = {
    get: (name) => traits.get(name),
    set: (name, value) => {
      if (!put(name, value)) return;
      changed[name] = value;
      emit("change", model);
    },
    save_changes: () => {
      const sent = changed;
      changed = {};
      if (Object.keys(sent).length) void toPython({ method: "update", state: sent, buffer_paths: [] });
    },
    on: (events, listener) => {
      for (const event of events.split(" ")) listeners.set(event, [...(listeners.get(event) ?? []), listener]);
    },
    off: (events, listener) => {
      if (!events) return listeners.clear();
      for (const event of events.split(" ")) {
        const left = listener ? (listeners.get(event) ?? []).filter((one) => one !== listener) : [];
        listeners.set(event, left);
      }
    },
    send: (content, _callbacks, buffers) => {
      if (buffers?.length) throw new Error("this page carries no buffers from the page to Python");
      void toPython({ method: "custom", content });
    },
    listenerCount: () => [...listeners.values()].reduce((count, some) => count + some.length, 0),
  };
  const receive = (message) => {
    if (message.method === "custom") return emit("msg:custom", message.content, message.buffers.map(unpack));
    const news = Object.entries(message.state).map(([name, value]) => put(name, unpack(value)));
    if (news.some(Boolean)) emit("change", model);
  };

  const style = document.createElement("style");
  style.textContent = traits.get("_css") ?? "";
  document.head.append(style);
  const source = URL.createObjectURL(new Blob([traits.get("_esm")], { type: "text/javascript" }));
  let definition = (await import(source)).default;
  URL.revokeObjectURL(source);
  if (typeof definition === "function") definition = await definition();
  const ends = new AbortController();
  await definition.initialize?.({ model, signal: ends.signal, experimental: {} });

  const views = [];
  const show = async (size) => {
    const el = document.createElement("div");
    el.className = "widget";
    Object.assign(el.style, size);
    document.querySelector("main").append(el);
    const cleanUp = await definition.render?.({ model, el, signal: ends.signal, experimental: {} });
    views.push(() => (cleanUp?.(), el.remove()));
  };
  const close = () => {
    ends.abort();
    for (const remove of views) remove();
    style.remove();
    window.widgets.delete(id);
    return model.listenerCount();
  };
  window.widgets.set(id, { receive, close, show, model });
  await show({ width, height });
};
