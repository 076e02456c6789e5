// A document beside the answer and the results, with the place in it that was cited or found.

import { $, byCodePoints, el, failure, marked, slice } from "./dom.js";
import { documentPath, ask } from "./server.js";
import { current, go } from "./state.js";

const SHOWN = 20_000; // characters before and after the place, at first
const narrow = matchMedia("(max-width: 68.75rem)"); // there, the document covers the page; see style.css
const known = new Map(); // what results and citations say of places: title and spans, by document and place
let shown = ""; // the document and place on show
let opener = null; // what has the focus again at the end
let loading = null;

function placeOf(document, start, end) {
  return { doc: document, at: start === null || start === undefined ? "" : `${start}-${end}` };
}

function keyOf({ doc, at }) {
  return `${doc}\n${at}`;
}

// Open the document of a result.
export function open(hit, from) {
  opener = from;
  if (hit.document_id === null) return passage(hit.title, hit.text);
  const place = placeOf(hit.document_id, hit.start, hit.end);
  const spans = hit.snippet.spans.map((span) => ({ start: span.start_index, end: span.end_index }));
  known.set(keyOf(place), { title: hit.title, spans });
  return go(place);
}

// Open the place of a citation.
export function openCitation(citation, source, from) {
  opener = from;
  const document = citation.document_id ?? source?.document_id;
  if (!document) return source && passage(source.title, source.text);
  const place = citation.start_index === null ? placeOf(document, source?.start_index, source?.end_index)
    : placeOf(document, citation.start_index, citation.end_index);
  known.set(keyOf(place), { title: source?.title ?? document, spans: [] });
  return go(place);
}

// Open a document at its beginning.
export function openDocument(id, title, from) {
  opener = from;
  const place = placeOf(id);
  known.set(keyOf(place), { title, spans: [] });
  go(place);
}

// A chunk without a document is shown as it is. It has no address.
function passage(title, text) {
  shown = "";
  reveal(title, "");
  $("document-text").replaceChildren(el("span", { id: "passage", dir: "auto" }, text));
  $("document-text").focus();
}

function reveal(title, place) {
  $("document").hidden = false;
  document.body.classList.add("reading");
  $("document-title").textContent = title;
  $("document-place").textContent = place;
  cover();
}

// Where the document covers the page, what is below it cannot be reached.
function cover() {
  const covers = narrow.matches && !$("document").hidden;
  for (const below of document.querySelectorAll("[data-below]")) below.inert = covers;
}

function hide() {
  if ($("document").hidden) return;
  loading?.abort();
  shown = "";
  $("document").hidden = true;
  document.body.classList.remove("reading");
  cover();
  if (opener?.isConnected) opener.focus();
  else $("query").focus();
  opener = null;
}

export function close() {
  if (current().doc) go({ doc: "", at: "" });
  else hide();
}

// Show what the address says.
export async function render(state, collection) {
  const key = keyOf(state);
  if (!state.doc) return shown ? hide() : undefined;
  if (key === shown) return undefined;
  shown = key;
  loading?.abort();
  const own = loading = new AbortController();
  const [, start, end] = state.at.match(/^(\d{1,9})-(\d{1,9})$/) ?? [];
  const found = known.get(key) ?? { title: state.doc.split("/").pop() || state.doc, spans: [] };
  reveal(found.title, state.doc);
  const text = $("document-text");
  text.replaceChildren(el("p", { class: "cut" }, "Loading…"));
  text.focus();
  try {
    const stored = await ask(documentPath(state.doc, collection), { signal: own.signal });
    if (own.signal.aborted) return undefined;
    if (stored.text === null) throw new Error("The collection does not store the texts of documents.");
    const points = byCodePoints(stored.text);
    const place = { start: Math.min(Number(start ?? 0), points.length), end: Math.min(Number(end ?? 0), points.length) };
    write(points, place, found.spans, SHOWN);
    $("passage")?.scrollIntoView({ block: "center" });
  } catch (error) {
    if (error.name !== "AbortError") text.replaceChildren(failure(error.message));
  }
  return undefined;
}

function write(points, place, spans, most) {
  const from = Math.max(0, place.start - most), to = Math.min(points.length, place.end + most);
  const more = (left) => left > 0 ? el("button", { type: "button", class: "quiet cut", onclick: () => write(points, place, spans, most * 4) },
    `Show ${left.toLocaleString("en")} more characters`) : null;
  const found = place.end > place.start ? el("span", { id: "passage", class: spans.length ? null : "cited" }, ...marked(points, place.start, place.end, spans)) : null;
  $("document-text").replaceChildren(...[more(from), slice(points, from, place.start), found, slice(points, place.end, to),
    more(points.length - to)].filter((part) => part !== null));
}

narrow.addEventListener("change", cover);
$("document-close").addEventListener("click", close);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("document").hidden && !document.querySelector("dialog[open]")) close();
});
