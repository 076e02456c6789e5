// Conditions on the metadata, chosen from the keys and values of the collection. Together they are the filter as JSON.

import { $, el, announce } from "./dom.js";
import { ask } from "./server.js";
import { current, go } from "./state.js";

const WORDS = { $eq: "is", $ne: "is not", $gte: "at least", $lte: "at most", $gt: "over", $lt: "under", $in: "is one of", $ilike: "is like" };
let keys = [];
let loaded = null; // the collection of these keys

// Return the filter of the address, null for none. It fails if it is not an object.
export function filterOf(state) {
  if (!state.filter) return null;
  let value = null;
  try { value = JSON.parse(state.filter); } catch { /* said below */ }
  if (value && typeof value === "object" && !Array.isArray(value)) return value;
  throw new Error('The filter in the address is not a JSON object, such as {"suffix": ".pdf"}. Remove it.');
}

// A filter as a list of conditions that must all hold.
function conditions(filter) {
  if (!filter) return [];
  if (Object.keys(filter).length === 1 && Array.isArray(filter.$and)) return filter.$and;
  return Object.entries(filter).map(([key, condition]) => ({ [key]: condition }));
}

function joined(list) {
  if (!list.length) return "";
  return JSON.stringify(list.length === 1 ? list[0] : { $and: list });
}

function described(condition) {
  const [[key, value], ...more] = Object.entries(condition);
  if (more.length || key.startsWith("$")) return JSON.stringify(condition);
  if (value === null || typeof value !== "object") return `${key} is ${value}`;
  const parts = Object.entries(value).map(([operator, operand]) => WORDS[operator] ? `${WORDS[operator]} ${Array.isArray(operand) ? operand.join(", ") : operand}` : null);
  return parts.length && !parts.includes(null) ? `${key} ${parts.join(" and ")}` : JSON.stringify(condition);
}

export function renderFilters(state) {
  let list = [];
  try { list = conditions(filterOf(state)); } catch { list = null; }
  const chip = (text, rest) => el("li", {}, el("span", { dir: "auto" }, text),
    el("button", { type: "button", "aria-label": `Remove the filter: ${text}`, onclick: () => go({ filter: rest }) }, "×"));
  $("chips").replaceChildren(...(list === null ? [chip(state.filter, "")]
    : list.map((condition, place) => chip(described(condition), joined(list.filter((_, other) => other !== place))))));
}

// Load the keys when they are looked at.
export async function loadKeys(collection) {
  if (!$("filters").open || loaded === collection) return;
  loaded = collection;
  try {
    keys = (await ask(`metadata?${new URLSearchParams({ collection })}`)).keys;
  } catch (error) {
    loaded = null;
    $("filter-error").textContent = error.message;
    return;
  }
  if (loaded !== collection) return;
  $("filter-key").replaceChildren(...keys.map((key) => el("option", { value: key.name }, key.name)));
  $("filter-form").hidden = !keys.length;
  $("filter-none").hidden = Boolean(keys.length);
  offer();
}

function offer() {
  const key = keys.find((each) => each.name === $("filter-key").value);
  $("filter-values").replaceChildren(...(key?.values ?? []).map(([value, count]) => el("option", { value: String(value) }, `${count} passages`)));
  $("filter-value").value = "";
  $("filter-value").placeholder = key?.values.length ? `e.g. ${key.values[0][0]}` : "";
}

// The value as the collection has it: "2020" is a number where the values are numbers.
function typed(key, text) {
  const known = key.values.find(([value]) => String(value) === text);
  if (known) return known[0];
  const isNumber = key.values.every(([value]) => typeof value === "number") && text !== "" && Number.isFinite(Number(text));
  return isNumber ? Number(text) : text;
}

// Another value of the same key widens the filter, as nothing has two values.
function added(list, key, operator, value) {
  const same = operator === "$eq" ? list.find((each) => Object.keys(each)[0] === key && values(each[key])) : undefined;
  if (!same) return [...list, { [key]: operator === "$eq" ? value : { [operator]: value } }];
  return list.map((each) => each === same ? { [key]: { $in: [...new Set([...values(each[key]), value])] } } : each);
}

function values(condition) {
  if (condition === null || typeof condition !== "object") return [condition];
  return Object.keys(condition).length === 1 && Array.isArray(condition.$in) ? condition.$in : null;
}

$("filter-key").addEventListener("change", offer);
$("filter-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = keys.find((each) => each.name === $("filter-key").value), text = $("filter-value").value.trim();
  const operator = $("filter-operator").value;
  const value = key && text && typed(key, text);
  const isWrong = value === "" || (["$gte", "$lte"].includes(operator) && key.values.every(([each]) => typeof each === "number") && typeof value !== "number");
  $("filter-error").textContent = isWrong ? "Enter a value, such as one of those offered." : "";
  if (isWrong) { $("filter-value").focus(); return; }
  const like = `%${text.replace(/[\\%_]/g, "\\$&")}%`;
  let list = [];
  try { list = conditions(filterOf(current())); } catch { /* a new one takes its place */ }
  go({ filter: joined(added(list, key.name, operator, operator === "$ilike" ? like : value)) });
  announce(`Filter added: ${key.name}.`);
});
