"""Work on plain text: clean and check it, count tokens, find words, sentences, pages, snippets and its language."""

from embedpipe.text.clean import clean_text
from embedpipe.text.front_matter import front_matter_end
from embedpipe.text.function_words import COMMON, FUNCTION_WORDS
from embedpipe.text.languages import detect_language
from embedpipe.text.pages import PAGE_BREAK, page_at, pages_at
from embedpipe.text.sentences import sentence_spans
from embedpipe.text.snippets import Snippet, SnippetSpan, best_snippet
from embedpipe.text.token_counters import (
    BYTES_PER_ESTIMATED_TOKEN,
    EstimatedCounter,
    ModelCounter,
    TokenCounter,
    TokenCountingModel,
    Tokenizer,
    counter_of_transformers,
    encoding_name,
    folder_counter,
    packaged_folder,
    token_counter,
    without_surrogates,
)
from embedpipe.text.validate import fault, faults, validate_input
from embedpipe.text.words import SPACED_LETTER, words

__all__ = [
    "BYTES_PER_ESTIMATED_TOKEN",
    "COMMON",
    "FUNCTION_WORDS",
    "PAGE_BREAK",
    "SPACED_LETTER",
    "EstimatedCounter",
    "ModelCounter",
    "Snippet",
    "SnippetSpan",
    "TokenCounter",
    "TokenCountingModel",
    "Tokenizer",
    "best_snippet",
    "clean_text",
    "counter_of_transformers",
    "detect_language",
    "encoding_name",
    "fault",
    "faults",
    "folder_counter",
    "front_matter_end",
    "packaged_folder",
    "page_at",
    "pages_at",
    "sentence_spans",
    "token_counter",
    "validate_input",
    "without_surrogates",
    "words",
]
