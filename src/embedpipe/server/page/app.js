// The page's own script. Text of documents is inserted as text, never as HTML.

const MODES = [
  { id: "dense", name: "By meaning", body: { mode: "dense" }, main: "similarity", hint: "cosine similarity" },
  { id: "lexical", name: "By words", body: { mode: "lexical" }, main: "lexical_score", hint: "BM25" },
  { id: "hybrid", name: "Hybrid", body: { mode: "hybrid" }, main: "score", hint: "both, fused" },
  { id: "reranked", name: "Reranked", body: { mode: "hybrid", rerank: true }, main: "rerank_score", hint: "hybrid, then reranked" },
];
const STOP = new Set(("a an and are as at be by can do does for from has have how i if in is it its my not of on or " +
  "so than that the their then there these they this to was what when where which who why will with you your").split(" "));
const SHOWN = 20_000; // characters of a long document before and after a passage
const KEY = "embedpipe-key";

const $ = (id) => document.getElementById(id);
const form = $("search"), results = $("results"), status = $("status");
let running = null; // the search in progress
let places = new Map(); // chunk id -> { mode: place }

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// --- the server -----------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

async function ask(path, { body, signal } = {}) {
  const key = sessionStorage.getItem(KEY);
  const headers = { Accept: "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The server does not answer. Is it running?");
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  throw new Refused(response.status, refusal(response, answer));
}

function refusal(response, answer) {
  const wait = response.headers.get("Retry-After");
  const message = answer?.error?.message ?? `The server answered with status ${response.status}.`;
  return response.status === 429 && wait ? `${message} Try again in ${wait} s.` : message;
}

// --- collections and the key ----------------------------------------------------------------------------------------

async function loadCollections() {
  try {
    const { collections } = await ask("collections");
    offer(collections);
  } catch (error) {
    if (error.status === 401) return askForKey(sessionStorage.getItem(KEY) ? "The server does not accept this key." : "");
    return notice(error.message, true);
  }
}

function offer(collections) {
  const select = $("collection"), wanted = new URLSearchParams(location.search).get("collection");
  select.replaceChildren(...collections.map((each) => el("option", { value: each.name, disabled: !each.current },
    each.current ? each.name : `${each.name} (made with ${each.model})`)));
  const usable = collections.filter((each) => each.current);
  const chosen = usable.find((each) => each.name === wanted) ?? usable.find((each) => each.default) ?? usable[0];
  form.querySelector("[type=submit]").disabled = !chosen;
  if (!chosen) {
    notice(collections.length ? "No collection has vectors of the server's model." : "There is no collection yet.", false,
      el("p", {}, "Create one with ", el("code", {}, "embedpipe ingest PATH"), " and reload this page."));
    return;
  }
  select.value = chosen.name;
  const describe = () => {
    const found = collections.find((each) => each.name === select.value);
    $("facts").textContent = `${found.documents.toLocaleString("en")} documents · ${found.chunks.toLocaleString("en")} passages · ${found.model}`;
  };
  select.addEventListener("change", describe);
  describe();
  notice("Enter a question. It is searched by meaning, by words, by both, and by both with reranking.");
  if ($("query").value) search();
}

function askForKey(message) {
  $("key-button").hidden = false;
  $("key-error").textContent = message;
  if (!$("key").open) $("key").showModal();
  $("key-input").focus();
}

$("key-button").addEventListener("click", () => askForKey(""));
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("key-input").value.trim());
  $("key-input").value = "";
  $("key").close();
  loadCollections();
});
for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}

// --- searching ------------------------------------------------------------------------------------------------------

form.addEventListener("submit", (event) => { event.preventDefault(); search(); });

function filter() {
  const input = $("filter"), text = input.value.trim();
  const tell = (message) => {
    $("filter-error").textContent = message;
    input.setAttribute("aria-invalid", String(Boolean(message)));
    if (message) input.focus();
  };
  tell("");
  if (!text) return null;
  try {
    const value = JSON.parse(text);
    if (value && typeof value === "object" && !Array.isArray(value)) return value;
  } catch { /* told below */ }
  tell('Expected a JSON object, such as {"suffix": ".pdf"}.');
  return undefined;
}

