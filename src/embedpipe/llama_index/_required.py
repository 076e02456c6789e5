"""What the extra brings, asked for before anything imports it, so that the error names the extra."""

from embedpipe._optional import require

require("llama_index.core", extra="llama-index")
