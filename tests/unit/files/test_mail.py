"""E-mails and mailboxes: the text, the headers, and the names of what is attached."""

from __future__ import annotations

import mailbox
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest

from embedpipe.errors import InputError
from embedpipe.files import document_of, documents_of, read_documents

PEOPLE = "From: Müller, Jörg <j@x.org>\nTo: a@x.org, B, C <b@x.org>\nCc: c@x.org\n"
HEAD = f"# Grüße\n\n{PEOPLE}Date: 2024-01-02T10:00:00+01:00\n"


def message() -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "=?utf-8?q?M=C3=BCller=2C_J=C3=B6rg?= <j@x.org>"
    mail["To"] = 'a@x.org, "B, C" <b@x.org>'
    mail["Cc"] = "c@x.org"
    mail["Subject"] = "Grüße"
    mail["Date"] = "Tue, 02 Jan 2024 10:00:00 +0100"
    mail["Message-ID"] = "<1@x.org>"
    return mail


def test_headers_are_metadata() -> None:
    mail = message()
    mail.set_content("Grüner Tee\n", charset="iso-8859-1")
    document = document_of(mail.as_bytes(), name="a.eml")
    assert document.text == HEAD + "\nGrüner Tee\n"
    assert document.metadata == {
        "name": "a.eml",
        "suffix": ".eml",
        "title": "Grüße",
        "from": "Müller, Jörg <j@x.org>",
        "to": ["a@x.org", "B, C <b@x.org>"],
        "cc": ["c@x.org"],
        "date": "2024-01-02T10:00:00+01:00",
        "message_id": "1@x.org",
    }


def both(mail: EmailMessage) -> None:
    mail.set_content("Plain 5 €\n")
    mail.add_alternative("<p>HTML</p>", subtype="html")


def only_html(mail: EmailMessage) -> None:
    mail.set_content("<p>Steep <b>it</b></p>", subtype="html")


def blank_plain(mail: EmailMessage) -> None:
    mail.set_content(" \n")
    mail.add_alternative("<p>HTML</p>", subtype="html")


def attached(mail: EmailMessage) -> None:
    both(mail)
    mail.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="rechnung ä.pdf")
    mail.add_attachment("two\nlines\n", filename="notes.txt")


def pictures_of_html(mail: EmailMessage) -> None:
    both(mail)
    mail.get_payload()[1].add_related(b"GIF8", maintype="image", subtype="gif", filename="logo.gif")  # type: ignore[index, union-attr]


def forwarded(mail: EmailMessage) -> None:
    mail.set_content("See below.\n")
    inner = EmailMessage()
    inner["Subject"], inner["From"] = "Tea", "i@x.org"
    inner.set_content("Black tea\n")
    mail.add_attachment(inner)


@pytest.mark.parametrize(
    ("fill", "text", "left_out"),
    [
        (both, "Plain 5 €\n", None),
        (only_html, "Steep **it**\n", None),
        (blank_plain, "HTML\n", None),
        (
            attached,
            "Plain 5 €\n\nAttachment notes.txt:\n\ntwo\nlines\n",
            ["attachment rechnung ä.pdf (application/pdf)"],
        ),
        (pictures_of_html, "Plain 5 €\n", ["attachment logo.gif (image/gif)"]),
        (forwarded, "See below.\n\n# Tea\n\nFrom: i@x.org\n\nBlack tea\n", None),
    ],
)
def test_the_text_of_a_message(fill: Callable[[EmailMessage], None], text: str, left_out: list[str] | None) -> None:
    mail = message()
    fill(mail)
    document = document_of(mail.as_bytes(), name="a.eml")
    assert document.text == HEAD + "\n" + text
    assert document.metadata.get("left_out") == left_out


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Subject: Grüße\r\n\r\nHällo 5 €".encode("cp1252"), "# Grüße\n\nHällo 5 €\n"),
        ("Subject: Grüße\n\nHällo".encode("utf-16"), "# Grüße\n\nHällo\n"),
        ("Subject: Grüße\n\nHällo".encode("utf-16-be"), "# Grüße\n\nHällo\n"),
        ("Subject: Grüße\n\nHällo".encode("utf-8-sig"), "# Grüße\n\nHällo\n"),
        ("Subject: Grüße\n\nHällo".encode(), "# Grüße\n\nHällo\n"),
        (b"Subject: =?x-unknown?q?a=20b?= =?utf-8?b?w6Q=?=\n\nhi", "# a bä\n\nhi\n"),
        (b"Subject: x\nContent-Type: text/plain; charset=us-ascii\n\nH\xc3\xa4llo", "# x\n\nHällo\n"),
        (b"Subject: x\nContent-Type: text/plain; charset=klingon\n\nH\xc3\xa4llo", "# x\n\nHällo\n"),
        (b"Subject: x\nContent-Type: text/plain; charset=koi8-r\n\n\xf0\xf2\xe9", "# x\n\nПРИ\n"),
        (b"Subject: x\nContent-Transfer-Encoding: base64\n\nSMOkbGxv", "# x\n\nHällo\n"),
        (b"Subject: x\nContent-Transfer-Encoding: quoted-printable\n\nH=C3=\n=A4llo", "# x\n\nHällo\n"),
        (b"Subject: x\nDate: nonsense\nTo: undisclosed-recipients:;\n\nhi", None),
        (b"Subject: a\x01b\x07\n" + b"X-Y: z\n" * 20 + b"\nx\0y", "# ab\n\nxy\n"),
    ],
)
def test_mail_as_it_is_found(content: bytes, text: str | None) -> None:
    expected = text or "# x\n\nTo: undisclosed-recipients:;\nDate: nonsense\n\nhi\n"
    assert document_of(content, name="a.eml").text == expected


