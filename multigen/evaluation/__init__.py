"""Measuring samples of any modality: ``multigen eval``.

A `Collection` holds samples, an `Extractor` turns them into features, a `Metric` judges them and says how sure it is.
"""

from multigen.evaluation.collection import Collection, read_collection
from multigen.evaluation.contract import Evidence, Extractor, Metric, Need, PerSample, PerSet
from multigen.evaluation.measure import Result, measure

__all__ = [
    "Collection",
    "Evidence",
    "Extractor",
    "Metric",
    "Need",
    "PerSample",
    "PerSet",
    "Result",
    "measure",
    "read_collection",
]
