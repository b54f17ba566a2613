"""A module that says when it runs, and then neither ends nor listens: for `services.supervisor.launch`."""

import os
import signal
import sys
import time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdout.write(f"{os.getpid()}\n")
sys.stdout.flush()
while True:
    time.sleep(0.01)  # there is nothing to wait for
    sys.stdout.write("still here\n")
    sys.stdout.flush()
