"""Memory that is kept for the next tensor: counted by the faults of its pages, in a process of its own."""

import subprocess
import sys

import pytest

from multigen.memory import keep_freed_memory

CODE = """
import resource, sys, torch
from multigen.memory import keep_freed_memory

if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit(print(-1))
x = torch.ones(16_000_000)  # 64 MB: up to 32 MB, glibc may come to keep what is freed by itself
for step in range(14):
    if step == 4:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    y = (x + 1) * 2
    del y
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    return int(subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True).stdout)


def test_tensors_take_the_memory_of_those_before_them():
    pages = 2 * 10 * 4 * 16_000_000 / 65_536  # of 64 KiB, the largest usual ones: two tensors a step
    plain, kept = faults("plain"), faults("kept")
    if kept < 0 or plain < pages:
        pytest.skip("the C library is another one, or the system does not count faults or hardly has any")
    assert kept < 0.1 * plain


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_elsewhere_nothing_is_done(monkeypatch, system):
    monkeypatch.setattr(sys, "platform", system)
    assert keep_freed_memory() is False


def test_another_c_library_is_left_alone(monkeypatch):
    def confstr(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("os.confstr", confstr, raising=False)
    assert keep_freed_memory() is False
