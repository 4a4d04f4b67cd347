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
    if (Math.abs(n) >= size) {
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
function duration(s) {
  if (s == null) return "";
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min ${Math.round(s % 60)} s`;
  const h = Math.floor(m / 60);
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
/** Put a text into an element, with what is sought marked. */
function put(element, text, sought) {
  if (!sought) {
    element.textContent = text;
    return element;
  }
  const parts = text.split(new RegExp(`(${sought.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")})`, "gi"));
  element.replaceChildren(...parts.map((part, i) => (i % 2 ? make("mark", { text: part }) : part)));
  return element;
}
let made = 0;

/** The time of day, after the date where that is another one than before. */
function clock(ms, before) {
  const at = new Date(ms),
    time = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return before != null && day(new Date(before)) === day(at) ? time : `${day(at)} ${time}`;
}
function pretty(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text;
  }
}
