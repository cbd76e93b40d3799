"""A training that is killed in the middle, for the tests of resuming."""

import signal
import subprocess
import sys
from pathlib import Path


def killed(script: str, folder: Path, /, *, at: int) -> None:
    """Run a script of this folder, which prints how many samples it has seen, and kill it from `at` samples on."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / script), str(folder)], stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if int(line) >= at:
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
