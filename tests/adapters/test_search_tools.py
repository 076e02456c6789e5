"""The search as an agent's tool, in agents of both frameworks with scripted models."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, LLMMetadata
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import MockLLM
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from pydantic import PrivateAttr as LangChainPrivateAttr

from embedpipe import Document, EmbeddingGenerator, SemanticSearchService, langchain, llama_index
from embedpipe.errors import ConfigurationError, InputError
from embedpipe.search_tool import NOTHING_FOUND, SearchTool

TEXTS: dict[str, tuple[str, dict[str, Any]]] = {
    "green": ("Green tea is steeped at 80 °C.", {"year": 2021, "title": "On green tea"}),
    "black": ("Black tea is steeped for four minutes.", {"year": 2023}),
    "oolong": ("Oolong is steeped at 90 °C.", {"year": 2022}),
}
QUESTION = "How hot is the water for green tea?"


@pytest.fixture(scope="module")
def filled(shared_database_url: str, minilm: EmbeddingGenerator) -> str:
    made = SemanticSearchService(minilm, database=shared_database_url, chunker=None)
    made.ingest(Document(id=name, text=text, metadata=metadata) for name, (text, metadata) in TEXTS.items())
    made.close()
    return shared_database_url


@pytest.fixture
async def teas(filled: str, minilm: EmbeddingGenerator) -> AsyncIterator[SemanticSearchService]:
    made = SemanticSearchService(minilm, database=filled)
    yield made
    await made.aclose()


class TestSearchTool:
    async def test_sources_are_numbered_and_lead_to_their_places(self, teas: SemanticSearchService) -> None:
        tool = SearchTool(teas, k=2)
        answer = tool.search(QUESTION)
        assert str(answer).startswith("[1] On green tea\nGreen tea is steeped at 80 °C.\n\n[2] ")
        first = answer.sources[0]
        assert {key: first[key] for key in ("number", "document_id", "start_index", "end_index")} == {
            "number": 1,
            "document_id": "green",
            "start_index": 0,
            "end_index": 30,
        }
        assert await tool.asearch(QUESTION) == answer

    def test_a_filter_of_a_model_is_fitted_and_beside_the_fixed_one(self, teas: SemanticSearchService) -> None:
        tool = SearchTool(teas, description=teas.describe_metadata(), filter={"year": {"$lt": 2023}})
        found = tool.search("tea", {"year": {"$gte": "2022"}})
        assert [source["document_id"] for source in found.sources] == ["oolong"]
        assert tool.search("tea", {"year": "2023"}).text == NOTHING_FOUND
        with pytest.raises(InputError, match="No chunk has the metadata key 'genre'"):
            tool.search("tea", {"genre": "x"})

    def test_the_model_is_told_the_keys(self, teas: SemanticSearchService) -> None:
        schema = SearchTool(teas, description=teas.describe_metadata(), about="teas").arguments.model_json_schema()
        assert "year: number, one of: 2021, 2022, 2023" in schema["properties"]["filter"]["description"]
        assert schema["required"] == ["query"]
        assert SearchTool(teas).arguments.model_json_schema()["properties"].keys() == {"query"}

    def test_the_results_keep_to_a_budget(self, teas: SemanticSearchService) -> None:
        assert len(SearchTool(teas, k=3, max_tokens=15).search(QUESTION).sources) == 1
        with pytest.raises(ConfigurationError, match="Raise max_tokens"):
            SearchTool(teas, max_tokens=1).search(QUESTION)
        with pytest.raises(InputError, match="max_tokens"):
            SearchTool(teas, max_tokens=0)


class ScriptedChat(BaseChatModel):
    """A LangChain chat model that calls the tool with given arguments one after another, and then answers."""

    calls: list[dict[str, Any]]
    _tools: list[Any] = LangChainPrivateAttr(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        self._tools[:] = tools
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        done = sum(isinstance(message, ToolMessage) for message in messages)
        if done == len(self.calls):
            message = AIMessage(content="The water has 80 °C [1].")
        else:
            call = ToolCall(name="search_documents", args=self.calls[done], id=f"call-{done}")
            message = AIMessage(content="", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=message)])


class TestLangChain:
    async def test_citations_survive_an_agent_and_its_checkpoint(self, teas: SemanticSearchService) -> None:
        tool = langchain.search_tool(teas, description=teas.describe_metadata())
        calls: list[dict[str, Any]] = [
            {"query": "tea", "filter": {"genre": "x"}},
            {"query": QUESTION, "filter": {"year": "2021"}},
        ]
        agent = create_agent(ScriptedChat(calls=calls), [tool], checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": "1"}}
        given: Any = {"messages": [("user", QUESTION)]}
        state = await agent.ainvoke(given, config)
        refused, found = [each for each in state["messages"] if isinstance(each, ToolMessage)]
        assert refused.status == "error"
        assert "Use one of: 'year', 'title'" in str(refused.content)
        assert found.content == "[1] On green tea\nGreen tea is steeped at 80 °C."
        [source] = found.artifact
        assert TEXTS[source["document_id"]][0][source["start_index"] : source["end_index"]] == source["text"]
        assert state["messages"][-1].content == "The water has 80 °C [1]."
        kept = (await agent.aget_state(config)).values["messages"]
        assert [each.artifact for each in kept if isinstance(each, ToolMessage)] == [refused.artifact, [source]]

    def test_it_runs_without_an_event_loop(self, teas: SemanticSearchService) -> None:
        agent = create_agent(ScriptedChat(calls=[{"query": QUESTION}]), [langchain.search_tool(teas, k=1)])
        given: Any = {"messages": [("user", QUESTION)]}
        [found] = [each for each in agent.invoke(given)["messages"] if isinstance(each, ToolMessage)]
        assert [source["document_id"] for source in found.artifact] == ["green"]


class ScriptedLLM(MockLLM, FunctionCallingLLM):
    """A LlamaIndex model that calls the tool with given arguments one after another, and then answers."""

    _calls: list[dict[str, Any]] = PrivateAttr(default_factory=list)

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(is_function_calling_model=True)

    def _prepare_chat_with_tools(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        raise NotImplementedError

    async def achat_with_tools(self, tools: Any, *args: Any, **kwargs: Any) -> ChatResponse:
        call = self._calls.pop(0) if self._calls else None
        content = "The water has 80 °C [1]." if call is None else ""
        return ChatResponse(message=ChatMessage(role="assistant", content=content), raw=call)

    async def astream_chat_with_tools(self, tools: Any, *args: Any, **kwargs: Any) -> Any:
        async def stream() -> AsyncIterator[ChatResponse]:
            yield await self.achat_with_tools(tools)

        return stream()

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        if response.raw is None:
            return []
        tool_id = f"call-{len(self._calls)}"
        return [ToolSelection(tool_id=tool_id, tool_name="search_documents", tool_kwargs=response.raw)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex looks at all attributes
async def test_citations_survive_an_agent_of_llama_index(teas: SemanticSearchService) -> None:
    model = ScriptedLLM(max_tokens=None)
    model._calls = [{"query": "tea", "filter": {"genre": "x"}}, {"query": QUESTION, "filter": {"year": "2021"}}]
    tool = llama_index.search_tool(teas, description=teas.describe_metadata())
    run = FunctionAgent(tools=[tool], llm=model).run(QUESTION)
    outputs = [event.tool_output async for event in run.stream_events() if isinstance(event, ToolCallResult)]
    answer: Any = await run
    refused, found = outputs
    assert refused.is_error
    assert "Use one of: 'year', 'title'" in refused.content
    assert found.content == "[1] On green tea\nGreen tea is steeped at 80 °C."
    assert [source["document_id"] for source in found.raw_output.sources] == ["green"]
    assert str(answer.response.content) == "The water has 80 °C [1]."
