"""How often a wrong value in a cited statement is found, and how often a right one is marked.

True sentences are drawn from paragraphs of the shared sets. Half of the pairs get one value changed: a number, a unit,
a date, a negation or a name. The other half say the same, word for word or in another form: reordered, with numbers as
words, other forms of dates and units, shortened names, contractions, double negations, or as a question of SQuAD with
its answer. The sets are divided by document: the checker was developed on one part (`develop`), and the figures in the
documentation are those of the other (`report`).

Printed: precision and recall by type. A changed value counts as found if a value at its place is marked. Beside it: a
check that only looks whether each number and capitalised word occurs in the source.

    python benchmarks/answer_values.py [report | develop] [pairs] [--errors TYPE]
"""

from __future__ import annotations

import gzip
import json
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from embedpipe.answering.values import ValuesOfText, unsupported_values
from embedpipe.text import sentence_spans

DATA = Path(__file__).parents[2] / "shared" / "data" / "retrieval"
SETS = ("squad_v11_dev", "scifact_train", "xquad_de", "xquad_es", "xquad_ar", "xquad_vi", "xquad_zh")
ENGLISH = SETS[:2]
TYPES = ("number", "unit", "date", "negation", "name")


def words(written: str, between: str | None = None) -> list[str]:
    return written.split(between)


WORDS = dict(enumerate(words("zero one two three four five six seven eight nine ten eleven twelve")))
MONTHS = words("January February March April May June July August September October November December")
UNITS = [
    words("seconds minutes hours days weeks months years decades centuries"),
    words("second minute hour day week month year decade century"),
    words("millimetres centimetres metres kilometres miles feet inches"),
    words("meters kilometers miles feet inches centimeters"),
    words("mm cm m km"),
    words("mg g kg"),
    words("grams kilograms pounds tonnes tons"),
    ["percent", "degrees", "dollars"],
    ["$", "€", "£"],
    ["°C", "°F"],
    ["km2", "acres", "hectares"],
    ["Hz", "kHz", "MHz"],
    ["Minuten", "Stunden", "Tage", "Wochen", "Monate", "Jahre", "Jahren"],
    ["minutos", "horas", "días", "semanas", "meses", "años"],
]  # fmt: skip
AUXILIARY = words("is are was were has have had can could will would may might must does did")


@dataclass(frozen=True)
class Pair:
    """A statement with its source. `changed` is the type of the value that was changed, None for a true statement."""

    statement: str
    source: str
    changed: str | None
    how: str
    place: tuple[int, int]
    title: str = ""


# --- true sentences


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def is_held_out(text: str) -> bool:
    return crc32(text.encode()) % 2 == 1


def paragraphs(name: str, *, held_out: bool) -> list[str]:
    """Return the texts of one half of the documents. The sets of XQuAD are divided alike in all languages."""
    found = rows(DATA / name / "corpus.jsonl.gz")
    return [row["text"] for row in found if is_held_out(row["_id"].split("-")[0]) == held_out]


def sentences(text: str) -> list[str]:
    return [text[a:b] for a, b in sentence_spans(text) if 30 < b - a < 400 and text[b - 1] in ".。؟!?"]


# --- changes: each returns the new sentence and the place of the change, or None


Change = tuple[str, tuple[int, int]] | None


def put(text: str, found: re.Match[str], new: str, group: int = 0) -> Change:
    start, end = found.span(group)
    return text[:start] + new + text[end:], (start, start + max(len(new), 1))


def change_number(text: str, source: str, _names: Sequence[str], rng: random.Random) -> Change:
    spelled = "|".join(list(WORDS.values())[2:])
    found = [
        m for m in re.finditer(rf"(?<![\w.,$-])(?:\d+(?:[.,]\d+)*|{spelled})(?![\w-]|[.,]\d)", text) if not year(m[0])
    ]
    found = [m for m in found if not re.search(rf"(?:{'|'.join(MONTHS)})\s$", text[: m.start()])]
    found = [m for m in found if not re.match(rf"\s(?:{'|'.join(MONTHS)})", text[m.end() :])]
    if not found:
        return None
    chosen = rng.choice(found)
    old = chosen[0]
    others = [n for n in re.findall(r"(?<![\w.,])\d+(?:[.,]\d+)*(?![\w]|[.,]\d)", source) if n != old and not year(n)]
    if not old[0].isdecimal():
        return put(text, chosen, rng.choice([word for word in list(WORDS.values())[2:] if word != old]))
    if others and rng.random() < 0.3 and (new := rng.choice(others)) not in text:
        return put(text, chosen, new)
    while True:
        new = re.sub(r"\d", lambda m: str(rng.randint(1, 9)) if rng.random() < 0.6 else m[0], old)
        if new != old:
            return put(text, chosen, new)


