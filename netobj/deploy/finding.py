"""The command that finds a Python on the other machine and lets it read its program."""

from __future__ import annotations

import shlex
import sys
from typing import Any, Final

OLDEST: Final = (3, 10)
_NEWEST: Final = 15

# Within double quotes of a shell within single quotes of any other, so without either, and
# without what such shells replace; and in a Python's language of any age.
_CHECK: Final = (
    f"import sys;sys.stdout.write(sys.version.split()[0]);sys.exit(sys.version_info<{OLDEST})"
)
_READ: Final = "import sys;exec(sys.stdin.buffer.read({size}))"


def candidates(python_executable: Any = None) -> list[str]:
    """The Pythons to try, in this order, quoted for a shell: the local version comes first.

    *python_executable*: a path or name, or a plumbum command; then nothing else is tried.

    >>> candidates("/opt/my python")
    ["'/opt/my python'"]
    """
    if hasattr(python_executable, "formulate"):
        return [" ".join(python_executable.formulate(1))]
    if python_executable is not None:
        return [shlex.quote(str(python_executable))]
    minors = [sys.version_info.minor, *range(_NEWEST, OLDEST[1] - 1, -1)]
    names = [f"python3.{minor}" for minor in minors]
    return list(dict.fromkeys([names[0], "python3", *names, "python"]))


def command(pythons: list[str], mark: str, size: int) -> str:
    """A line for any login shell: the first of *pythons* that will do runs a program.

    It reads that program, *size* bytes, from its standard input. Before, a line is printed:
    *mark*, ``python``, its version; or *mark*, ``none``, and what there was.
    """
    tries = [
        f'v=$({python} -c "{_CHECK}" </dev/null 2>/dev/null) '
        f'&& echo "{mark} python $v" && exec {python} -c "{_READ.format(size=size)}"; '
        f'seen="$seen "{shlex.quote(python)}":${{v:-missing}}"'
        for python in pythons
    ]
    none = f'printf "%s\\n" "{mark} none$seen"'
    return "sh -c " + shlex.quote("; ".join([*tries, none, "exit 127"]))
