"""A child ends with its supervisor, whatever it does."""

import os
import subprocess
import sys

from services.common.process import PARENT_PIPE_VARIABLE


def test_a_stubborn_module_ends_with_its_parent() -> None:
    read_end, write_end = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-m", "services.supervisor.launch", "tests.cli.stubborn", "0.5"],
        stdout=subprocess.PIPE,
        env={**os.environ, PARENT_PIPE_VARIABLE: str(read_end)},
        pass_fds=(read_end,),
    )
    os.close(read_end)
    assert child.stdout is not None
    assert int(child.stdout.readline()) == child.pid
    os.close(write_end)  # as if the supervisor were killed
    child.stdout.close()  # which has read its log so far
    assert child.wait(20) == 1