def year(written: str) -> bool:
    return bool(re.fullmatch(r"1[0-9]{3}|20\d\d", written))


def change_unit(text: str, _source: str, _names: Sequence[str], rng: random.Random) -> Change:
    groups = [(unit, group) for group in UNITS for unit in group]
    rng.shuffle(groups)
    number = rf"(?:\d|\b(?:{'|'.join(WORDS.values())}|million|billion|hundred))"
    for unit, group in groups:
        pattern = rf"{re.escape(unit)}(?=\s?\d)" if unit in "$€£" else rf"{number}[ \u00a0-]?({re.escape(unit)})(?!\w)"
        if found := re.search(pattern, text):
            return put(text, found, rng.choice([other for other in group if other != unit]), len(found.groups()))
    return None


def change_date(text: str, source: str, _names: Sequence[str], rng: random.Random) -> Change:
    years = list(re.finditer(r"(?<![\w.,$-])(?:1[0-9]{3}|20[0-2]\d)(?![\w%]|[.,]\d)", text))
    months = list(re.finditer(rf"\b(?:{'|'.join(MONTHS)})(?=\s\d)", text))
    days = list(re.finditer(rf"(?<=\s)(\d\d?)(?=\s(?:{'|'.join(MONTHS)}))|(?:{'|'.join(MONTHS)})\s(\d\d?)(?=\D)", text))
    choices = years + months + days
    if not choices:
        return None
    chosen = rng.choice(choices)
    if chosen in months:
        return put(text, chosen, rng.choice([month for month in MONTHS if month != chosen[0]]))
    if chosen in days:
        group = 1 if chosen[1] else 2
        return put(text, chosen, str(rng.choice([day for day in range(1, 29) if day != int(chosen[group])])), group)
    others = [y for y in re.findall(r"(?<!\d)(?:1[0-9]{3}|20[0-2]\d)(?!\d)", source) if y not in text]
    if others and rng.random() < 0.3:
        return put(text, chosen, rng.choice(others))
    return put(text, chosen, str(int(chosen[0]) + rng.choice([-20, -10, -3, -2, -1, 1, 2, 3, 10, 20])))


def change_negation(text: str, _source: str, _names: Sequence[str], rng: random.Random) -> Change:
    drops = [
        (r"\b(?:is|are|was|were|has|have|had|can|could|will|would|may|does|did|do|must|should)( not)\b(?! only)", ""),
        (r"\b(?:is|are|was|were|has|have|had|could|would|does|did|do)(n['’]t)\b", ""),
        (r"\b(?:can)(not)\b", ""),
        (r"\b(without)\b", "with"),
        (r"\b(never )", ""),
        (r"\b(no )(?=[a-z])(?!longer|more|less|fewer)", ""),
    ]
    rng.shuffle(drops)
    for pattern, new in drops:
        if (found := re.search(pattern, text)) and rng.random() < 0.7:
            return put(text, found, new, 1)
    found = re.search(rf"\b(?:{'|'.join(AUXILIARY)})( )(?!not|no|never|\W)", text)
    return put(text, found, rng.choice([" not ", " not ", " never "]), 1) if found else None


NAME = re.compile(r"(?<=[a-z,;] )[A-Z][\w’'-]+(?: [A-Z][\w’'-]+)*(?![\w’'-])")


