"""Words that are grammar and no content."""

from __future__ import annotations

from typing import Final


def _words(written: str) -> frozenset[str]:
    return frozenset(written.split())


FUNCTION_WORDS: Final[dict[str, frozenset[str]]] = {
    "en": _words(
        "the of and to in is was that for with as by on are from at it an be were has had which or this these they he "
        "his her but into than who will can when been its also about not have how what did does per times"
    ),
    "de": _words("der die das und in den von zu mit ist des im für auf dem nicht eine ein auch wurde sich"),
    "fr": _words("le la les de des et en du un une est dans par pour que qui au sur il a été"),
    "es": _words("el la los las de y en que del un una por con para se su es al fue como"),
    "it": _words("il lo la i gli di e che in un una per con del della è nel dei da si"),
    "pt": _words("o os as de e em que do da um uma para com por no na dos foi ao é"),
    "nl": _words("de het een van en in is op dat met voor zijn aan door niet te bij werd"),
    "vi": _words("và của là các trong có được cho với những một người đã"),
}
"""Frequent words, by which a language is told."""
COMMON: Final = _words(
    "a an the this that these those it its he she they we you i his her their our your my who which what when where "
    "why how in on at of to for from with by as and or but if while although though because since after before "
    "during however also both each all some many most more such other another is are was were be been has have had "
    "do does did not no there here then than so into over under between through about only even up out will would "
    "can could may might must shall should one two first second according despite unlike like within without until "
    "upon among against along around further furthermore moreover additionally today now later finally overall thus "
    "therefore several various any every either neither nor yet still once again just them him us me per via"
)
"""Words of English that are no content, and no name where they begin a sentence."""
