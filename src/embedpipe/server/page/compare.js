// The searches side by side. A passage that several found is marked in all of them.

import { $, announce, el, failure } from "./dom.js";
import { possible } from "./modes.js";
import { resultList } from "./results.js";
import { ask } from "./server.js";

let view = "hybrid"; // the search on show where there is room for one

export async function compare(asked, collection, signal) {
  const modes = possible(collection), places = new Map();
  const columns = modes.map((mode) => el("section", { class: `column ${mode.id}`, "aria-labelledby": `title-${mode.id}`, "aria-busy": "true" },
    el("h2", { id: `title-${mode.id}` }, mode.name), el("p", { class: "small" }, mode.hint), el("div", { class: "skeleton", "aria-hidden": "true" })));
  const grid = el("div", { class: "columns" }, ...columns);
  show(grid, modes.some((mode) => mode.id === view) ? view : modes[0].id);
  $("compare").replaceChildren(chooser(modes, grid), grid);
  announce("Searching…");
  const counts = await Promise.all(modes.map((mode, place) => fill(columns[place], mode, asked, signal, places)));
  if (signal.aborted) return;
  const each = modes.map((mode, place) => `${mode.name}: ${counts[place] ?? "failed"}`).join(", ");
  announce(counts.some(Boolean) ? `Results for “${asked.query}”. ${each}.`
    : counts.includes(null) ? "The search failed." : `Nothing found for “${asked.query}”.`);
}

function show(grid, id) {
  view = id;
  grid.dataset.view = id;
}

function chooser(modes, grid) {
  return el("fieldset", { class: "views" }, el("legend", { class: "visually-hidden" }, "Which search to show"),
    ...modes.map((mode) => el("label", {}, el("input", { type: "radio", name: "view", value: mode.id,
      checked: mode.id === view, onchange: () => show(grid, mode.id) }), mode.name)));
}

async function fill(column, mode, asked, signal, places) {
  const [title, facts] = column.children, started = performance.now();
  try {
    const found = (await ask("search", { body: { ...asked, ...mode.body }, signal })).results;
    facts.textContent = `${mode.hint} · ${Math.round(performance.now() - started)} ms`;
    column.replaceChildren(title, facts, found.length ? resultList(found, { name: mode.name })
      : el("p", { class: "notice" }, "Nothing found. Try other words, or remove a filter."));
    found.forEach((hit, place) => places.set(hit.id, { ...places.get(hit.id), [mode.id]: place + 1 }));
    rank(column.parentElement, places);
    return found.length;
  } catch (error) {
    if (error.name !== "AbortError") column.replaceChildren(title, facts, failure(error.message));
    return null;
  } finally {
    column.removeAttribute("aria-busy");
  }
}

// Write into each result its ranks in the other searches.
function rank(grid, places) {
  for (const hit of grid.querySelectorAll(".hit")) {
    const own = hit.closest(".column"), found = places.get(hit.dataset.id) ?? {};
    const others = possible({ words: true }).filter((mode) => found[mode.id] && !own.classList.contains(mode.id));
    hit.querySelector(".ranks")?.remove();
    if (others.length) {
      hit.querySelector("footer").append(el("ul", { class: "ranks", "aria-label": "Ranks in the other searches" },
        ...others.map((mode) => el("li", { class: mode.id }, `${mode.name} ${found[mode.id]}`))));
    }
  }
}

function highlight(event) {
  const id = event.type === "mouseout" || event.type === "focusout" ? null : event.target.closest(".hit")?.dataset.id;
  for (const hit of $("compare").querySelectorAll(".hit")) hit.classList.toggle("same", id !== null && hit.dataset.id === id);
}

for (const event of ["mouseover", "mouseout", "focusin", "focusout"]) $("compare").addEventListener(event, highlight);
