// The answer: written as it arrives, then with its checked citations, each of which opens its place.

import { $, byCodePoints, el, failure, slice } from "./dom.js";
import { openCitation } from "./document.js";
import { placeOf } from "./results.js";
import { events } from "./server.js";

const FAULTS = {
  unsupported: "The source does not say this.",
  unsupported_value: "The source does not have a value of this sentence.",
  misquoted: "The quotation is not in the source.",
  unknown_source: "There is no source with this number.",
};

// Ask, and write the answer into the page. It fails by itself: the results below it stay.
export async function answer(asked, signal) {
  const place = $("answer"), text = el("p", { class: "text", dir: "auto" });
  place.setAttribute("aria-busy", "true");
  place.replaceChildren(el("p", { class: "text waiting" }, "Reading the sources…"));
  let written = "";
  try {
    for await (const { event, data } of events("answer", { ...asked, stream: true }, signal)) {
      if (signal.aborted) return;
      if (event === "text") {
        written += data.text;
        text.textContent = written;
        if (!text.isConnected) place.replaceChildren(text);
      } else if (event === "error") {
        throw new Error(data.error.message);
      } else if (event === "answer") {
        place.replaceChildren(...finished(data));
        return;
      }
    }
    throw new Error("The answer broke off.");
  } catch (error) {
    if (signal.aborted || error.name === "AbortError") return;
    place.replaceChildren(...(written ? [text] : []), failure(written ? `The answer broke off here: ${error.message}` : error.message));
  } finally {
    if (!signal.aborted) place.removeAttribute("aria-busy");
  }
}

function finished(data) {
  if (!data.answered || !data.sources.length) {
    return [el("p", { class: "text unanswered", dir: "auto" }, data.answer),
      data.sources.length ? el("p", { class: "small" }, "The passages below come closest.") : null].filter(Boolean);
  }
  const points = byCodePoints(data.answer), text = el("p", { class: "text", dir: "auto" });
  let done = 0;
  for (const statement of data.statements) {
    text.append(slice(points, done, statement.start), statement.text, ...statement.citations.map((each) => mark(each, data.sources)));
    done = statement.end;
  }
  text.append(slice(points, done, points.length));
  const cited = new Set(data.statements.flatMap((statement) => statement.citations.map((each) => each.source)));
  return [text, problems(data.statements), sources(data.sources, cited), el("p", { class: "small" }, by(data))].filter(Boolean);
}

function by(data) {
  const who = data.model ? `Written by ${data.model}. Citations are checked against the sources.` : "Quoted from the sources, without a language model.";
  return data.truncated ? `${who} The model stopped at its limit of tokens.` : who;
}

function mark(citation, sources) {
  const source = sources[citation.source - 1], fault = FAULTS[citation.status];
  const name = source ? source.title : "unknown", shown = fault ? `${citation.source}!` : String(citation.source);
  const made = el("button", { type: "button", class: fault ? "cite wrong" : "cite", title: fault ?? citation.quote ?? name,
    onclick: () => openCitation(citation, source, made) }, shown);
  made.setAttribute("aria-label", `Source ${shown}: ${name}${fault ? `. ${fault}` : ""}`);
  return made;
}

function problems(statements) {
  const found = statements.flatMap((statement) => statement.citations.filter((each) => FAULTS[each.status]).map((each) => {
    const values = (each.values ?? []).map((value) => value.nearest ? `“${value.text}” (the source has “${value.nearest}”)` : `“${value.text}”`);
    return el("li", { dir: "auto" }, `[${each.source}] ${FAULTS[each.status]} ${values.join(", ")}`);
  }));
  return found.length ? el("ul", { class: "problems", "aria-label": "Citations that failed their check" }, ...found) : null;
}

function sources(all, cited) {
  return el("ol", { class: "sources", "aria-label": "Sources of the answer" }, ...all.map((source) => {
    if (!cited.has(source.number)) return null;
    const made = el("button", { type: "button", class: "source", dir: "auto", title: source.document_id,
      onclick: () => openCitation({ document_id: source.document_id, start_index: source.start_index, end_index: source.end_index }, source, made) },
    el("span", { class: "number" }, el("span", { class: "visually-hidden" }, "Source "), String(source.number)),
    el("span", { class: "name" }, [source.title, placeOf(source.metadata)].filter(Boolean).join(", ")));
    return el("li", {}, made);
  }).filter(Boolean));
}
