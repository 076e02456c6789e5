// The ways to search.

export const MODES = [
  { id: "hybrid", name: "Hybrid", body: { mode: "hybrid" }, hint: "meaning and words" },
  { id: "dense", name: "By meaning", body: { mode: "dense" }, hint: "similar meaning" },
  { id: "lexical", name: "By words", body: { mode: "lexical" }, hint: "same words" },
  { id: "reranked", name: "Reranked", body: { mode: "hybrid", rerank: true }, hint: "hybrid, then ordered again" },
];

// Those that a collection takes. Without an index of words, only meaning is left.
export function possible(collection) {
  return collection.words ? MODES : MODES.filter((mode) => mode.id === "dense");
}

export function chosen(collection, id) {
  const modes = possible(collection);
  return modes.find((mode) => mode.id === id) ?? modes[0];
}
