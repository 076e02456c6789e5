// The page: what the address says is shown, and what the user does changes the address.

import { answer } from "./answer.js";
import { compare } from "./compare.js";
import { close, render as renderDocument } from "./document.js";
import { $, announce, counted, el, failure, notice } from "./dom.js";
import { filterOf, loadKeys, renderFilters } from "./filters.js";
import { onKey } from "./key.js";
import { showLibrary } from "./library.js";
import { chosen, possible } from "./modes.js";
import { resultList, told, walk } from "./results.js";
import { ask } from "./server.js";
import { address, changed, current, go, onChange } from "./state.js";

const THEMES = ["auto", "light", "dark"];
let collections = null; // null until they are known
let standard = ""; // the server's own collection
let mayWrite = false;
let searched = ""; // what is on show
let question = ""; // what the address said last
let running = new AbortController();

// --- collections ----------------------------------------------------------------------------------------------------

async function load() {
  try {
    const found = await ask("collections");
    collections = found.collections;
    standard = found.default;
    mayWrite = found.may_write;
    changed();
  } catch (error) {
    if (error.status !== 401) say(failure(error.message));
    announce(error.message);
  }
}

function collectionOf(state) {
  const usable = collections.filter((each) => each.current);
  return usable.find((each) => each.name === state.collection) ?? usable.find((each) => each.default) ?? usable[0];
}

// --- what the address says ------------------------------------------------------------------------------------------

function render(state) {
  document.title = state.q && state.view !== "documents" ? `${state.q} · embedpipe` : "embedpipe";
  for (const link of document.querySelectorAll("nav a")) {
    link.href = address({ view: link.dataset.view, doc: "", at: "" });
    if (link.dataset.view === state.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.body.dataset.view = state.view;
  $("library").hidden = state.view !== "documents";
  $("search").hidden = $("options").hidden = state.view === "documents";
  if (state.q !== question) $("query").value = question = state.q; // and else the user may be writing another one
  renderFilters(state);
  if (!collections) return;
  const collection = collectionOf(state);
  offer(state, collection);
  if (collection) renderDocument(state, collection.name);
  if (state.view === "documents") library(collection);
  else if (!collection) none();
  else search(state, collection);
}

function offer(state, collection) {
  $("collection").replaceChildren(...collections.map((each) => el("option", { value: each.name, disabled: !each.current },
    each.current ? each.name : `${each.name} (made with ${each.model})`)));
  $("collection").value = collection?.name ?? "";
  $("collection").disabled = $("ask-button").disabled = !collection;
  $("facts").textContent = collection ? `${counted(collection.documents, "document")} · ${counted(collection.chunks, "passage")} · ${collection.model}` : "";
  if (!collection) return;
  $("mode").replaceChildren(...possible(collection).map((mode) => el("option", { value: mode.id }, mode.name)));
  $("mode").value = chosen(collection, state.mode).id;
  $("mode-field").hidden = state.view === "compare";
  if (![...$("k").options].some((option) => option.value === state.k)) state.k = "10";
  $("k").value = state.k;
  loadKeys(collection.name);
}

function none() {
  say(collections.length ? notice("No collection has vectors of the server's model.")
    : notice("There is no collection yet.", el("p", {}, mayWrite ? el("a", { href: address({ view: "documents" }), "data-view": "documents" }, "Upload documents") : null,
      mayWrite ? ", or run " : "Run ", el("code", {}, "embedpipe ingest PATH"), " and reload this page.")));
}

function library(collection) {
  running.abort();
  const isEntered = searched !== "documents";
  if (isEntered) say();
  searched = "documents";
  showLibrary(collection?.name ?? standard, { writable: mayWrite, written: load, isEntered });
}

function say(...parts) {
  $("answer").replaceChildren();
  $("compare").replaceChildren();
  $("results").replaceChildren(...parts);
}

// --- searching ------------------------------------------------------------------------------------------------------

function search(state, collection) {
  const asked = JSON.stringify([state.view, state.q, collection.name, state.mode, state.k, state.filter]);
  if (asked === searched) return;
  searched = asked;
  running.abort();
  running = new AbortController();
  if (!state.q) {
    announce("");
    say(notice(state.view === "compare" ? "Ask a question. It is searched in every way, side by side." : "Ask a question. The answer quotes the documents, and shows where."));
    return;
  }
  let filter = null;
  try { filter = filterOf(state); } catch (error) {
    say(failure(error.message));
    announce("The search failed.");
    return;
  }
  const common = { k: Number(state.k), collection: collection.name, ...(filter ? { filter } : {}) };
  say();
  if (state.view === "compare") {
    compare({ query: state.q, ...common }, collection, running.signal);
    return;
  }
  const { body } = chosen(collection, state.mode);
  answer({ question: state.q, ...common, ...body }, running.signal);
  find({ query: state.q, ...common, ...body }, running.signal);
}

async function find(asked, signal) {
  announce("Searching…");
  $("results").replaceChildren(el("h2", {}, "Passages"), el("div", { class: "skeleton", "aria-hidden": "true" }));
  try {
    const { results } = await ask("search", { body: asked, signal });
    if (signal.aborted) return;
    $("results").replaceChildren(el("h2", {}, "Passages"), results.length ? resultList(results)
      : notice("Nothing found. Try other words, or remove a filter."));
    announce(told(results.length, asked.query));
  } catch (error) {
    if (signal.aborted || error.name === "AbortError") return;
    $("results").replaceChildren(failure(error.message));
    announce("The search failed.");
  }
}

// --- what the user does ---------------------------------------------------------------------------------------------

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const q = $("query").value.trim();
  if (!q) return;
  if (q === current().q) searched = ""; // the same question again is asked again
  go({ q, doc: "", at: "" });
});
for (const name of ["collection", "mode", "k"]) {
  $(name).addEventListener("change", () => go({ [name]: $(name).value, ...(name === "collection" ? { filter: "", doc: "", at: "" } : {}) }));
}
$("filters").addEventListener("toggle", () => { if (collections && collectionOf(current())) loadKeys(collectionOf(current()).name); });
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-view]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go({ view: link.dataset.view, doc: "", at: "" });
});
document.addEventListener("keydown", (event) => {
  walk(event, $("content"));
  const writes = event.target.matches("input, select, textarea");
  if (event.key !== "/" || writes || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  if (matchMedia("(max-width: 68.75rem)").matches) close();
  (current().view === "documents" ? $("find") : $("query")).focus();
});
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
  });
}

// --- light and dark -------------------------------------------------------------------------------------------------

function dress(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = { auto: "◐", light: "☀", dark: "☾" }[theme];
  $("theme").setAttribute("aria-label", `Colours: ${theme}. Change`);
}

$("theme").addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  if (next === "auto") localStorage.removeItem("embedpipe-theme");
  else localStorage.setItem("embedpipe-theme", next);
  dress(next);
});

dress(THEMES.includes(localStorage.getItem("embedpipe-theme")) ? localStorage.getItem("embedpipe-theme") : "auto");
onKey(() => { searched = ""; load(); });
onChange(render);
render(current());
if (current().view !== "documents") $("query").focus();
load();
