"""The words that values are written with: numbers, units, months, negations, in the languages where they are cheap."""

from __future__ import annotations

from typing import Final


def _words(written: str) -> frozenset[str]:
    return frozenset(written.split())


NUMBER_WORDS: Final[dict[str, int]] = {
    word: value
    for value, written in {
        0: "zero null cero nulla",
        1: "one eins ein eine einen einer einem un une uno una um uma een",
        2: "two zwei deux dos due dois duas twee",
        3: "three drei trois tres tre três drie",
        4: "four vier quatre cuatro quattro quatro",
        5: "five fünf cinq cinco cinque vijf",
        6: "six sechs seis sei zes",
        7: "seven sieben sept siete sette sete zeven",
        8: "eight acht huit ocho otto oito",
        9: "nine neun neuf nueve nove negen",
        10: "ten zehn dix diez dieci dez tien",
        11: "eleven elf onze once undici",
        12: "twelve zwölf douze doce dodici doze twaalf dozen",
        13: "thirteen dreizehn treize trece tredici treze dertien",
        14: "fourteen vierzehn quatorze catorce quattordici catorze veertien",
        15: "fifteen fünfzehn quinze quince quindici vijftien",
        16: "sixteen sechzehn seize dieciséis sedici dezesseis zestien",
        17: "seventeen siebzehn diecisiete diciassette zeventien",
        18: "eighteen achtzehn dieciocho diciotto dezoito achttien",
        19: "nineteen neunzehn diecinueve diciannove negentien",
        20: "twenty zwanzig vingt veinte venti vinte twintig",
        30: "thirty dreißig trente treinta trenta trinta dertig",
        40: "forty vierzig quarante cuarenta quaranta quarenta veertig",
        50: "fifty fünfzig cinquante cincuenta cinquanta cinquenta vijftig",
        60: "sixty sechzig soixante sesenta sessanta sessenta zestig",
        70: "seventy siebzig setenta settanta zeventig",
        80: "eighty achtzig ochenta ottanta oitenta tachtig",
        90: "ninety neunzig noventa novanta negentig",
    }.items()
    for word in written.split()
}
ENGLISH_NUMBERS: Final = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety dozen hundred hundreds thousand thousands "
    "million millions billion billions bn trillion trillions tn mn lakh lakhs crore crores"
)
"""Those that count in English text: "seize" is French for sixteen."""
ORDINALS: Final[dict[str, int]] = {
    word: value
    for value, word in enumerate(
        """
        first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
        fifteenth sixteenth seventeenth eighteenth nineteenth twentieth
        """.split(),  # noqa: SIM905 - read as a list of words
        1,
    )
} | {"thirtieth": 30, "fortieth": 40, "fiftieth": 50, "sixtieth": 60, "hundredth": 100}
ORDINAL_ENDS: Final = _words("st nd rd th")
SCALES: Final[dict[str, int]] = {
    word: 10**power
    for power, written in {
        2: "hundred hundert cent cents cien ciento cento cem honderd",
        3: "thousand thousands tausend mille mil mila duizend",
        5: "lakh lakhs",
        6: "million millions mn mio millionen millón millones milione milioni milhão milhões miljoen",
        7: "crore crores",
        9: "billion billions bn milliarde milliarden milliard milliards miliardo miliardi mrd miljard",
        12: "trillion trillions tn billionen",
    }.items()
    for word in written.split()
}
GLUED_SCALES: Final[dict[str, int]] = {"k": 10**3, "m": 10**6, "b": 10**9}
"""Scales behind an amount of money: $3m is three million, 3m is three metres."""

WEAK_NUMBERS: Final = _words(
    "one ein eine einen einer einem un une uno una um uma een null zero first second third once sei mil cent cento "
    "due dos nove sept"
)
"""Words that are often no number, or one that a paraphrase may add: "one of the", "first", "a second time"."""

