"""Tell from a question's words what kind of value answers it: a number, a date, or a name."""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple, TypeAlias, cast

AnswerKind: TypeAlias = Literal["number", "date", "name"]

# The words that ask, in English, German, French, Spanish, Italian, Portuguese and Dutch. Those of the last row ask for
# no kind that can be told, and come last, since "what" begins "what year". Dutch "wie" (who) is left out, since it is
# German "how".
_ASKING: Final = {
    "number": (
        "how many|how much|how old|how long|how far|how tall|how large|how big|how high|how fast|how wide|how deep"
        "|how heavy|how often|how hot|how cold|what percent|what percentage|what number|what amount|what proportion"
        "|what fraction|what temperature|wie viele|wie viel|wieviele|wieviel|wie alt|wie lange|wie lang|wie weit"
        "|wie groß|wie hoch|wie schnell|wie oft|wie tief|wie schwer|welcher anteil|combien|quel âge|quelle distance"
        "|cuántos|cuántas|cuánto|cuánta|quanto|quanta|quanti|quante|quantos|quantas|hoeveel|hoe lang|hoe oud|hoe ver"
        "|hoe groot|hoe hoog"
    ),
    "date": (
        "when|what year|which year|what date|which date|what day|which day|what month|which month|what decade"
        "|which decade|what century|which century|wann|welchem jahr|welches jahr|welchem jahrhundert|quand"
        "|quelle année|quelle date|cuándo|qué año|qué fecha|quando|che anno|quale anno|que ano|wanneer|welk jaar"
    ),
    "name": (
        "who|whom|whose|where|what city|which city|what country|which country|what state|which state|what person"
        "|which person|what team|which team|what company|which company|wer|wem|wen|wessen|wo|woher|wohin"
        "|welche stadt|welchem land|welches land|qui|où|quel pays|quelle ville|quién|quiénes|dónde|qué país"
        "|qué ciudad|chi|quem|onde|waar"
    ),
    "other": (
        "what|which|how|why|was|welche|welcher|welches|welchem|welchen|wie|warum|wieso|weshalb|que|quoi|quel|quelle"
        "|quels|quelles|comment|pourquoi|qué|cuál|cuáles|cómo|che|cosa|quale|quali|come|perché|qual|quais|como|wat"
        "|welk|welke|hoe|waarom"
    ),
}
_PHRASE: Final = re.compile(
    r"\b(?:" + "|".join(f"(?P<{kind}>{phrases})" for kind, phrases in _ASKING.items()).replace(" ", r"\s+") + r")\b",
    re.IGNORECASE,
)


class AskedFor(NamedTuple):
    """The kind of value that answers a question, None if its words do not tell, and the question without them."""

    kind: AnswerKind | None
    topic: str


def asked_for(question: str) -> AskedFor:
    """Read what a question asks for from the first of its words that asks."""
    found = _PHRASE.search(question)
    if found is None:
        return AskedFor(None, question)
    kind = cast(AnswerKind, found.lastgroup) if found.lastgroup != "other" else None
    return AskedFor(kind, f"{question[: found.start()]} {question[found.end() :]}")
