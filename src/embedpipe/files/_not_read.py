"""Name what is not read, and say what to do about it."""

from __future__ import annotations

_SHEET = "Save it as .xlsx or .csv."
_WORD = "Save it as .docx or .pdf."
_SLIDES = "Save it as .pptx or .pdf."
_IMAGE = "an image. Run OCR over it (ocrmypdf makes a PDF with a text layer), or describe it in a text file."
_SOUND = "a recording. Transcribe it (whisper does), and pass the text."
_ARCHIVE = "an archive. Unpack it, and pass the folder."
_DATABASE = "a database. Export its tables as .csv or .jsonl."
_TABLE = "a table of columns in binary form. Export it as .csv or .jsonl (pandas and DuckDB do)."
_PROGRAM = "a program or library. Leave it out."

NOT_READ = {
    ".numbers": f"a spreadsheet of Apple Numbers. {_SHEET}",
    **dict.fromkeys((".doc", ".dot"), f"of Word before 2007. {_WORD}"),
    ".pages": f"a document of Apple Pages. {_WORD}",
    ".wpd": f"a document of WordPerfect. {_WORD}",
    **dict.fromkeys((".ppt", ".pps"), f"of PowerPoint before 2007. {_SLIDES}"),
    ".key": f"a presentation of Apple Keynote. {_SLIDES}",
    **dict.fromkeys((".one", ".onetoc2"), "a notebook of OneNote. Export it as .docx or .pdf."),
    ".vsdx": "a drawing of Visio. Save it as .pdf.",
    ".msg": "a message of Outlook. Save it as .eml (drag it out of Thunderbird or the new Outlook does).",
    **dict.fromkeys((".pst", ".ost"), "a mailbox of Outlook. Export it as .mbox or .eml (readpst does)."),
    **dict.fromkeys((".mobi", ".azw", ".azw3"), "a book of Kindle. Convert it to .epub (Calibre does)."),
    **dict.fromkeys((".odb", ".mdb", ".accdb", ".sqlite", ".sqlite3", ".db"), _DATABASE),
    **dict.fromkeys((".parquet", ".feather", ".arrow", ".orc", ".avro", ".npy", ".npz", ".pkl"), _TABLE),
    **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".jar"), _ARCHIVE),
    **dict.fromkeys(
        (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".ico", ".psd"), _IMAGE
    ),
    **dict.fromkeys((".mp3", ".wav", ".flac", ".ogg", ".m4a", ".mp4", ".mov", ".avi", ".mkv", ".webm"), _SOUND),
    **dict.fromkeys((".exe", ".dll", ".so", ".dylib", ".pyc", ".class", ".o", ".a", ".wasm"), _PROGRAM),
}
"""By suffix, the end of the sentence "NAME is ..." for files that are neither parsed nor text.

A format's parser, ours or another package's, comes first.
"""

OLE = b"\xd0\xcf\x11\xe0"
"""The first bytes of encrypted Office files and of those before 2007."""

BEGINNINGS = (
    (b"%PDF-", "a PDF", "Name it .pdf."),
    (b"{\\rtf", "RTF", "Name it .rtf."),
    (
        b"PK\x03\x04",
        "a ZIP archive or an Office file",
        "Give it the suffix of its format, such as .docx, or leave it out.",
    ),
    (OLE, "an Office file from before 2007 or with a password", "Save it as .docx, .xlsx or .pptx without a password."),
    (b"\x89PNG\r\n", "an image", "Leave it out."),
    (b"\xff\xd8\xff", "an image", "Leave it out."),
    (b"GIF8", "an image", "Leave it out."),
    (b"\x1f\x8b", "packed by gzip", "Unpack it."),
    (b"BZh", "packed by bzip2", "Unpack it."),
    (b"\xfd7zXZ", "packed by xz", "Unpack it."),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", "Unpack it."),
    (b"SQLite format 3\0", "a database", "Export its tables as .csv."),
    (b"\x7fELF", "a program", "Leave it out."),
)
"""How files of other formats begin, whatever their name: the bytes, what they are, and what to do."""
