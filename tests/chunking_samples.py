"""Texts that break chunkers: built here, and drawn by hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

FAMILY = "👨‍👩‍👧‍👦"
NAUGHTY = (
    "",
    " ",
    "\n\n\n",
    "\r\n\r\n",
    "\ufeff",
    "\u200b\u200b",
    "a",
    "<|endoftext|> is plain text <|im_start|>",
    "\ud800 lone \udfff",
    "\x00\x01\x1c\x1d\x85",
    "Z̮̞̠͙͔ͅḀ̗̞͈̻̗Ḷ͙͎̯̹̞͓G̻O̭̗̮",
    FAMILY * 5,
    "🏳️‍🌈🇩🇪🇫🇷👍🏽",
    "e\u0301" * 20,
    "नमस्ते दुनिया। यह एक वाक्य है।",
    "สวัสดีชาวโลก นี่คือประโยค",
    "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
    "كل الناس يولدون أحرارا. هل هذا صحيح؟ نعم.",
    "한국어 문장입니다. 각\u1100\u1161\u11a8",
    "# Title\r\n\r\nText.\r\n\r\n```py\r\ncode()\r\n```\r\n\r\n| a | b |\r\n|---|---|\r\n| 1 | 2 |\r\n",
    "# A\n\n## B\n\ntext\n\n### C\n\n- one\n- two\n\n~~~\nopen fence",
    'Dr. Smith paid $3.50 to J. R. Doe, i.e. "a lot"... Really?! Yes. (No.) ok',
    "x" * 300,
    "a." * 150,
    "  leading and trailing   ",
)

ALPHABET = "ab .,!?\n\n\r\t'\"#`|-。，é\u0301\u200d👩🇩कि่的\ud800\u3000\x1c0"

texts = st.one_of(
    st.text(alphabet=ALPHABET, max_size=150),
    st.text(max_size=60),
    st.lists(st.sampled_from(NAUGHTY), max_size=4).map("".join),
    st.lists(st.sampled_from(NAUGHTY), max_size=4).map("\n\n".join),
)

LONG = {
    "one letter": "x" * 1_000_000,
    "spaces": " " * 1_000_000,
    "newlines": "\n" * 1_000_000,
    "letter and stop": "a." * 500_000,
}
