"""Text files in any encoding: what they say is what is stored, or the error names the file."""

from __future__ import annotations

import builtins
import contextlib
import random
import re
from typing import Any

import pytest

from embedpipe.errors import ConfigurationError, InputError
from embedpipe.files import ReadOptions, document_of
from embedpipe.files._decoding import decode

GERMAN = "Grüner Tee wird mit heißem Wasser übergossen, nicht mit kochendem. Er kostet 5 €."
RUSSIAN = "Зелёный чай заваривают горячей водой, а не кипятком."
POLISH = "Zieloną herbatę parzy się w gorącej, ale nie wrzącej wodzie; późniejsze parzenia są łagodniejsze."
JAPANESE = "緑茶は熱湯ではなく、少し冷ましたお湯で淹れます。二煎目は短めに。"
CHINESE = "绿茶要用热水冲泡，而不是用沸水。第二次冲泡的时间要短一些。"
KOREAN = "녹차는 끓는 물이 아니라 뜨거운 물로 우려냅니다."
GREEK = "Το πράσινο τσάι θέλει ζεστό νερό και όχι βραστό."


@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, POLISH, JAPANESE, CHINESE, KOREAN, GREEK, "Tea is steeped.", "a\n"])
@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_unicode_with_and_without_a_mark(text: str, codec: str) -> None:
    document = document_of(text.encode(codec), name="a.txt")
    assert document.text == text
    assert ("encoding" in document.metadata) == (not codec.startswith("utf-8"))
    assert "encoding_confidence" not in document.metadata


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (GERMAN, "cp1252"),
        (GERMAN, "iso8859-15"),
        ("Prix: 5 €", "iso8859-15"),
        (POLISH, "cp1250"),
        (POLISH, "iso8859-2"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        (RUSSIAN, "cp866"),
        (GREEK, "cp1253"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (CHINESE, "gb18030"),
        (KOREAN, "cp949"),
        ("Grüner Tee, 5 €", "cp1252"),
        ("名前,年齢,住所\n佐藤太郎,30,東京\n三木英子,25,大阪\n髙橋淳,35,名古屋\n", "cp932"),
        ("名前,値段\n緑茶,100\n", "cp932"),
        ("naïve café", "cp1252"),
        ("Crème brûlée à la carte, déjà vu", "cp1252"),
        ("Grüße aus Köln, es kostet 5 €.", "cp1252"),
        ("5 £", "cp1252"),
        ("Tea is a drink. It is made of leaves.\nit’s 20 °C\n", "cp1252"),
        ("Grüner Tee, heiß\n" * 9_000, "cp1252"),
        ("name,price\n" * 4_000 + "Käse,3\n", "cp1252"),
        ("name,price\n" * 40_000 + "Käse,3\n", "cp1252"),
    ],
)
def test_an_encoding_is_guessed_and_the_guess_is_reported(text: str, codec: str) -> None:
    document = document_of(text.encode(codec), name="a.txt")
    assert document.text == text
    assert 0 <= document.metadata["encoding_confidence"] <= 1
    assert document.metadata["encoding"]


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.xml", '<?xml version="1.0" encoding="iso-8859-1"?><t>Grün 5 €</t>'.encode("cp1252"), "Grün 5 €"),
        ("a.svg", "<?xml version='1.0' encoding='koi8-r'?><t>Привет</t>".encode("koi8-r"), "Привет"),
        ("a.xml", '<?xml version="1.0" encoding="utf-16"?><t>Grün</t>'.encode(), "Grün"),
        ("a.xml", '<?xml version="1.0" encoding="utf-16"?><t>Grün</t>'.encode("utf-16-be"), "Grün"),
        ("a.xml", '<?xml version="1.0" encoding="nonsense"?><t>Grün</t>'.encode(), "Grün"),
        ("a.py", "# coding: iso-8859-5\nu = 'Привет'\n".encode("iso-8859-5"), "Привет"),
        ("a.py", "#!/usr/bin/python\n# -*- coding: latin-1 -*-\nu = '“é”'\n".encode("cp1252"), "“é”"),
        ("a.py", "# vim: set fileencoding=cp1251 :\nu = 'Привет'\n".encode("cp1251"), "Привет"),
        ("a.py", b"# coding: base64\nu = 1\n", "u = 1"),
        ("a.txt", "日本語".encode("iso2022_jp"), "日本語"),
    ],
)
def test_a_declared_encoding_is_used(name: str, data: bytes, text: str) -> None:
    assert text in document_of(data, name=name).text


@pytest.mark.parametrize(
    ("data", "encoding", "text"),
    [
        (GERMAN.encode("cp1252"), "latin-1", GERMAN),
        (GERMAN.encode("cp850", "replace"), "cp850", GERMAN.replace("€", "?")),
        (GERMAN.encode("utf-8-sig"), "utf-8", GERMAN),
        (GERMAN.encode("utf-16"), "utf-16", GERMAN),
        (GERMAN.encode("utf-16-le"), "utf-16-le", GERMAN),
        (JAPANESE.encode("cp932"), "Shift_JIS", JAPANESE),
    ],
)
def test_the_encoding_can_be_given(data: bytes, encoding: str, text: str) -> None:
    document = document_of(data, name="a.txt", options=ReadOptions(encoding=encoding))
    assert document.text == text
    assert "encoding_confidence" not in document.metadata


