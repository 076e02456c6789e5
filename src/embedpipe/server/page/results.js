// Results: a title, the passage with the words that match, and why it was found.

import { byCodePoints, counted, el, marked } from "./dom.js";
import { open } from "./document.js";

// What is left out at the beginning of ids: the folder that all these documents are in.
function folder(found) {
  const names = found.map((hit) => hit.document_id ?? "");
  let common = names[0].slice(0, names[0].lastIndexOf("/") + 1);
  for (const name of names) {
    while (!name.startsWith(common)) common = common.slice(0, common.slice(0, -1).lastIndexOf("/") + 1);
  }
  return common;
}

const PLACES = [["page_label", "page"], ["page", "page"], ["slide", "slide"], ["sheet", "sheet"], ["row", "row"], ["chapter", "chapter"]];

// The page, slide or row of a passage, in words.
export function placeOf(metadata) {
  const found = PLACES.filter(([name, word], at) => ["string", "number"].includes(typeof metadata[name]) && PLACES.findIndex((each) => each[1] === word && metadata[each[0]] !== undefined) === at);
  return found.map(([name, word]) => `${word} ${metadata[name]}`).join(", ");
}

function where(hit, common) {
  const id = (hit.document_id ?? "").slice(common.length);
  const headings = Array.isArray(hit.metadata.heading_path) ? hit.metadata.heading_path.join(" › ") : "";
  return [id === hit.title ? "" : id, placeOf(hit.metadata), headings === hit.title ? "" : headings].filter(Boolean).join(" · ");
}

// A bar for one reason, as a share of 1. `told` says it to those who do not see it.
function bar(name, kind, share, told) {
  const filled = el("span");
  filled.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return el("li", { class: kind, title: told }, el("span", { "aria-hidden": "true" }, name),
    el("span", { class: "bar", "aria-hidden": "true" }, filled), el("span", { class: "visually-hidden" }, told));
}

function why(hit, mostWords) {
  const ranked = (rank) => rank ? `, rank ${rank}` : "";
  const bars = [];
  if (hit.similarity !== null) {
    bars.push(bar("meaning", "dense", hit.similarity, `Meaning: similarity ${hit.similarity.toFixed(2)}${ranked(hit.dense_rank)}`));
  }
  if (hit.lexical_score !== null) {
    bars.push(bar("words", "lexical", hit.lexical_score / mostWords, `Words: BM25 score ${hit.lexical_score.toFixed(2)}${ranked(hit.lexical_rank)}`));
  }
  return el("ul", { class: "why", "aria-label": "Why it was found" }, ...bars);
}

// The list of what was found. `name` tells several lists apart.
export function resultList(found, { name = "" } = {}) {
  const common = folder(found), mostWords = Math.max(...found.map((hit) => hit.lexical_score ?? 0), 1e-9);
  return el("ol", { class: "hits" }, ...found.map((hit, place) => {
    const title = el("button", { type: "button", class: "title", dir: "auto", onclick: () => open(hit, title) }, hit.title);
    title.setAttribute("aria-label", `${hit.title}, ${name ? `${name} ` : "result "}${place + 1}`);
    const points = byCodePoints(hit.snippet.text), place_ = where(hit, common);
    return el("li", {}, el("article", { class: "hit", "data-id": hit.id },
      el("header", {}, el("span", { class: "place", "aria-hidden": "true" }, String(place + 1)), el("h3", {}, title)),
      place_ ? el("p", { class: "where", dir: "auto", title: hit.document_id }, place_) : null,
      el("p", { class: "snippet", dir: "auto" }, ...marked(points, 0, points.length, hit.snippet.spans)),
      el("footer", {}, why(hit, mostWords))));
  }));
}

export function told(count, query) {
  return count ? `${counted(count, "result")} for “${query}”.` : `Nothing found for “${query}”.`;
}

// Arrow keys go from one title to the next.
export function walk(event, lists) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || !event.target.matches(".title")) return;
  const titles = [...lists.querySelectorAll(".title")], next = titles[titles.indexOf(event.target) + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}
