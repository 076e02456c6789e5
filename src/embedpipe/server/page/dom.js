// Elements. Foreign text is inserted as text, never as HTML.

export const $ = (id) => document.getElementById(id);

// Make an element. Attributes that begin with "on" are listeners, and those that are null or false are left out.
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function notice(message, ...more) {
  return el("div", { class: "notice" }, el("p", {}, message), ...more);
}

export function failure(message) {
  return el("p", { class: "notice wrong" }, message);
}

// Tell what happened to those who do not see it.
export function announce(message) {
  $("status").textContent = message;
}

export function counted(count, what) {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

// A text by code points, as Python counts. JavaScript's strings count UTF-16 units.
export function byCodePoints(text) {
  return /[\ud800-\udfff]/.test(text) ? Array.from(text) : text;
}

export function slice(points, start, end) {
  const part = points.slice(start, end);
  return typeof part === "string" ? part : part.join("");
}

// The text of `points` from `start` to `end`, where the spans are marked. They are in order and do not overlap.
export function marked(points, start, end, spans) {
  const parts = [];
  let done = start;
  for (const span of spans) {
    if (span.start < done || span.end > end) continue;
    parts.push(slice(points, done, span.start), el("mark", {}, slice(points, span.start, span.end)));
    done = span.end;
  }
  return [...parts, slice(points, done, end)];
}
