// The documents of a collection: listed, opened, deleted and uploaded.

import { $, announce, counted, el, failure, notice } from "./dom.js";
import { openDocument } from "./document.js";
import { ask, documentPath, upload } from "./server.js";

const MOST_BYTES = 7_000_000; // as Base64 in JSON, within the server's limit of 10 MB
let collection = null;
let loading = null;
let mayWrite = false;
let onWritten = () => {};

// Show the documents of a collection. They are listed anew when the view is entered. `written` is called when the page
// has changed them.
export function showLibrary(name, { writable, written, isEntered }) {
  const isOther = name !== collection || writable !== mayWrite;
  collection = name;
  mayWrite = writable;
  onWritten = written;
  $("upload").hidden = !writable;
  $("read-only").hidden = writable;
  $("upload-into").textContent = name;
  return isOther || isEntered ? list() : undefined;
}

async function list(after = null) {
  loading?.abort();
  const own = loading = new AbortController(), contains = $("find").value.trim();
  const asked = { collection, ...(after === null ? {} : { after }), ...(contains ? { contains } : {}) };
  try {
    const found = await ask(`documents?${new URLSearchParams(asked)}`, { signal: own.signal });
    if (own.signal.aborted) return;
    if (after === null) $("documents").replaceChildren();
    $("more").hidden = found.next === null;
    $("more").onclick = () => list(found.next);
    $("documents").append(...found.documents.map(row));
    if (!$("documents").children.length) {
      $("documents").append(el("li", { class: "empty" }, notice(contains ? "No document has this in its title or id." : "There is no document yet.")));
    }
    announce(`${counted($("documents").children.length, "document")} shown.`);
  } catch (error) {
    if (error.name === "AbortError") return;
    $("more").hidden = true;
    const missing = error.status === 404 && after === null;
    $("documents").replaceChildren(el("li", { class: "empty" }, missing ? notice("There is no document yet.") : failure(error.message)));
  }
}

function row(document) {
  const title = el("button", { type: "button", class: "title", dir: "auto", onclick: () => openDocument(document.id, document.title, title) }, document.title);
  const remove = mayWrite ? el("button", { type: "button", class: "quiet small-button", "aria-label": `Delete ${document.title}`,
    onclick: () => confirmDelete(document, made) }, "Delete") : null;
  const made = el("li", { class: "document-row" }, el("div", { class: "what" }, title,
    el("p", { class: "where", dir: "auto" }, `${document.id === document.title ? "" : `${document.id} · `}${counted(document.chunks, "passage")}`)), remove);
  return made;
}

function confirmDelete(document, made) {
  $("delete-name").textContent = document.title;
  $("delete").returnValue = "";
  $("delete").showModal();
  $("delete").addEventListener("close", async () => {
    if ($("delete").returnValue !== "yes") return;
    try {
      await ask(documentPath(document.id, collection), { method: "DELETE" });
      const next = made.nextElementSibling ?? made.previousElementSibling;
      made.remove();
      (next?.querySelector("button") ?? $("find")).focus();
      announce(`${document.title} is deleted.`);
      onWritten();
    } catch (error) {
      made.querySelector(".wrong")?.remove();
      made.append(failure(error.message));
    }
  }, { once: true });
}

// --- uploads ----------------------------------------------------------------------------------------------------------

let queue = Promise.resolve();

function take(files) {
  const rows = [...files].map((file) => ({ file, name: file.webkitRelativePath || file.name, into: collection }));
  for (const each of rows) {
    each.progress = el("progress", { max: "1", value: "0", "aria-label": `Upload of ${each.name}` });
    each.outcome = el("span", { class: "outcome" }, "waiting");
    $("uploads").append(el("li", {}, el("span", { class: "name", dir: "auto" }, each.name), each.progress, each.outcome));
    queue = queue.then(() => send(each));
  }
  queue = queue.then(() => { if (rows.length) { announce("All files are done."); onWritten(); return list(); } return undefined; });
}

async function send({ file, name, into, progress, outcome }) {
  const end = (text, wrong = false) => {
    progress.remove();
    outcome.textContent = text;
    outcome.classList.toggle("wrong", wrong);
  };
  if (!file.size) return end("It is empty.", true);
  if (file.size > MOST_BYTES) return end(`It has over ${MOST_BYTES / 1e6} MB. Use \`embedpipe ingest\` for it.`, true);
  try {
    outcome.textContent = "sending";
    const content = await base64(file);
    const stored = await upload("files", { name, content, collection: into }, (share) => {
      progress.value = share;
      if (share < 1) return;
      progress.removeAttribute("value");
      outcome.textContent = "reading and embedding";
    });
    return end(described(stored), Object.keys(stored.failures).length > 0);
  } catch (error) {
    return end(error.message, true);
  }
}

function described(stored) {
  const became = stored.added ? "added" : stored.changed ? "updated" : "unchanged";
  const many = stored.documents.length > 1 ? `${counted(stored.documents.length, "document")} ` : "";
  const passages = counted(stored.chunks_embedded + stored.chunks_kept, "passage");
  const parts = [became === "unchanged" ? `${many}unchanged` : `${many}${became}, ${passages}`];
  if (stored.left_out.length) parts.push(`left out: ${stored.left_out.join(", ")}`);
  return [...parts, ...Object.values(stored.failures)].join(". ");
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => reject(new Error("The browser cannot read it.")));
    reader.readAsDataURL(file);
  });
}

for (const id of ["files", "folder"]) {
  $(id).addEventListener("change", () => { take($(id).files); $(id).value = ""; });
  $(`${id}-button`).addEventListener("click", () => $(id).click());
}
for (const event of ["dragover", "dragleave", "drop"]) {
  $("upload").addEventListener(event, (dragged) => {
    dragged.preventDefault();
    $("upload").classList.toggle("over", event === "dragover");
    if (event === "drop") take(dragged.dataTransfer.files);
  });
}
let typing = 0;
$("find").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => list(), 200); });
$("find-form").addEventListener("submit", (event) => { event.preventDefault(); list(); });
