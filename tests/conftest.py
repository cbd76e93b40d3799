"""Fixtures of more than one file."""

from functools import partial

import pytest
import torch
from browser import find_chromium


@pytest.fixture(scope="session")
def chromium() -> str:
    """The command of a browser; tests with it are skipped where there is none."""
    return find_chromium()


@pytest.fixture
def graphs(monkeypatch):
    """The sizes of the inputs of every graph that is compiled; they are run as they are, without a C++ compiler."""
    found = []

    def backend(graph, inputs):
        found.append([tuple(x.shape) for x in inputs if isinstance(x, torch.Tensor)])
        return graph

    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    yield found
    torch._dynamo.reset()
