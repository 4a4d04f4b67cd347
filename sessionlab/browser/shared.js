// Numbers, times and elements, as all parts of the page use them. The parts are put together as one module.

// Numbers and times for people

const pad = (n) => String(n).padStart(2, "0");
const day = (at) => `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
const when = (ms) => {
  if (ms == null) return "";
  const at = new Date(ms);
  return `${day(at)} ${pad(at.getHours())}:${pad(at.getMinutes())}`;
};
const whole = (n) => (n == null ? "" : n.toLocaleString("en"));
const plural = (n, one, many = `${one}s`) => `${whole(n)} ${n === 1 ? one : many}`;
function short(n) {
  if (n == null) return "";
  for (const [size, unit] of [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ]) {
    if (Math.abs(n) >= size * 0.9995) {
      const v = n / size;
      return `${v >= 99.95 ? Math.round(v) : v.toPrecision(3).replace(/\.?0+$/, "")}${unit}`;
    }
  }
  return String(n);
}
function dollars(v) {
  if (v == null) return "";
  if (v === 0) return "$0";
  if (Math.abs(v) < 0.0001) return "<$0.0001";
  return v < 0.01
    ? `$${v.toPrecision(2)}`
    : `$${v.toLocaleString("en", { minimumFractionDigits: v < 1 ? 3 : 2, maximumFractionDigits: v < 1 ? 3 : 2 })}`;
}
function duration(seconds) {
  if (seconds == null) return "";
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const s = Math.round(seconds),
    m = Math.floor(s / 60),
    h = Math.floor(m / 60);
  if (s < 60) return `${s} s`;
  if (m < 60) return `${m} min ${s % 60} s`;
  return h < 48 ? `${h} h ${m % 60} min` : `${Math.floor(h / 24)} d ${h % 24} h`;
}

// Elements

function make(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value == null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}
function draw(tag, props = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(props)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
const MOST_MARKS = 1_000;
/** Put a text into an element, with what is sought marked. */
function put(element, text, sought) {
  if (!sought) {
    element.textContent = text;
    return element;
  }
  const pattern = new RegExp(sought.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi");
  const parts = document.createDocumentFragment();
  let end = 0,
    count = 0;
  for (const found of text.matchAll(pattern)) {
    if (++count > MOST_MARKS) break;
    parts.append(text.slice(end, found.index), make("mark", { text: found[0] }));
    end = found.index + found[0].length;
  }
  parts.append(text.slice(end));
  element.replaceChildren(parts);
  return element;
}
let made = 0;

/** The time of day, after the date where that is another one than before. */
function clock(ms, before) {
  const at = new Date(ms),
    time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return before != null && day(new Date(before)) === day(at) ? time : `${day(at)} ${time}`;
}
/** JSON with its members on lines of their own; numbers and names stay as they are written. */
function pretty(text) {
  try {
    const value = JSON.parse(text);
    if (typeof value !== "object" || !value) return text;
  } catch {
    return text;
  }
  let shown = "",
    depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{[]\s*[}\]]|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    if (token === "{" || token === "[") {
      depth++;
      shown += token + line();
    } else if (token === "}" || token === "]") {
      depth--;
      shown += line() + token;
    } else if (token === ",") shown += token + line();
    else shown += token === ":" ? ": " : token.replace(/^([{[])\s+/, "$1");
  }
  return shown;
}
