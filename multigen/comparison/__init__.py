"""One question asked of every modality alike: ``multigen compare``.

A `Study` names what is varied; each combination is an `Arm`. All arms of a modality share prompts, seeds and so noise.
"""

from multigen.comparison.study import Arm, Study, arms

__all__ = ["Arm", "Study", "arms"]
