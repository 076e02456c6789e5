// The page's state is its address, so that a search can be shared, and the back button works.

const DEFAULTS = { view: "ask", q: "", collection: "", mode: "hybrid", k: "10", filter: "", doc: "", at: "" };
const listeners = [];

export function current() {
  const given = new URLSearchParams(location.search);
  return Object.fromEntries(Object.entries(DEFAULTS).map(([name, value]) => [name, given.get(name) ?? value]));
}

export function address(changes = {}) {
  const wanted = Object.entries({ ...current(), ...changes }).filter(([name, value]) => value && value !== DEFAULTS[name]);
  const query = new URLSearchParams(wanted).toString();
  return query ? `?${query}` : location.pathname;
}

// Go to another state. With `replace`, the back button passes over the present one.
export function go(changes, { replace = false } = {}) {
  const to = address(changes);
  const stays = replace || to === (location.search || location.pathname);
  history[stays ? "replaceState" : "pushState"](null, "", to);
  changed();
}

// Call the listener with the state, whenever it changes.
export function onChange(listener) {
  listeners.push(listener);
}

export function changed() {
  for (const listener of listeners) listener(current());
}

window.addEventListener("popstate", changed);
