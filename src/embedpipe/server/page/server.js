// Calls of the server. They fail with `Refused`, whose message says what is wrong. Where a key is needed, it is asked for.

import { askForKey, key } from "./key.js";

export class Refused extends Error {
  constructor(status, message) { super(message); this.status = status; }
}

const UNREACHABLE = "The server does not answer. Is it running?";

function headers(body) {
  const given = { Accept: "application/json" };
  if (key()) given.Authorization = `Bearer ${key()}`;
  if (body) given["Content-Type"] = "application/json";
  return given;
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return null; }
}

function refusal(status, answer, wait) {
  if (status === 401) askForKey();
  const message = answer?.error?.message ?? `The server answered with status ${status}.`;
  return new Refused(status, status === 429 && wait ? `${message} Try again in ${wait} s.` : message);
}

async function send(path, { method, body, signal } = {}) {
  const options = { method: method ?? (body ? "POST" : "GET"), headers: headers(body), body: body && JSON.stringify(body), signal };
  const response = await fetch(path, options).catch((error) => {
    throw error.name === "AbortError" ? error : new Refused(0, UNREACHABLE);
  });
  if (response.ok) return response;
  throw refusal(response.status, parsed(await response.text()), response.headers.get("Retry-After"));
}

// Return the server's answer from its JSON.
export async function ask(path, options) {
  const response = await send(path, options);
  return response.json().catch((error) => {
    throw error.name === "AbortError" ? error : new Refused(0, "The server's answer broke off. Send it again.");
  });
}

// Yield the events of a stream as { event, data }.
export async function* events(path, body, signal) {
  const response = await send(path, { body, signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new Refused(0, "The connection broke off.");
    });
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const [, event, data] = part.match(/^event: (.*)\ndata: (.*)$/) ?? [];
      if (event) yield { event, data: JSON.parse(data) };
    }
  }
}

// Send a body, and call `onProgress` with the share that is sent.
export function upload(path, body, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    for (const [name, value] of Object.entries(headers(body))) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    request.addEventListener("error", () => reject(new Refused(0, UNREACHABLE)));
    request.addEventListener("load", () => {
      const answer = parsed(request.responseText);
      if (request.status === 200 && answer) resolve(answer);
      else reject(refusal(request.status, answer, request.getResponseHeader("Retry-After")));
    });
    request.send(JSON.stringify(body));
  });
}

export function documentPath(id, collection) {
  return `documents/${id.split("/").map(encodeURIComponent).join("/")}?${new URLSearchParams({ collection })}`;
}
