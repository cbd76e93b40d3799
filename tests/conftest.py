"""Fixtures of more than one file."""

import pytest
from browser import find_chromium


@pytest.fixture(scope="session")
def chromium() -> str:
    """The command of a browser; tests with it are skipped where there is none."""
    return find_chromium()