def names_of(text: str) -> list[str]:
    months = {*MONTHS, "I", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
    return [
        name for name in NAME.findall(text) if not months & set(name.split()) and not any(c.isdigit() for c in name)
    ]


def change_name(text: str, source: str, names: Sequence[str], rng: random.Random) -> Change:
    own = names_of(text)
    if not own:
        return None
    old = rng.choice(own)
    found = next(m for m in NAME.finditer(text) if m[0] == old)
    near = [name for name in names_of(source) if not set(name.split()) & set(text.split())]
    new = rng.choice(near) if near and rng.random() < 0.3 else rng.choice(names)
    if set(new.lower().split()) & set(old.lower().split()) or new in text:
        return None
    return put(text, found, new)


CHANGES: dict[str, Callable[[str, str, Sequence[str], random.Random], Change]] = {
    "number": change_number,
    "unit": change_unit,
    "date": change_date,
    "negation": change_negation,
    "name": change_name,
}

# --- other forms of the same: each returns a true statement, or the sentence as it is


SYNONYMS = dict(
    pair.split("/")
    for pair in words(
        "began/started large/big many/numerous however/but used/employed important/significant also/additionally "
        "often/frequently while/whereas about/approximately because/since nearly/almost several/various "
        "shows/demonstrates found/discovered made/produced called/named built/constructed increased/rose"
    )
)
CONTRACTIONS = dict(
    pair.split("/")
    for pair in words(
        "is not/isn't|are not/aren't|was not/wasn't|were not/weren't|has not/hasn't|have not/haven't|did not/didn't|"
        "does not/doesn't|cannot/can't|could not/couldn't|would not/wouldn't",
        "|",
    )
)
SHORT = dict(
    pair.split("/")
    for pair in words(
        "kilometres/km kilometers/km metres/m meters/m minutes/min hours/h percent/% kilograms/kg grams/g "
        "millimeters/mm centimeters/cm seconds/s years/yrs"
    )
)
DIGITS = {"ar": "٠١٢٣٤٥٦٧٨٩", "hi": "०१२३४५६७८९", "th": "๐๑๒๓๔๕๖๗๘๙"}


def number_words(text: str, rng: random.Random) -> str:
    numbers = {word: str(n) for n, word in WORDS.items() if n > 1}
    if rng.random() < 0.5:
        return re.sub(rf"(?<![\w-])({'|'.join(numbers)})\b(?!-)", lambda m: numbers[m[0]], text)
    return re.sub(r"(?<![\w.,·$/:=<>–−-])([2-9]|1[0-2])(?![\w.,·/:–-])(?! \d)", lambda m: WORDS[int(m[0])], text)


def thousands(text: str, rng: random.Random) -> str:
    if "," in text and re.search(r"\d,\d{3}", text):
        return re.sub(r"(?<=\d),(?=\d{3}(?!\d))", rng.choice(["", " ", "\u202f"]), text)
    return re.sub(r"(?<![\d.,])(\d{2,3})(\d{3})(?![\d.,])", r"\1,\2", text)


def percent(text: str, rng: random.Random) -> str:
    return re.sub(
        r"(?<=\d)\s?(?:%|percent\b|per cent\b)", lambda m: rng.choice(["%", " %", " percent", " per cent"]), text
    )


def dates(text: str, rng: random.Random) -> str:
    months = "|".join(MONTHS)

    def written(day: str, month: str, year: str) -> str:
        number = MONTHS.index(month) + 1
        end = {1: "st", 2: "nd", 3: "rd"}.get(int(day) % 10 if int(day) not in (11, 12, 13) else 0, "th")
        forms = (
            f"{year}-{number:02}-{int(day):02}",
            f"{day} {month} {year}",
            f"{month} {day}{end}, {year}",
            f"{month[:3]} {day}, {year}",
            f"the {day}{end} of {month}, {year}",
            f"{int(day):02}/{number:02}/{year}",
        )
        return rng.choice(forms)

    text = re.sub(rf"\b({months}) (\d\d?), (\d{{4}})", lambda m: written(m[2], m[1], m[3]), text)
    return re.sub(rf"(?<!\d )(?<!\w)(\d\d?) ({months}) (\d{{4}})", lambda m: written(m[1], m[2], m[3]), text)


def short_units(text: str, _rng: random.Random) -> str:
    return re.sub(rf"(?<=\d )({'|'.join(SHORT)})\b", lambda m: SHORT[m[0]], text)


def converted(text: str, _rng: random.Random) -> str:
    factors = {
        "miles": (1.609, "km"),
        "feet": (0.3048, "m"),
        "pounds": (0.4536, "kg"),
        "kilometers": (0.6214, "miles"),
        "hours": (60, "minutes"),
    }

    def other(found: re.Match[str]) -> str:
        factor, unit = factors[found[2]]
        value = float(found[1].replace(",", "")) * factor
        return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"

    return re.sub(
        r"(?<![\w.,$–-])(?<!to )(?<!and )(?<!or )(\d+(?:,\d{3})*(?:\.\d+)?) "
        r"(miles|feet|pounds|kilometers|hours)\b(?! [\d(])",
        other,
        text,
    )


def short_names(text: str, rng: random.Random) -> str:
    names = [name for name in names_of(text) if len(name.split()) == 2]
    if not names:
        return text
    name = rng.choice(names)
    first, last = name.split()
    return text.replace(name, rng.choice([last, f"{first[0]}. {last}"]))


def contractions(text: str, _rng: random.Random) -> str:
    for full, short in CONTRACTIONS.items():
        if re.search(rf"\b{full}\b", text):
            return re.sub(rf"\b{full}\b", short, text)
    return re.sub(r"\b(is|are|was|were|has|have|did|does)n['’]t\b", r"\1 not", text)


def double_negation(text: str, _rng: random.Random) -> str:
    text = re.sub(r"\bnot (possible|able|likely|known|clear|common|usual)\b",
        lambda m: {"possible": "impossible"}.get(m[1], "un" + m[1]), text)  # fmt: skip
    return re.sub(r"\b(?<!not )(is|are|was|were) (common|likely|usual|important|clear|known)\b",
        lambda m: f"{m[1]} not un{m[2]}", text, count=1)  # fmt: skip


def reordered(text: str, _rng: random.Random) -> str:
    if found := re.fullmatch(
        r"((?:In|On|At|During|After|Before|By|For|From|Since|Under|With|As) [^,;()]{3,60}), ([^;]+)\.", text
    ):
        return f"{found[2][0].upper()}{found[2][1:]} {found[1][0].lower()}{found[1][1:]}."
    if found := re.search(r"\b([A-Z]\w+), ([A-Z]\w+),? and ([A-Z]\w+)\b", text):
        return text.replace(found[0], f"{found[3]}, {found[1]} and {found[2]}")
    if found := re.fullmatch(r"([^,;()]{20,}), (and|but|while|because|although) ([^;]{20,})\.", text):
        return f"{found[3][0].upper()}{found[3][1:]}, {found[2]} {found[1]}."
    return text


def synonyms(text: str, _rng: random.Random) -> str:
    return re.sub(r"\b(\w+)\b", lambda m: SYNONYMS.get(m[0], m[0]), text)


def shortened(text: str, _rng: random.Random) -> str:
    text = re.sub(r"\s\([^()]*\)", "", text)
    found = re.match(r"([^;]{40,}?)(?:;|, (?:which|who|where|with|and|but)\b).*", text)
    return found[1] + "." if found else text


def other_digits(text: str, rng: random.Random) -> str:
    digits = DIGITS[rng.choice(sorted(DIGITS))]
    return re.sub(r"\d", lambda m: digits[int(m[0])], text)


def decimal_comma(text: str, _rng: random.Random) -> str:
    return re.sub(r"(?<![\w.,-])(\d+)\.(\d{1,2})(?![\d.,]\d|\w)", r"\1,\2", text)


FORMS: tuple[Callable[[str, random.Random], str], ...] = (
    number_words, thousands, percent, dates, short_units, converted, short_names, contractions, double_negation,
    reordered, synonyms, shortened, other_digits, decimal_comma,
)  # fmt: skip


# --- pairs


def asked(held_out: bool) -> list[tuple[str, str, str]]:
    """Return SQuAD's questions with their answers as statements, their paragraphs, and the titles of those."""
    texts = {row["_id"]: row for row in rows(DATA / "squad_v11_dev" / "corpus.jsonl.gz")}
    found = rows(DATA / "squad_v11_dev" / "spans.jsonl.gz")
    kept = [row for row in found if is_held_out(row["corpus_id"]) == held_out]
    return [
        (f"{row['question'].rstrip('? ')}: {row['references'][0]['content']}.", paragraph["text"], paragraph["title"])
        for row in kept
        for paragraph in (texts[row["paragraph"]],)
    ]


def pairs(part: str, count: int) -> Iterator[Pair]:
    rng = random.Random(7)
    seen: set[str] = set()
    held_out = part == "report"
    texts = {name: paragraphs(name, held_out=held_out) for name in SETS}
    names = sorted({name for text in texts["squad_v11_dev"] for name in names_of(text)})
    for each in range(count // 2):
        kind = TYPES[each % len(TYPES)]
        while True:
            # Negations and names are changed in English alone, and every tenth of the others in another language.
            others = SETS[2:] if kind in ("number", "date", "unit") and rng.random() < 0.1 else ENGLISH
            source = rng.choice(texts[rng.choice(others)])
            found = sentences(source)
            if not found:
                continue
            old = rng.choice(found)
            change = CHANGES[kind](old, source, names, rng)
            if change is not None and change[0] not in source and change[0] not in seen:
                seen.add(change[0])
                yield Pair(change[0], source, kind, "changed", change[1])
                break
    questions = asked(held_out)
    for each in range(count - count // 2):
        if each % 10 == 0:
            statement, source, title = rng.choice(questions)
            yield Pair(statement, source, None, "question and answer", (0, 0), title)
            continue
        # A form that few sentences can take is given up after some tries for another one.
        for attempt in range(10_000):
            form = None if each % 10 < 3 else FORMS[(each + attempt // 200) % len(FORMS)]
            in_any = form is None or form in (other_digits, decimal_comma)
            source = rng.choice(texts[rng.choice(SETS if in_any else ENGLISH)])
            found = sentences(source)
            if not found:
                continue
            old = rng.choice(found)
            new = old if form is None else form(old, rng)
            if (form is None or new != old) and new not in seen:
                seen.add(new)
                yield Pair(new, source, None, "verbatim" if form is None else form.__name__, (0, 0))
                break


# --- checks: each returns (type, start, end) of the values that it marks


Marks = list[tuple[str, int, int]]


def by_values(pair: Pair) -> Marks:
    found = unsupported_values(ValuesOfText(pair.statement), ValuesOfText(pair.source, also=pair.title))
    return [(value.kind, value.start, value.end) for value in found]


def by_occurrence(pair: Pair) -> Marks:
    """Mark numbers and capitalised words that occur nowhere in the source."""
    held = set(re.findall(r"\d+(?:[.,]\d+)*|\w+", pair.source.lower()))
    found = re.finditer(r"\d+(?:[.,]\d+)*|(?<=[a-z,;] )[A-Z]\w+", pair.statement)
    return [("number" if m[0][0].isdecimal() else "name", *m.span()) for m in found if m[0].lower() not in held]


def main(part: str, count: int, errors: str | None) -> None:
    checks: dict[str, Callable[[Pair], Marks]] = {"embedpipe": by_values, "occurrence of each": by_occurrence}
    made = list(pairs(part, count))
    for name, check in checks.items():
        found = [(pair, check(pair)) for pair in made]
        print(f"\n{name}, {part}, {count} pairs")
        table(found)
        if errors and name == "embedpipe":
            show_errors(found, errors)


def table(found: Sequence[tuple[Pair, Marks]]) -> None:
    hits = {kind: [0, 0, 0, 0] for kind in TYPES}  # changed, found at its place, marked as this type, and rightly
    marked = rightly = 0
    forms: defaultdict[str, list[bool]] = defaultdict(list)
    for pair, marks in found:
        marked += bool(marks)
        rightly += bool(marks) and pair.changed is not None
        for kind in {kind for kind, _, _ in marks}:
            hits[kind][2] += 1
            hits[kind][3] += pair.changed is not None and any(at(pair, mark) for mark in marks if mark[0] == kind)
        if pair.changed is None:
            forms[pair.how].append(bool(marks))
            continue
        hits[pair.changed][0] += 1
        hits[pair.changed][1] += any(at(pair, mark) for mark in marks)
    total = sum(each[0] for each in hits.values())
    print(
        f"{'whole':20} precision {rightly / max(marked, 1):.3f}  recall {sum(h[1] for h in hits.values()) / total:.3f}"
    )
    for kind, (changed, caught, said, right) in hits.items():
        print(f"{kind:20} precision {right / max(said, 1):.3f}  recall {caught / changed:.3f}  of {changed}")
    for how, values in sorted(forms.items()):
        print(f"  marked of {len(values):4} true, {how:20} {sum(values) / len(values):.3f}")


def at(pair: Pair, mark: tuple[str, int, int]) -> bool:
    """Return whether a mark is at the change. Where a negation was removed, nothing is left to point at."""
    kind, start, end = mark
    return (kind == "negation" == pair.changed) or (start < pair.place[1] and pair.place[0] < end)


def show_errors(found: Sequence[tuple[Pair, Marks]], kind: str) -> None:
    shown = Counter[str]()
    for pair, marks in found:
        wrong = (
            any(m[0] == kind for m in marks)
            if pair.changed is None
            else pair.changed == kind and not any(at(pair, m) for m in marks)
        )
        if wrong and shown[str(pair.changed)] < 15:
            shown[str(pair.changed)] += 1
            print("\n---", pair.changed, pair.how, "|", pair.statement[slice(*pair.place)])
            print("S:", pair.statement)
            print("T:", pair.source[:900])
            print(
                "=>",
                [
                    (v.kind, v.text, v.nearest)
                    for v in unsupported_values(
                        ValuesOfText(pair.statement), ValuesOfText(pair.source, also=pair.title)
                    )
                ],
            )


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    kind = sys.argv[sys.argv.index("--errors") + 1] if "--errors" in sys.argv else None
    given = [argument for argument in given if argument != kind]
    main(given[0] if given else "report", int(given[1]) if len(given) > 1 else 10_000, kind)