# (dimension, factor to its base unit): the unit's names, abbreviations and plurals.
_UNITS: Final[dict[tuple[str, float], str]] = {
    ("time", 1e-3): "ms millisecond milliseconds",
    ("time", 1.0): "s sec secs second seconds sekunde sekunden seconde secondes segundo segundos secondi 秒 giây ثانية",
    ("time", 60.0): "min mins minute minutes minuten minuto minutos minuti minuut 分钟 分鐘 phút دقيقة دقائق मिनट นาที",
    ("time", 3600.0): "h hr hrs hour hours stunde stunden heure heures hora horas ora ore uur 小时 小時 giờ ساعة ساعات",
    ("time", 86400.0): "day days tag tage tagen jour jours día días dia dias giorno giorni dag dagen 天 ngày يوم أيام",
    ("time", 604800.0): "week weeks wk woche wochen semaine semaines semana semanas settimana settimane 周 tuần",
    ("time", 2629746.0): "month months monat monate monaten mois mes meses mese mesi maand maanden 个月 tháng شهر",
    (
        "time",
        31556952.0,
    ): "year years yr yrs jahr jahre jahren an ans année années año años anno anni ano anos jaar jaren "
    "năm سنة سنوات عام عاما",
    ("time", 315569520.0): "decade decades jahrzehnt jahrzehnte décennie décennies década décadas",
    ("time", 3155695200.0): "century centuries jahrhundert jahrhunderte siècle siècles siglo siglos 世纪",
    ("length", 1e-9): "nm nanometer nanometers nanometre nanometres",
    ("length", 1e-6): "μm µm micrometer micrometers micron microns",
    ("length", 1e-3): "mm millimeter millimeters millimetre millimetres",
    ("length", 1e-2): "cm centimeter centimeters centimetre centimetres zentimeter centímetros",
    ("length", 1.0): "m meter meters metre metres metern mètre mètres metro metros metri 米 mét متر",
    (
        "length",
        1e3,
    ): "km kilometer kilometers kilometre kilometres kilometern kilomètre kilomètres kilómetros chilometri "
    "公里 千米 كم كيلومتر",
    ("length", 0.0254): "inch inches zoll",
    ("length", 0.3048): "ft foot feet fuß",
    ("length", 0.9144): "yd yard yards",
    ("length", 1609.344): "mi mile miles meile meilen milla millas",
    ("length", 9.4607e15): "lightyear lightyears",
    ("mass", 1e-9): "μg µg mcg microgram micrograms",
    ("mass", 1e-6): "mg milligram milligrams",
    ("mass", 1e-3): "g gram grams gramm gramme grammes gramos",
    ("mass", 1.0): "kg kilo kilos kilogram kilograms kilogramm kilogrammes kilogramos 公斤 千克",
    ("mass", 1e3): "t ton tons tonne tonnes tonnen toneladas 吨",
    ("mass", 0.45359237): "lb lbs pounds",
    ("mass", 0.028349523): "oz ounce ounces",
    ("volume", 1e-3): "ml milliliter milliliters millilitre millilitres",
    ("volume", 1.0): "l liter liters litre litres litern litros litri 升",
    ("volume", 3.785411784): "gal gallon gallons",
    ("speed", 0.277777778): "km/h kmh kph",
    ("speed", 0.44704): "mph",
    ("speed", 1.0): "m/s",
    ("speed", 0.514444): "kn knot knots",
    ("area", 1.0): "m2 m² sqm",
    ("area", 1e4): "ha hectare hectares hektar",
    ("area", 1e6): "km2 km²",
    ("area", 4046.8564): "acre acres",
    ("area", 2589988.1): "mi2 mi²",
    ("data", 1.0): "byte bytes",
    ("data", 1e3): "kb kilobyte kilobytes",
    ("data", 1e6): "mb megabyte megabytes",
    ("data", 1e9): "gb gigabyte gigabytes",
    ("data", 1e12): "tb terabyte terabytes",
    ("bits", 1.0): "bit bits",
    ("power", 1.0): "w watt watts",
    ("power", 1e3): "kw kilowatt kilowatts",
    ("power", 1e6): "mw megawatt megawatts",
    ("power", 1e9): "gw gigawatt gigawatts",
    ("power", 745.7): "hp horsepower",
    ("energy", 1.0): "j joule joules",
    ("energy", 1e3): "kj kilojoule kilojoules",
    ("energy", 4184.0): "kcal calories calorie",
    ("energy", 3.6e6): "kwh",
    ("pressure", 1.0): "pa pascal pascals",
    ("pressure", 1e3): "kpa",
    ("pressure", 1e5): "bar bars",
    ("pressure", 6894.757): "psi",
    ("frequency", 1.0): "hz hertz",
    ("frequency", 1e3): "khz kilohertz",
    ("frequency", 1e6): "mhz megahertz",
    ("frequency", 1e9): "ghz gigahertz",
    ("voltage", 1.0): "v volt volts",
    ("temperature", 1.0): "°c ℃ celsius centigrade",
    ("temperature", 5 / 9): "°f ℉ fahrenheit",
    ("kelvin", 1.0): "kelvin kelvins",
    ("angle", 1.0): "° degree degrees grad degré degrés grado grados",
    ("share", 0.01): "% percent pct prozent percento procent ٪ ％",
    ("share", 0.001): "‰ permille promille",
    ("$", 1.0): "$ us$ usd dollar dollars dólares",
    ("€", 1.0): "€ eur euro euros",
    ("£", 1.0): "£ gbp sterling",
    ("¥", 1.0): "¥ jpy yen yuan cny rmb",
    ("₹", 1.0): "₹ inr rupee rupees",
    ("cents", 1.0): "¢",
}
UNITS: Final[dict[str, tuple[str, float]]] = {
    name: dimension for dimension, names in _UNITS.items() for name in names.split()
}
LONGER_UNITS: Final[dict[tuple[str, ...], str]] = {
    ("degrees", "celsius"): "°c",
    ("degree", "celsius"): "°c",
    ("grad", "celsius"): "°c",
    ("degrees", "fahrenheit"): "°f",
    ("degree", "fahrenheit"): "°f",
    ("°", "c"): "°c",
    ("°", "f"): "°f",
    ("per", "cent"): "%",
    ("pour", "cent"): "%",
    ("por", "ciento"): "%",
    ("por", "cento"): "%",
    ("per", "cento"): "%",
    ("percentage", "points"): "%",
    ("square", "miles"): "mi2",
    ("sq", "mi"): "mi2",
    ("square", "kilometers"): "km2",
    ("square", "kilometres"): "km2",
    ("sq", "km"): "km2",
    ("square", "meters"): "m2",
    ("square", "metres"): "m2",
    ("kilometers", "per", "hour"): "km/h",
    ("kilometres", "per", "hour"): "km/h",
    ("km", "/", "h"): "km/h",
    ("miles", "per", "hour"): "mph",
    ("meters", "per", "second"): "m/s",
    ("m", "/", "s"): "m/s",
    ("light", "years"): "lightyears",
}
CURRENCY_SIGNS: Final = frozenset("$€£¥₹")

