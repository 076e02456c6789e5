"""Measure retrieval on labelled questions: data sets, measures, runs and their comparison."""

from embedpipe.evaluation.datasets import EvaluationSet, ExcerptSet, load_beir, load_csv, load_excerpts
from embedpipe.evaluation.grid import Grid
from embedpipe.evaluation.measures import DEFAULT_MEASURES, excerpt_scores, measure
from embedpipe.evaluation.report import Report
from embedpipe.evaluation.runs import Run, RunComparison, compare, evaluate, load_runs, save_runs

__all__ = [
    "DEFAULT_MEASURES",
    "EvaluationSet",
    "ExcerptSet",
    "Grid",
    "Report",
    "Run",
    "RunComparison",
    "compare",
    "evaluate",
    "excerpt_scores",
    "load_beir",
    "load_csv",
    "load_excerpts",
    "load_runs",
    "measure",
    "save_runs",
]