async function search() {
  const query = $("query").value.trim(), condition = filter();
  if (!query || condition === undefined) return;
  running?.abort();
  const own = running = new AbortController();
  const asked = { query, k: Number($("k").value), collection: $("collection").value };
  if (condition) asked.filter = condition;
  history.replaceState(null, "", `?${new URLSearchParams({ q: query, collection: asked.collection })}`);
  status.textContent = "Searching…";
  places = new Map();
  $("views").hidden = false;
  results.dataset.view = document.querySelector("[name=view]:checked").value;
  const columns = MODES.map((mode) => waiting(mode, asked.k));
  results.replaceChildren(...columns);
  const counts = await Promise.all(MODES.map((mode, place) => fill(columns[place], mode, asked, own.signal)));
  if (own !== running) return;
  const told = MODES.map((mode, place) => counts[place] === null ? `${mode.name}: failed` : `${mode.name}: ${counts[place]}`);
  status.textContent = counts.some((count) => count) ? `Results for “${query}”. ${told.join(", ")}.`
    : counts.includes(null) ? "The search failed." : `Nothing found for “${query}”.`;
}

function waiting(mode, count) {
  return el("section", { class: `column ${mode.id}`, "aria-labelledby": `title-${mode.id}`, "aria-busy": "true" },
    el("h2", { id: `title-${mode.id}` }, mode.name), el("p", { class: "facts" }, mode.hint),
    ...Array.from({ length: Math.min(count, 3) }, () => el("div", { class: "skeleton", "aria-hidden": "true" })));
}

async function fill(column, mode, asked, signal) {
  const started = performance.now();
  const [title, facts] = column.children;
  try {
    const found = (await ask("search", { body: { ...asked, ...mode.body }, signal })).results;
    facts.textContent = `${mode.hint} · ${Math.round(performance.now() - started)} ms`;
    column.replaceChildren(title, facts, found.length ? list(found, mode, asked) : nothing());
    found.forEach((hit, place) => places.set(hit.id, { ...places.get(hit.id), [mode.id]: place + 1 }));
    compare();
    return found.length;
  } catch (error) {
    if (error.name === "AbortError") return null;
    column.replaceChildren(title, facts, el("p", { class: "notice wrong" }, error.message));
    if (error.status === 401) askForKey("The server does not accept this key.");
    return null;
  } finally {
    column.removeAttribute("aria-busy");
  }
}

function nothing() {
  return el("p", { class: "notice" }, "Nothing found. Try other words, or remove the filter.");
}

// --- results --------------------------------------------------------------------------------------------------------

function list(found, mode, asked) {
  const best = Math.max(...found.map((hit) => hit[mode.main] ?? 0), 1e-9);
  return el("ol", {}, ...found.map((hit, place) => el("li", {}, card(hit, place + 1, best, mode, asked))));
}

function card(hit, place, best, mode, asked) {
  const value = hit[mode.main] ?? 0;
  const bar = el("span");
  bar.style.width = `${Math.max(0, Math.min(1, mode.id === "dense" ? value : value / best)) * 100}%`;
  const open = el("button", { type: "button", class: "quiet open", onclick: () => show(hit, asked, open) }, "Show in document");
  open.setAttribute("aria-label", `Show in document: ${name(hit)}, ${mode.name} ${place}`);
  const made = el("article", { class: "hit", "data-id": hit.id },
    el("header", {}, el("span", { class: "place", "aria-label": `Rank ${place}` }, String(place)),
      el("h3", { title: hit.document_id ?? hit.id }, name(hit)), el("span", { class: "score" }, number(value))),
    el("div", { class: "meter", "aria-hidden": "true" }, bar), scores(hit, mode),
    el("p", { class: "passage", dir: "auto" }, ...snippet(hit.snippet)),
    el("ul", { class: "ranks", "aria-label": "Ranks in the other searches" }),
    hit.document_id === null ? null : open);
  for (const event of ["mouseenter", "focusin"]) made.addEventListener(event, () => highlight(hit.id, true));
  for (const event of ["mouseleave", "focusout"]) made.addEventListener(event, () => highlight(hit.id, false));
  return made;
}

function name(hit) {
  const { page } = hit.metadata;
  return page === undefined ? hit.title : `${hit.title}, p. ${page}`;
}

// Offsets count code points, as in Python. JavaScript strings count UTF-16 units.
function snippet({ text, spans }) {
  const signs = Array.from(text), parts = [];
  let done = 0;
  for (const { start, end } of spans) {
    parts.push(signs.slice(done, start).join(""), el("mark", {}, signs.slice(start, end).join("")));
    done = end;
  }
  return [...parts, signs.slice(done).join("")];
}

function number(value) {
  return value === null || value === undefined ? "–" : value.toFixed(3);
}

