"""Measuring samples of any modality: ``multigen eval``.

A `Recorder` measures samples one by one with an `Extractor`, a `Collection` holds what it found, a `Metric` judges it
and says how sure it is.
"""

from multigen.evaluation.collection import Collection, Record, Recorder, read_collection
from multigen.evaluation.contract import Evidence, Extractor, Metric, Need, PerItem, PerPrompt, PerSample, PerSet, Reads
from multigen.evaluation.measure import Result, measure

__all__ = [
    "Collection",
    "Evidence",
    "Extractor",
    "Metric",
    "Need",
    "PerItem",
    "PerPrompt",
    "PerSample",
    "PerSet",
    "Reads",
    "Record",
    "Recorder",
    "Result",
    "measure",
    "read_collection",
]
