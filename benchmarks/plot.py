"""Draws what ``speed.py`` has measured: ``python benchmarks/plot.py speed.json speed.svg``.

Each workload is a line; on it, how many times worse than the bare socket each candidate is (or
than netobj, where a workload has no floor).
"""

from __future__ import annotations

import json
import sys
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

SHOWN = {"raw": ("|", "black"), "rpyc": ("s", "tab:orange"), "netobj": ("o", "tab:blue")}
PEER = ("D", "tab:gray")


def draw(data: dict[str, Any], target: str) -> None:
    """Draw *data*, as the JSON file has it, as an SVG file."""
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text
    mpl.rcParams["svg.hashsalt"] = "netobj"  # the same data give the same file
    workloads = [w for w in data["workloads"] if "netobj" in w["candidates"]]
    figure = Figure(figsize=(10, 1.5 + 0.36 * len(workloads)), layout="constrained")
    axes = figure.add_subplot()
    for row, workload in enumerate(workloads):
        axes.axhline(row, color="0.92", zorder=0)
        for name, times in _times_worse(workload).items():
            marker, colour = SHOWN.get(name, PEER)
            axes.plot(times, row, marker, color=colour, markersize=11 if name == "raw" else 7)
            if name not in SHOWN:
                label = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center"}
                axes.annotate(name, (times, row), fontsize=6, color="0.4", **label)
    axes.set_yticks(range(len(workloads)), [w["title"] for w in workloads])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", color="0.85")
    axes.set_axisbelow(True)
    axes.set_xlabel("times worse than the bare socket (less is better)")
    names = {"raw": "bare socket", "netobj": "netobj", "rpyc": "RPyC"}
    for name, (marker, colour) in SHOWN.items():
        axes.plot([], [], marker, color=colour, label=names[name])
    axes.plot([], [], PEER[0], color=PEER[1], label="best of the other peers")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(target, metadata={"Date": None})


def _times_worse(workload: dict[str, Any]) -> dict[str, float]:
    medians = {name: found["median"] for name, found in workload["candidates"].items()}
    floor = medians.get("raw", medians["netobj"])
    names = [name for name in (*SHOWN, workload["best peer"]) if name in medians]
    if workload["more is better"]:
        return {name: floor / medians[name] for name in names}
    return {name: medians[name] / floor for name in names}


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        measured = json.load(file)
    draw(measured, sys.argv[2])
