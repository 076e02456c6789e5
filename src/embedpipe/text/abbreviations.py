"""Words before a full stop that ends no sentence, and words that begin one. English, German, French, Spanish."""

from __future__ import annotations

BEFORE_A_NAME = frozenset(
    """
    mr mrs ms mx dr drs prof profs st ste mt ft gen col lt sgt cpl capt cmdr maj adm rev hon sen rep gov pres supt det
    messrs mme mmes mlle mgr sr sra sras srta srtas sres lic ing dña fr hr hrn dipl mag vs v cf viz e.g i.e z.b d.h u.a
    p.ex n.b bzw ggf evtl vgl sog usw bspw inkl exkl zzgl ca approx resp dept univ assn bros
    """.split()  # noqa: SIM905 - read as a list of words
)
"""No sentence ends with these. A name or an example follows."""

BEFORE_A_NUMBER = frozenset(
    """
    no nos nr nrn núm num n° nº art arts abs abb p pp pg s bd fig figs eq eqs vol vols ch chap sec sect tel fax ext cra
    av ave str op lib sp kap ziff tab párr párrf pág págs cap jan feb mar apr jun jul aug sep sept oct nov dec okt dez
    ene abr ago dic mon tue tues wed thu thur thurs fri sat sun lun mié jue vie sáb dom
    """.split()  # noqa: SIM905 - read as a list of words
)
"""These belong to a number that follows."""

MAY_END = frozenset(
    """
    co corp inc ltd plc llc pty pvt gmbh jr esq etc al ed eds est min max hrs hs hr sek std mio mrd tsd km kg cm mm lbs
    oz sq blvd rd hwy apt ste bldg dist admón admon aprox ej ph.d a.m p.m am pm u.s u.k e.u d.c ee uu
    """.split()  # noqa: SIM905 - read as a list of words
)
"""These stand inside a sentence or at its end. The next word decides."""

STARTERS = frozenset(
    """
    The It He She They We You This That These Those There Here In On At For But And So If When How What Where Who Why
    Which Did Do Does Is Are Was Were Has Have Had Can Could Will Would Should May As My His Her Our Their Its Your
    Please However Although While After Before Since Then Thus Also Not No Yes To From By With Some Many Most All Each
    An One Two Now
    Der Die Das Ein Eine Er Sie Es Wir Ich Im Am Auf Mit Und Aber Wenn Als Für Bei Nach Von Zu Auch Nicht Doch Dann
    Le La Les Un Une Il Elle Ils Elles Nous Vous Ce Cette Ces Je On Dans Pour Par Mais Et Si En Au Aux Des
    El Los Las Una Su Sus Se Lo Pero Como Con Por Para Y O Es Esta Este Cuando
    """.split()  # noqa: SIM905 - read as a list of words
)
"""Capitalised words that rarely stand inside a name."""

BEFORE_AN_ORDINAL = frozenset("am vom zum zur der die das dem den des im beim ab bis seit dies jeder jedes".split())  # noqa: SIM905
"""German: behind these, "5." means "fifth"."""

AFTER_AN_ORDINAL = frozenset(
    """
    Januar Jänner Februar März April Mai Juni Juli August September Oktober November Dezember Jahrhundert Jahrhunderts
    Platz Mal Lebensjahr Stock Etage Klasse Auflage Tag Woche Runde Minute
    """.split()  # noqa: SIM905 - read as a list of words
)
"""German: before these, too."""

ENDS_IN_A_MARK = frozenset({"yahoo!", "jeopardy!", "yum!"})
"""Names that end in an exclamation mark."""
