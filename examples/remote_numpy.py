"""Arrays of the other side: computed with over there, fetched when they are needed here.

    python examples/remote_numpy.py

Needs numpy on both sides.
"""

from __future__ import annotations

import numpy as np

import netobj


def main() -> None:
    with netobj.classic.connect_subproc() as conn:
        there = conn.modules.numpy
        waves = there.sin(there.linspace(0.0, 20.0, 1_000_000))  # 8 MB that stay over there
        print("its mean, computed there:", round(float(waves.mean()), 6))
        print("a part, as a text of there:", (waves[:3] * 2).round(6))

        # The contents come in one message, into memory of ours; nothing is unpickled.
        here = np.asarray(waves)
        print("fetched:", type(here).__name__, here.shape, here.dtype)
        print("the same:", bool(np.isclose(here.mean(), waves.mean())))

        # One of each: with the local one first it is computed here, else over there.
        small = there.arange(3.0)
        print("here:", np.ones(3) + small)
        print("there:", np.asarray(small + np.ones(3)))
    conn.proc.wait()


if __name__ == "__main__":
    main()