_MONTHS: Final = (
    "january jan januar janvier enero gennaio janeiro januari يناير",
    "february feb februar février febrero febbraio fevereiro februari فبراير",
    "march mar märz mars marzo março maart مارس",
    "april apr avril abril aprile أبريل",
    "may mai mayo maggio maio mei مايو",
    "june jun juni juin junio giugno junho يونيو",
    "july jul juli juillet julio luglio julho يوليو",
    "august aug août agosto augustus أغسطس",
    "september sep sept septembre septiembre settembre setembro سبتمبر",
    "october oct oktober octobre octubre ottobre outubro أكتوبر",
    "november nov novembre noviembre novembro نوفمبر",
    "december dec dezember décembre diciembre dicembre dezembro ديسمبر",
)
MONTHS: Final[dict[str, int]] = {name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()}
AMBIGUOUS_MONTHS: Final = _words("may mar march mars mai mei sept dec jan sep nov oct jun jul apr aug feb")
"""Names of months that are also other words. They count beside a number, or behind "in", "since" and the like."""
BEFORE_A_MONTH: Final = _words("in since until till by of early late mid last next en im seit de du from and to")
WEEKDAYS: Final[dict[str, int]] = {
    name: day
    for day, names in enumerate(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"), 1)
    for name in (names, f"{names}s")
}

NEGATIONS: Final[dict[str, frozenset[str]]] = {
    "en": _words("not never no none nobody nothing nowhere neither without hardly scarcely barely"),
    "de": _words("nicht kein keine keinen keiner keines keinem nie niemals ohne weder niemand nichts"),
    "fr": _words("ne n sans aucun aucune"),
    "es": _words("no nunca jamás ningún ninguna ninguno sin tampoco nadie"),
    "it": _words("non mai nessun nessuna nessuno senza"),
    "pt": _words("não nunca nenhum nenhuma sem jamais"),
    "nl": _words("niet geen nooit zonder niemand niets"),
    "ru": _words("не нет никогда без"),
    "ar": _words("لا لم لن ليس ليست غير دون بدون"),
    "vi": _words("không chưa chẳng"),
    "hi": _words("नहीं मत"),
}
SOFT_NEGATIONS: Final = _words(
    "nor fail fails failed failing unable refuse refused refuses lack lacks lacked lacking absence absent free except "
    "rarely seldom few little deny denied denies avoid avoided avoids prevent prevented prevents stop stopped rather "
    "instead exclude excluded excluding impossible ni weder noch kaum selten cannot"
)
"""Words that may say in a paraphrase what a negation said. They make up for one, and are none themselves."""
NEGATIVE_PREFIXES: Final = ("un", "in", "im", "ir", "il", "non", "dis")
NO_NEGATIONS: Final = frozenset(
    {
        ("not", "only"), ("not", "just"), ("not", "merely"), ("not", "until"), ("no", "longer"), ("no", "more"),
        ("no", "fewer"), ("no", "less"), ("no", "later"), ("no", "earlier"), ("no", "doubt"), ("no", "matter"),
        ("not", "least"), ("or", "not"), ("if", "not"), ("nothing", "but"), ("no", "other"), ("nicht", "nur"),
        ("no", "sooner"), ("none", "other"), ("no", "sólo"), ("no", "solo"), ("non", "solo"),
    }
)  # fmt: skip
"""Pairs of words that deny nothing: "not only", "no more than"."""

APPROXIMATE: Final = _words(
    "about around approximately roughly nearly almost over some circa ca c approx below under least most than ungefähr "
    "etwa rund fast environ casi unos"
)
DEMONYMS: Final[dict[str, str]] = {
    word: names.split()[0]
    for names in (
        "france french",
        "britain british uk",
        "spain spanish",
        "netherlands dutch",
        "greece greek greeks",
        "switzerland swiss",
        "wales welsh",
        "denmark danish",
        "poland polish",
        "turkey turkish",
        "ireland irish",
        "scotland scottish",
        "us usa american americans america",
        "england english",
        "sweden swedish",
        "finland finnish",
        "portugal portuguese",
        "norway norwegian",
        "germany german germans",
        "europe european europeans",
    )
    for word in names.split()
}
