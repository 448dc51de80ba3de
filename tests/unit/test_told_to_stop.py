"""Being told to stop by a signal."""

import subprocess
import sys
import threading

from agent_memory.embedded.told import Told

# Asks all the time, so that nearly every signal comes in the midst of a wait.
INTERRUPTED_WAITS = """
import signal
from agent_memory.embedded.told import Told

for _ in range(100):
    told = Told()
    told.on((signal.SIGALRM,))
    signal.setitimer(signal.ITIMER_REAL, 0.0005)
    while not told.wait(0):
        pass
print("told each time")
"""


def test_a_signal_in_the_midst_of_a_wait_ends_it():
    run = subprocess.run([sys.executable, "-c", INTERRUPTED_WAITS], capture_output=True, text=True, timeout=60, check=True)

    assert run.stdout == "told each time\n"


def test_another_thread_ends_a_wait():
    told = Told()
    threading.Timer(0, told.set).start()

    assert told.wait()
    assert told.is_set()


def test_a_wait_that_nobody_ends_is_over_after_its_time():
    told = Told()

    assert not told.wait(0.001)
    assert not told.is_set()
