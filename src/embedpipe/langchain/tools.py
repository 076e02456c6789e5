"""A search as a tool of a LangChain agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.tools import BaseTool, StructuredTool, ToolException

from embedpipe.errors import InputError
from embedpipe.search_tool import SearchTool
from embedpipe.service import SemanticSearchService
from embedpipe.storage import Condition
from embedpipe.storage.metadata import MetadataDescription

Answer = tuple[str, list[dict[str, Any]]]


def search_tool(
    service: SemanticSearchService,
    *,
    name: str = "search_documents",
    description: MetadataDescription | None = None,
    about: str | None = None,
    k: int = 5,
    max_tokens: int = 2000,
    filter: Condition = None,
) -> BaseTool:
    """Return a tool that searches, for `create_agent` and every other agent of LangChain.

    The model reads numbered sources. Each `ToolMessage` has them as plain values, too, in its `artifact`: `number`,
    `id`, `document_id`, `title`, `start_index`, `end_index`, `score`, `text` and `metadata`. So an answer's [1] leads
    to the place in the document. A filter that is not valid, or names an unknown key, is returned to the model as an
    error that says what to do.

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

    def search(query: str, filter: Mapping[str, Any] | None = None) -> Answer:
        try:
            answer = tool.search(query, filter)
        except InputError as error:
            raise ToolException(str(error)) from error
        return answer.text, answer.sources

    async def asearch(query: str, filter: Mapping[str, Any] | None = None) -> Answer:
        try:
            answer = await tool.asearch(query, filter)
        except InputError as error:
            raise ToolException(str(error)) from error
        return answer.text, answer.sources

    return StructuredTool.from_function(
        search,
        asearch,
        name=name,
        description=tool.instructions,
        args_schema=tool.arguments,
        response_format="content_and_artifact",
        handle_tool_error=True,
    )
