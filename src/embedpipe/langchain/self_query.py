"""What a LangChain self-query retriever needs: a translator of its queries, and the attributes of a collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_core.structured_query import Comparator, Comparison, Operation, Operator, StructuredQuery, Visitor

from embedpipe.storage import Field, Filter
from embedpipe.storage.filters import And, Or
from embedpipe.storage.metadata import KeyDescription, MetadataDescription, coerced


class EmbedPipeTranslator(Visitor):
    """Translates the structured queries of LangChain's `SelfQueryRetriever` to filters.

    Pass it as `structured_query_translator=EmbedPipeTranslator(service.describe_metadata())`. LangChain has a closed
    list of stores whose translator it finds by itself.

    `contain` matches a list with the value as an element, and a text in which the value occurs. `like` takes a pattern
    of SQL's LIKE. Without `%` and `_` it matches a text in which the value occurs, ignoring case.
    """

    allowed_comparators = tuple(Comparator)
    allowed_operators = tuple(Operator)

    def __init__(self, description: MetadataDescription | None = None) -> None:
        """Set up a translator.

        Args:
            description: Of the collection's metadata. With it, "2020" becomes 2020 for a key of numbers, dates get
                their ISO form, dotted keys are paths, and an unknown key raises `InputError`. Without it, queries are
                translated as they are.
        """
        self._description = description

    def visit_operation(self, operation: Operation) -> Filter:
        """Return the filter of conditions joined by and, or and not."""
        parts = tuple(part.accept(self) for part in operation.arguments)
        match operation.operator:
            case Operator.AND:
                return And(parts)
            case Operator.OR:
                return Or(parts)
        return ~And(parts)

    def visit_comparison(self, comparison: Comparison) -> Filter:
        """Return the filter of one condition."""
        return _COMPARISONS[comparison.comparator](Field(comparison.attribute), _plain(comparison.value))

    def visit_structured_query(self, structured_query: StructuredQuery) -> tuple[str, dict[str, Any]]:
        """Return the text to search for, and the options of the search.

        Raises:
            InputError: If the collection has no such key, or a value does not fit its comparator.
        """
        if structured_query.filter is None:
            return structured_query.query, {}
        condition: Filter | None = structured_query.filter.accept(self)
        if self._description is not None:
            condition = coerced(condition, self._description)
        return structured_query.query, {"filter": condition}


def attribute_info(description: MetadataDescription) -> list[dict[str, str]]:
    """Return the keys as `SelfQueryRetriever.from_llm(metadata_field_info=...)` takes them.

    Args:
        description: What `service.describe_metadata()` returned.
    """
    return [{"name": key.name, "type": _type(key), "description": key.summary} for key in description.keys]


def _type(key: KeyDescription) -> str:
    kind = "string" if key.type == "mixed" else key.type
    return f"list[{kind}]" if key.is_list else kind


def _plain(value: Any) -> Any:
    """Return a value of LangChain's query language: dates come as {"date": "2024-05-01", "type": "date"}."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict) and value.get("type") in ("date", "datetime"):
        return value.get("date", value.get("datetime"))
    return value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _in(field: Field, value: Any) -> Filter:
    return field.is_in(_listed(value))


def _not_in(field: Field, value: Any) -> Filter:
    return field.not_in(_listed(value))


def _contain(field: Field, value: Any) -> Filter:
    found = field.contains(value)
    return found | field.has_text(value) if isinstance(value, str) else found


def _like(field: Field, value: Any) -> Filter:
    if isinstance(value, str) and not {"%", "_"} & set(value):
        return field.has_text(value, ignore_case=True)
    return field.like(value)


_COMPARISONS: dict[Comparator, Callable[[Field, Any], Filter]] = {
    Comparator.EQ: Field.equals,
    Comparator.NE: Field.__ne__,
    Comparator.GT: Field.__gt__,
    Comparator.GTE: Field.__ge__,
    Comparator.LT: Field.__lt__,
    Comparator.LTE: Field.__le__,
    Comparator.IN: _in,
    Comparator.NIN: _not_in,
    Comparator.CONTAIN: _contain,
    Comparator.LIKE: _like,
}
