"""What the extra brings, asked for before anything imports it, so that the error names the extra."""

from embedpipe._optional import require

require("langchain_core", extra="langchain")
require("langchain_text_splitters", extra="langchain")
