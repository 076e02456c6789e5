// The API key: asked for when the server needs one, and kept in this tab alone.

import { $ } from "./dom.js";

const KEY = "embedpipe-key";

export function key() {
  return sessionStorage.getItem(KEY);
}

export function askForKey(message = key() ? "The server does not accept this key." : "") {
  $("key-button").hidden = false;
  $("key-error").textContent = message;
  if (!$("key").open) $("key").showModal();
  $("key-input").focus();
}

// Call the listener each time that the user gives a key.
export function onKey(listener) {
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, $("key-input").value.trim());
    $("key-input").value = "";
    $("key").close();
    listener();
  });
}

$("key-button").hidden = !key();
$("key-button").addEventListener("click", () => askForKey(""));
