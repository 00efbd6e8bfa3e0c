"""Which part of the photos a process has, where many hosts share them.

Photos are independent, so hosts need each other only to learn who they are. A child process asks
JAX, and ends: this one is connected to nobody, so that a host that is lost takes no other with it.
"""

import os
import subprocess
import sys
from typing import NamedTuple

ASK = (
    "import jax; jax.distributed.initialize(); print(jax.process_index(), jax.process_count()); "
    "jax.distributed.shutdown()"
)


class Part(NamedTuple):
    """Every `count`-th photo from number `index` on."""

    index: int
    count: int

    @property
    def name(self) -> str:
        """Of the folder that holds this part's results."""
        width = len(str(self.count - 1))
        return f"part-{self.index:0{width}}-of-{self.count}"


def part(text: str | None) -> Part | None:
    """The part that --part asks for: "INDEX/COUNT", or "auto" for what `jax.distributed` finds out;
    None for all photos.

    "auto" returns once every process has asked.

    Raises:
        ValueError: another text, a number out of range, or no cluster to be found.
    """
    if text is None:
        return None
    if text == "auto":
        return _found()
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise ValueError(
            f"--part={text}: expected auto, or INDEX/COUNT such as 0/8 for the first of eight"
        )
    return Part(int(index), int(count))


def _found() -> Part:
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        told = (done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"])[-1]
        raise ValueError(
            f"--part=auto: jax.distributed found no cluster ({told}): say --part=INDEX/COUNT"
        )
    index, count = done.stdout.split()[-2:]
    return Part(int(index), int(count))
