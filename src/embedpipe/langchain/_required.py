"""Check the packages of the `langchain` extra before anything imports them, so that the error names the extra."""

from embedpipe._optional import require

require("langchain_core", extra="langchain")
require("langchain_text_splitters", extra="langchain")