@pytest.mark.parametrize("encoding", ["klingon", "base64", "", "é"])
def test_an_unknown_encoding_is_named(encoding: str) -> None:
    with pytest.raises(ConfigurationError, match=r"a\.txt: no encoding has the name .*such as 'cp1252'"):
        document_of(b"x", name="a.txt", options=ReadOptions(encoding=encoding))


def test_an_encodings_name_has_no_nul_character() -> None:
    with pytest.raises(ConfigurationError, match="has a NUL character at position 3"):
        ReadOptions(encoding="utf\0")


RANDOM = random.Random(3)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (GERMAN.encode("cp1252"), ReadOptions(encoding="utf-8"), r"is not text in utf-8 \(byte 2\). Pass another"),
        (b"\x81\x8d", ReadOptions(encoding="latin-1"), r"is not text in cp1252 \(byte 0\)"),
        (b"\xff\xfea", ReadOptions(), "begins as utf-16-le text and is broken"),
        (GERMAN.encode() + b"\xff", ReadOptions(), r"is UTF-8 text with 1 broken bytes \(byte 86\). Repair it"),
        (GERMAN.encode()[:-1].rpartition(b"\xac")[0], ReadOptions(), "is UTF-8 text with 2 broken bytes"),
        (RANDOM.randbytes(3000), ReadOptions(), "a.txt is no text"),
        (bytes(range(128, 256)), ReadOptions(), r"encoding cannot be told. Pass its `encoding` \(perhaps"),
        (b"a\0b", ReadOptions(), "is no text: it holds NUL bytes"),
        (b"\1\0\2\0\3\0", ReadOptions(), "is no text: it holds NUL bytes"),
        (b"\1\2\3\4\5" * 9, ReadOptions(), "is no text: it holds 45 control characters"),
        (b"a\0", ReadOptions(encoding="cp1252"), "control characters"),
        (b"%PDF-1.4\n1 0 obj", ReadOptions(), "is no text, but a PDF. Name it .pdf"),
        (rb"{\rtf1 Hello}", ReadOptions(), "is no text, but RTF. Name it .rtf"),
        (b"\x1f\x8b\x08", ReadOptions(), "packed by gzip. Unpack it"),
    ],
)
def test_what_is_no_text_is_refused(data: bytes, options: ReadOptions, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        document_of(data, name="a.txt", options=options)
    assert str(caught.value).startswith("a.txt ")


def test_control_characters_are_removed_and_counted() -> None:
    log = b"\x1b[32mINFO\x1b[0m tea\x1b]8;;http://x\x07 is\x07 steeped\n" * 20 + b"\x1a"
    document = document_of(log, name="a.log")
    assert document.text == "INFO tea is steeped\n" * 20
    assert document.metadata["left_out"] == ["20 control characters"]
    assert document_of(b"one\x0btwo\xc2\x85three\x0cfour", name="a.txt").text == "onetwo\nthree\x0cfour"
    assert not re.search("[\0-\x08\x0b\x0e-\x1f\x7f-\x9f]", document.text)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.numbers", "Apple Numbers. Save it as .xlsx or .csv"),
        ("a.doc", "of Word before 2007. Save it as .docx"),
        ("a.msg", "a message of Outlook. Save it as .eml"),
        ("a.parquet", "Export it as .csv or .jsonl"),
        ("a.ZIP", "an archive. Unpack it"),
        ("a.jpg", "an image. Run OCR"),
        ("a.mp3", "a recording. Transcribe it"),
    ],
)
def test_other_formats_are_refused_by_name(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        document_of(b"text, or not", name=name)


def test_without_chardet_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "chardet":
            raise ImportError(name)
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"a\.txt is not UTF-8 text \(byte 2\).*pip install 'embedpipe\[files\]'"):
        decode(GERMAN.encode("cp1252"), "a.txt")


@pytest.mark.parametrize("unit", [b"\xe4", b"a\xe4", b"\xa4 ", b"5 \xa4", b"\x81\x82"])
def test_the_guess_takes_steps_as_the_text_grows(unit: bytes) -> None:
    with contextlib.suppress(InputError):  # in steps that grow with the square, this would take hours
        decode(unit * 300_000, "a.txt")


@pytest.mark.parametrize("encoding", ["iso8859-6", "cp1256"])
@pytest.mark.parametrize(
    "text",
    [
        "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق",
        "الشاي الأخضر مفيد للصحة، وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا بروح الإخاء.\n" * 20,
    ],
)
def test_arabic_is_read_in_both_of_its_encodings(text: str, encoding: str) -> None:
    document = document_of(text.encode(encoding), name="a.txt")
    assert (document.text, document.metadata["encoding"]) == (text, encoding)
