"""A process ends with its supervisor, whatever it does."""

import os
import subprocess
import sys

from services.common.parent import PARENT_PIPE_VARIABLE


def test_a_stubborn_process_ends_with_its_parent() -> None:
    read_end, write_end = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "tests.cli.stubborn", "0.2"],
        stdout=subprocess.PIPE,
        env={**os.environ, PARENT_PIPE_VARIABLE: str(read_end)},
        pass_fds=(read_end,),
    ) as child:
        os.close(read_end)
        assert child.stdout is not None
        assert int(child.stdout.readline()) == child.pid
        os.close(write_end)  # as if the supervisor were killed
        assert child.wait(20) == 1