def test_a_mailbox_has_a_document_for_each_message(tmp_path: Path) -> None:
    box = mailbox.mbox(str(tmp_path / "a.mbox"))
    for number in ("1", "1", "2"):
        mail = EmailMessage()
        mail["Subject"], mail["Message-ID"] = f"Tea {number}", f"<{number}@x.org>"
        mail.set_content("From the house\n\nFrom here on\n")
        box.add(mail)
    box.close()
    path = tmp_path / "a.mbox"
    documents = read_documents(path)
    assert [document.id.rpartition("#")[2] for document in documents] == ["1@x.org", "1@x.org/2", "2@x.org"]
    assert documents[2].text == "# Tea 2\n\nFrom the house\n\nFrom here on\n"
    assert [location.metadata["record"] for location in document_of(path.read_bytes(), name="a.mbox").locations] == [
        1,
        2,
        3,
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.eml", b"PK\x03\x04 something", "a.eml is no e-mail: it has none of the headers From"),
        ("a.eml", b"just text\n", "is no e-mail"),
        ("a.mbox", b"Subject: x\n\nFrom a 10:00 x\n", "a.mbox is no mailbox"),
        ("a.msg", b"\xd0\xcf\x11\xe0", "a message of Outlook. Save it as .eml"),
    ],
)
def test_what_is_no_mail_is_named(name: str, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        documents_of(content, name=name)


@pytest.mark.parametrize(
    "header",
    ["(" * 50_000, "a@" * 50_000, "=?utf-8?q?a?= " * 20_000, "x; a=b" * 100_000, "text/plain" + "; a*1=b" * 100_000],
)
def test_a_header_that_is_hard_to_read_is_cut(header: str) -> None:
    names = ("From", "Subject", "Date", "Content-Type", "Content-Disposition")
    content = "".join(f"{name}: {header}\n" for name in names) + "\nwords"
    assert document_of(content.encode(), name="a.eml").text.endswith("words\n")


@pytest.mark.parametrize(
    ("key", "header", "left_out"),
    [
        ("To", ", ".join(f"Ann {number} <ann{number}@tea.example>" for number in range(2000)), True),
        ("Subject", "tea " * 9000, True),
        ("Subject", "t" * 32 * 2**10, False),
        ("X-Other", "tea " * 9000, False),
    ],
)
def test_what_is_cut_from_a_header_is_told(key: str, header: str, left_out: bool) -> None:
    told = [f"of the header {key}, what is beyond 32 KB"] if left_out else None
    mail = f"From: a@b.example\n{key}: {header}\n\nwords\n"
    assert document_of(mail.encode(), name="a.eml").metadata.get("left_out") == told
    forwarded = f"From: c@d.example\nContent-Type: message/rfc822\n\n{mail}"
    assert document_of(forwarded.encode(), name="a.eml").metadata.get("left_out") == told


def test_a_report_says_what_was_not_delivered() -> None:
    content = """From: a@b.example
Subject: Returned
Content-Type: multipart/report; boundary=B

--B

Sorry.
--B
Content-Type: message/delivery-status

Reporting-MTA: dns; b.example

Final-Recipient: rfc822; c@d.example
Action: failed
--B--
"""
    text = document_of(content.encode(), name="a.eml").text
    assert text.endswith(
        "Sorry.\n\nReporting-MTA: dns; b.example\n\nFinal-Recipient: rfc822; c@d.example\nAction: failed\n"
    )


def test_parts_within_parts_have_an_end() -> None:
    parts = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\n\n--b{n}\n' for n in range(3000))
    with pytest.raises(InputError, match="nests its elements too deep"):
        document_of(f"From: a\n{parts}".encode(), name="a.eml")