function scores(hit, mode) {
  const rows = [["cosine", hit.similarity, hit.dense_rank, "similarity"], ["BM25", hit.lexical_score, hit.lexical_rank, "lexical_score"]];
  const shown = rows.filter(([, value, , field]) => field !== mode.main && value !== null)
    .map(([label, value, rank]) => [label, rank ? `${number(value)} (rank ${rank})` : number(value)]);
  if (mode.id === "reranked") shown.push(["fused", number(hit.score === hit.rerank_score ? null : hit.score)]);
  return el("dl", { class: "scores" }, ...shown.filter(([, value]) => value !== "–")
    .map(([label, value]) => el("div", {}, el("dt", {}, label), el("dd", {}, value))));
}

function compare() {
  for (const made of results.querySelectorAll(".hit")) {
    const own = made.closest(".column"), found = places.get(made.dataset.id) ?? {};
    made.querySelector(".ranks").replaceChildren(...MODES.filter((mode) => !own.classList.contains(mode.id) && found[mode.id])
      .map((mode) => el("li", { class: mode.id }, `${mode.name} ${found[mode.id]}`)));
  }
}

function highlight(id, on) {
  for (const made of results.querySelectorAll(".hit")) made.classList.toggle("same", on && made.dataset.id === id);
}

// The words of the question and their longer forms. For scripts without spaces: pairs of characters.
function pattern(query) {
  const words = query.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const wanted = words.filter((word) => !STOP.has(word));
  const parts = (wanted.length ? wanted : words).map((word) => {
    if (/[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}]/u.test(word)) {
      const signs = Array.from(word);
      return signs.length < 3 ? word : signs.slice(1).map((sign, place) => signs[place] + sign).join("|");
    }
    const stem = word.length < 5 ? word : word.slice(0, Math.max(4, word.length - 2));
    return `(?<![\\p{L}\\p{N}])${stem}\\p{L}{0,${word.length < 4 ? 1 : 4}}(?![\\p{L}\\p{N}])`;
  });
  return parts.length ? new RegExp(parts.join("|"), "giu") : null;
}

function marked(text, query) {
  const wanted = pattern(query), parts = [];
  let end = 0;
  for (const match of wanted ? text.matchAll(wanted) : []) {
    parts.push(text.slice(end, match.index), el("mark", {}, match[0]));
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)];
}

// --- a passage in its document --------------------------------------------------------------------------------------

async function show(hit, asked, opener) {
  const dialog = $("document"), text = $("document-text");
  $("document-title").textContent = name(hit);
  $("document-place").textContent = `${hit.document_id} · characters ${hit.start.toLocaleString("en")} to ${hit.end.toLocaleString("en")}`;
  text.replaceChildren(el("p", { class: "cut" }, "Loading…"));
  dialog.showModal();
  dialog.addEventListener("close", () => opener.focus(), { once: true });
  try {
    const path = hit.document_id.split("/").map(encodeURIComponent).join("/");
    const found = await ask(`documents/${path}?${new URLSearchParams({ collection: asked.collection })}`);
    if (found.text === null) throw new Refused(404, "The collection does not store the texts of documents.");
    text.replaceChildren(...around(found.text, hit, asked.query));
    $("passage").scrollIntoView({ block: "center" });
    text.focus();
  } catch (error) {
    text.replaceChildren(el("p", { class: "error" }, error.message), el("p", {}, ...marked(hit.text, asked.query)));
  }
}

function around(text, hit, query) {
  const signs = Array.from(text);
  const from = Math.max(0, hit.start - SHOWN), to = Math.min(signs.length, hit.end + SHOWN);
  const cut = (left) => left > 0 ? el("span", { class: "cut" }, `… ${left.toLocaleString("en")} more characters …`) : null;
  return [cut(from), signs.slice(from, hit.start).join(""),
    el("span", { id: "passage" }, ...marked(signs.slice(hit.start, hit.end).join(""), query)),
    signs.slice(hit.end, to).join(""), cut(signs.length - to)].filter(Boolean);
}

// --- the beginning --------------------------------------------------------------------------------------------------

function notice(message, wrong = false, ...more) {
  status.textContent = wrong ? message : "";
  results.replaceChildren(el("div", { class: "notice" }, el("p", {}, message), ...more));
}

$("views").append(...MODES.map((mode) => el("label", {}, el("input", { type: "radio", name: "view", value: mode.id,
  checked: mode.id === "hybrid", onchange: () => { results.dataset.view = mode.id; } }), mode.name)));
$("query").value = new URLSearchParams(location.search).get("q") ?? "";
$("key-button").hidden = !sessionStorage.getItem(KEY);
$("query").focus();
loadCollections();
