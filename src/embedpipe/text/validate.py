"""Check texts before they are embedded."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from embedpipe._checks import shown
from embedpipe.errors import InputError, TokenLimitError
from embedpipe.text.token_counters import token_counter


def fault(text: object) -> str | None:
    """Say why a text cannot be embedded and what to do, without the last full stop. None if it can."""
    if not isinstance(text, str):
        return f"the text is a {type(text).__name__}. Convert it to a str first"
    if not text or text.isspace():
        return f"the text is {'only white space' if text else 'empty'}. Leave it out"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return (
            f"the text has a lone surrogate at character {error.start}, which is not valid Unicode. "
            "Clean it with embedpipe.text.clean_text, or decode its source again"
        )
    return None


def faults(texts: Sequence[Any]) -> dict[int, InputError]:
    """Return an `InputError` for each text that cannot be embedded, by its position."""
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Sequence):
        raise InputError(f"texts={shown(texts)} is no list of texts. Pass a list.")
    if set(map(type, texts)) == {str} and all(texts) and not any(map(str.isspace, texts)):
        with suppress(UnicodeEncodeError):  # looked for below, one by one
            for text in texts:
                text.encode()
            return {}
    found = ((position, fault(text)) for position, text in enumerate(texts))
    return {position: InputError(f"At position {position}: {reason}.") for position, reason in found if reason}


def validate_input(text: str, *, model: str = "text-embedding-3-small", max_tokens: int = 8191) -> int:
    """Check that a text can be embedded, and count its tokens.

    Args:
        text: The text.
        model: The model, or tiktoken encoding, whose tokenizer counts.
        max_tokens: How many tokens the model takes.

    Returns:
        The number of tokens, without special tokens.

    Raises:
        InputError: If it is no str, is empty or only white space, or is not valid Unicode.
        TokenLimitError: If it has more than `max_tokens` tokens.
    """
    if reason := fault(text):
        raise InputError(f"{reason[0].upper()}{reason[1:]}.")
    tokens = token_counter(model).count(text)
    if tokens > max_tokens:
        raise TokenLimitError(
            f"The text has {tokens} tokens, and {model} takes at most {max_tokens}. Cut it into chunks.",
            inputs=(0,),
            token_counts=(tokens,),
            max_tokens=max_tokens,
        )
    return tokens
