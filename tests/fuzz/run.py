"""Let atheris look for bytes on which a parser does what it must not.

::

    pip install atheris   # or the extra "fuzz"; there are wheels for some Pythons and systems
    python tests/fuzz/run.py                       # each target for 5 seconds
    python tests/fuzz/run.py messages --seconds 600
    python tests/fuzz/run.py messages --seconds 600 --keep   # what is new goes into the corpus
    python tests/fuzz/run.py messages --try 8101ff # these bytes alone, with the traceback

Bytes that break something are printed; put them into ``tests/fuzz/corpus``, where ``test_fuzz.py``
tries them from then on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_KEPT = 400  # bytes; what is kept is to be small


def fuzz(name: str, seconds: int, folder: str) -> None:
    """Run one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["netobj"]):
        from fuzzing import MOST, TARGETS

    options = [f"-max_total_time={seconds}", f"-max_len={MOST}", "-rss_limit_mb=2048"]
    options += ["-timeout=10", f"-artifact_prefix={folder}/broken-", "-print_final_stats=0"]
    atheris.Setup([sys.argv[0], folder, *options], TARGETS[name])
    atheris.Fuzz()


def run(name: str, seconds: int, keep: bool) -> bool:
    """Run one target in a process of its own; True if nothing was found."""
    from fuzzing import CORPUS, TARGETS

    seeds = TARGETS[name].seeds()
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds):
            Path(folder, f"seed-{number}").write_bytes(seed)
        done = subprocess.run(
            [sys.executable, __file__, name, "--inside", folder, "--seconds", str(seconds)],
            capture_output=True,
            text=True,
        )
        found = [path.read_bytes() for path in sorted(Path(folder).glob("broken-*"))]
        new = [path.read_bytes() for path in Path(folder).iterdir() if "-" not in path.name]
    last = [line for line in done.stderr.splitlines() if "cov:" in line][-1:]
    verdict = "BROKEN" if done.returncode else "ok"
    print(f"{name}: {verdict}, {len(new)} new; {last}", flush=True)
    if done.returncode:
        print(done.stdout[-3000:], done.stderr[-3000:])
        print(f"bytes: {[data.hex() for data in found]}")
    if keep:
        small = {data.hex() for data in (*seeds, *new) if len(data) <= MOST_KEPT}
        (CORPUS / f"{name}.json").write_text(json.dumps(sorted(small), indent=0) + "\n")
    return not done.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the parsers of what strangers send.")
    parser.add_argument("target", nargs="*", help="which; all if none is named")
    parser.add_argument("--seconds", type=int, default=5, help="for each target")
    parser.add_argument("--keep", action="store_true", help="add what is new to the corpus")
    parser.add_argument("--try", dest="bytes", help="try these bytes (hex), and nothing else")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
    if options.inside:
        fuzz(options.target[0], options.seconds, options.inside)
        return 0
    from fuzzing import TARGETS

    names = options.target or list(TARGETS)
    if options.bytes is not None:
        for name in names:
            TARGETS[name](bytes.fromhex(options.bytes))
        return 0
    verdicts = [run(name, options.seconds, options.keep) for name in names]
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
