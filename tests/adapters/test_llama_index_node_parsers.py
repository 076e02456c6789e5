"""The LlamaIndex parsers keep what the chunkers know, serialise and travel between processes."""

from __future__ import annotations

import pickle
from itertools import pairwise

import pytest
from llama_index.core.schema import BaseNode, Document, NodeRelationship, TextNode

from embedpipe.chunking import Separator
from embedpipe.errors import ConfigurationError
from embedpipe.llama_index.node_parsers import RecursiveNodeParser

TEXT = "same words again. " * 40


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
    with pytest.raises(ConfigurationError, match="Expected the function itself"):
        RecursiveNodeParser.from_dict(state)
    nodes = RecursiveNodeParser.from_dict(state, id_func=numbered)([Document(text=TEXT, id_="d")])
    assert nodes[0].node_id == "d-0"
