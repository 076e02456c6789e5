"""The control words of RTF that say something of the text, by what they do."""

from __future__ import annotations

CHARACTERS = {
    "emdash": "—",
    "endash": "–",
    "bullet": "•",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "tab": "\t",
    "line": "  \n",
    "emspace": " ",
    "enspace": " ",
    "qmspace": " ",
    "page": " ",
    "column": " ",
    "~": "\u00a0",
    "_": "-",
    "-": "",
    "{": "{",
    "}": "}",
    "\\": "\\",
    "nestcell": ", ",
    "nestrow": "; ",
}
FLOWS = {
    **dict.fromkeys(("header", "headerl", "headerr", "headerf"), "header"),
    **dict.fromkeys(("footer", "footerl", "footerr", "footerf"), "footer"),
    "footnote": "footnote",
    "annotation": "annotation",
    "shptxt": "box",
}
CAPTURED = frozenset(
    """
    title author subject keywords listtext pntext atnauthor sn sv fonttbl stylesheet
    """.split()  # noqa: SIM905 - read as a list of words
)
SKIPPED = frozenset(
    """
    colortbl pict objdata fldinst filetbl revtbl nonshppict shprslt xe tc private template themedata
    colorschememapping datastore latentstyles listtable listoverridetable rsidtbl generator info upr ftnsep ftnsepc
    ftncn aftnsep aftnsepc aftncn datafield formfield operator company comment doccomm category manager hlinkbase
    mmathPict falt panose nonesttables
    """.split()  # noqa: SIM905
)
AGAIN = ("nonshppict", "shprslt", "nonesttables")
"""What says the same again, for older programs."""

READ_AGAIN = frozenset(("ud", "moMath", "shpinst", "result"))
DATES = {"creatim": "created", "revtim": "modified"}
NO_DESTINATIONS = ("shppict", "picprop", "sp", "field", "fldrslt", "shp", "mmath")
DESTINATIONS = frozenset((*FLOWS, *CAPTURED, *SKIPPED, *READ_AGAIN, *DATES, *NO_DESTINATIONS, "object"))
TOGGLES = {"b": "bold", "i": "italic", "strike": "struck", "striked": "struck", "v": "hidden", "deleted": "deleted"}
STRUCTURE = ("par", "sect", "cell", "row", "trowd", "cellx", "clvmrg", "clmrg")
FILE = ("uc", "deff", "ansicpg", "mac", "pc", "pca")
SCRIPTS = {"super": 1, "sub": -1, "nosupersub": 0}
