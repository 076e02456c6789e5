"""The values of a text, read once."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import NamedTuple, TypeAlias

from embedpipe.answering.values.names import NUMERALS, HeldWords, Name, names
from embedpipe.answering.values.negations import content
from embedpipe.answering.values.quantities import Date, Quantity, quantities_and_dates
from embedpipe.answering.values.sizes import size_of
from embedpipe.answering.values.tokens import Token, language_of, tokenize

Item: TypeAlias = Quantity | Date | Name

_CONTEXT = 3
"""How many words on each side of a value are compared."""
_ARTICLES = frozenset(("the", "a", "an"))
_MOST_PLACES = 50
"""At how many places of a repetitive text a value's context is compared. It keeps the time linear."""


class Place(NamedTuple):
    """A value of a source, with the words before and after it."""

    item: Item
    before: tuple[str, ...]
    after: tuple[str, ...]


class ValuesOfText:
    """The values of a text, read once: a statement, or a source that statements are checked against.

    Args:
        text: The text.
        also: What else names and numbers may be taken from, such as the document's title.
        language: The language, if it is known. Otherwise it is told by the frequent words.
    """

    def __init__(self, text: str, *, also: str = "", language: str | None = None) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.language = language or language_of(self.tokens, text)
        self.quantities, self.dates = quantities_and_dates(self.tokens, text, self.language)
        numbers: list[Item] = [*self.quantities, *self.dates]
        taken = {at for each in numbers for at in range(each.first, each.last)}
        self.names = names(self.tokens, taken, self.language)
        self.items: list[Item] = [*numbers, *self.names]
        self._also = tokenize(also)
        self._also_numbers, _ = quantities_and_dates(self._also, also, self.language)

    @cached_property
    def numbers(self) -> set[float]:
        """Return all numbers, with those of dates, of the title, and of names, as in World War II."""
        found = {value for quantity in (*self.quantities, *self._also_numbers) for value in quantity.readings}
        parts = {part for date in self.dates for reading in date.readings for part in reading if part is not None}
        numerals = {NUMERALS[token.form] for token in self.tokens if token.text.isupper() and token.form in NUMERALS}
        return found | {float(each) for each in parts | numerals}

    @cached_property
    def held_words(self) -> HeldWords:
        return HeldWords(self.tokens, self._also, self.numbers)

    @cached_property
    def units_of(self) -> dict[float, set[str | None]]:
        """Return the units that each number has in the text. None stands for no unit."""
        found: defaultdict[float, set[str | None]] = defaultdict(set)
        for quantity in self.quantities:
            for value in quantity.readings:
                found[value].add(quantity.unit)
        for number in self.numbers:
            if number not in found:
                found[number].add(None)
        return found

    @cached_property
    def sizes(self) -> dict[str | None, dict[str | None, list[float]]]:
        """Return the quantities of each dimension by their unit, in the base unit, in order."""
        found: defaultdict[str | None, dict[str | None, list[float]]] = defaultdict(dict)
        for quantity in self.quantities:
            dimension, size = size_of(quantity.likely, quantity.unit)
            found[dimension].setdefault(quantity.unit, []).append(size)
        for sizes in (sizes for by_unit in found.values() for sizes in by_unit.values()):
            sizes.sort()
        return found

    @cached_property
    def by_number(self) -> dict[float, Quantity]:
        return {value: quantity for quantity in reversed(self.quantities) for value in quantity.readings}

    @cached_property
    def by_sentence(self) -> dict[tuple[type, int], list[Item]]:
        """Return the values of each kind by their sentence, and for sentence -1 all of them: some, not all of many."""
        found: defaultdict[tuple[type, int], list[Item]] = defaultdict(list)
        for item in self.items:
            for sentence in (self.tokens[item.first].sentence, -1):
                if len(found[type(item), sentence]) < _MOST_PLACES:
                    found[type(item), sentence].append(item)
        return found

    @cached_property
    def parts_of_dates(self) -> set[tuple[int | None, int | None, int | None]]:
        """Return the dates, and what they say of less: the month and the year, the day and the month."""
        found: set[tuple[int | None, int | None, int | None]] = set()
        for date in self.dates:
            for year, month, day in date.readings:
                found |= {(year, month, day), (year, month, None), (None, month, day), (None, month, None)}
                found |= {(year, None, None), (None, None, day)}
        return found

    @cached_property
    def strong_forms(self) -> set[str]:
        return {form for name in self.names for form in name.strong}

    @cached_property
    def sentences(self) -> list[tuple[list[Token], list[str]]]:
        """Return the tokens of each sentence, and the roots of its content words."""
        found: defaultdict[int, list[Token]] = defaultdict(list)
        for token in self.tokens:
            found[token.sentence].append(token)
        return [(tokens, content(tokens)) for tokens in found.values()]

    @cached_property
    def places(self) -> dict[type, list[Place]]:
        found: dict[type, list[Place]] = {Quantity: [], Date: [], Name: []}
        for item in self.items:
            found[type(item)].append(self.place(item))
        return found

    @cached_property
    def neighbors(self) -> dict[tuple[type, str, str], list[Place]]:
        """Return the places of each kind by the word before and the word after."""
        found: defaultdict[tuple[type, str, str], list[Place]] = defaultdict(list)
        for kind, places in self.places.items():
            for place in places:
                key = (kind, place.before[0], place.after[0])
                if len(found[key]) < _MOST_PLACES:
                    found[key].append(place)
        return found

    def place(self, item: Item) -> Place:
        return Place(item, self._words(item.first - 1, -1), self._words(item.last, 1))

    def _words(self, at: int, step: int) -> tuple[str, ...]:
        """Return the nearest words on one side, nearest first. The end of the sentence counts as a word."""
        found: list[str] = []
        inside = at - step
        sentence = self.tokens[inside].sentence
        while len(found) < _CONTEXT:
            if not 0 <= at < len(self.tokens) or self.tokens[at].sentence != sentence:
                found.append("")
                break
            if self.tokens[at].kind != "sign" and self.tokens[at].form not in _ARTICLES:
                found.append(self.tokens[at].form)
            at += step
        return tuple(found)

    def shown(self, item: Item) -> tuple[str, int, int]:
        start, end = self.tokens[item.first].start, self.tokens[item.last - 1].end
        return self.text[start:end], start, end
