"""Check the packages of the `llama-index` extra before anything imports them, so that the error names the extra."""

from embedpipe._optional import require

require("llama_index.core", extra="llama-index")
