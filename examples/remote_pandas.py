"""A table of the other side: asked over there, and fetched by columns.

    python examples/remote_pandas.py

Needs pandas on both sides.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

import netobj

TABLE = """
import pandas as pd
readings = pd.DataFrame(
    {
        "sensor": ["roof", "cellar"] * 500,
        "celsius": [20 + n % 10 if n % 2 == 0 else 12.0 for n in range(1000)],
    }
)
"""


def main() -> None:
    with netobj.classic.connect_subproc() as conn:
        conn.execute(TABLE)
        readings = conn.namespace["readings"]
        print(readings.describe().loc["mean"].to_string())
        print(readings.groupby("sensor")["celsius"].max().to_string())

        # The columns of interest, as arrays, make a table here; nothing is unpickled.
        roof = readings[readings["sensor"] == "roof"]
        local = pd.DataFrame({"celsius": np.asarray(roof["celsius"].to_numpy())})
        print("here:", type(local).__name__, len(local), local["celsius"].median())
    conn.proc.wait()


if __name__ == "__main__":
    main()
