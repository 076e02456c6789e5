"""A search as a tool of a LlamaIndex agent."""

from __future__ import annotations

from llama_index.core.tools import FunctionTool

from embedpipe.search_tool import SearchTool
from embedpipe.service import SemanticSearchService
from embedpipe.storage import Condition
from embedpipe.storage.metadata import MetadataDescription


def search_tool(
    service: SemanticSearchService,
    *,
    name: str = "search_documents",
    description: MetadataDescription | None = None,
    about: str | None = None,
    k: int = 5,
    max_tokens: int = 2000,
    filter: Condition = None,
) -> FunctionTool:
    """Return a tool that searches, for `FunctionAgent` and every other agent of LlamaIndex.

    The model reads numbered sources. The `raw_output` of each call has them as plain values, too, in its `sources`:
    `number`, `id`, `document_id`, `title`, `start_index`, `end_index`, `score`, `text` and `metadata`. So an answer's
    [1] leads to the place in the document. An agent returns a filter that is not valid to the model, as an error that
    says what to do.

    Args:
        service: The search service.
        name: The tool's name.
        description: What `service.describe_metadata()` returned. With it, the model can filter.
        about: What the documents are about, for the model.
        k: How many chunks a call searches for.
        max_tokens: The most tokens of the sources of a call.
        filter: A condition that holds for every call, whatever the model writes.

    Raises:
        InputError: If an argument is of another type, or out of its range.
    """
    tool = SearchTool(service, description=description, about=about, k=k, max_tokens=max_tokens, filter=filter)
    return FunctionTool.from_defaults(
        fn=tool.search,
        async_fn=tool.asearch,
        name=name,
        description=tool.instructions,
        fn_schema=tool.arguments,
    )
