"""Values in text: numbers, units, dates, negations and names, and whether a source holds those of a statement."""

from embedpipe.answering.values.check import unsupported_values
from embedpipe.answering.values.text_values import ValuesOfText
from embedpipe.answering.values.tokens import in_another_language
from embedpipe.answering.values.unsupported import UnsupportedValue, ValueKind

__all__ = ["UnsupportedValue", "ValueKind", "ValuesOfText", "in_another_language", "unsupported_values"]
