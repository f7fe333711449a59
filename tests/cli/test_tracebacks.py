"""Tracebacks of the shell are those of ``python -i``, but that they show the lines of the input."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from netobj.cli.remote_console import RemoteConsole

INPUTS = [
    ["1/0"],
    ["def f(x):\n    return 1 // x\n", "f(0)"],
    ["import json", "json.loads('{')"],
    ["def f():\n    raise ValueError('a\\nb')\n", "try: f()\nexcept ValueError: undefined\n"],
    ["try: 1/0\nexcept Exception as e: raise KeyError('k') from e\n"],
    ["try: 1/0\nexcept Exception: raise KeyError('k') from None\n"],
    ["a b"],
    ["exec('a b')"],
    ["import nosuchmodule"],
    ["raise KeyboardInterrupt"],
    ["class E(Exception): pass\n", "raise E('mine')"],
    ["int('x')"],
    ["__import__('codeop').compile_command('a b')"],
]
if sys.version_info >= (3, 11):
    INPUTS += [
        ["e = ValueError('v'); e.add_note('a note')", "raise e"],
        ["raise ExceptionGroup('g', [ValueError(1), OSError(2)])"],
    ]


def of_python(inputs: list[str]) -> str:
    typed = "import sys; sys.ps1 = sys.ps2 = ''\n" + "".join(f"{one}\n" for one in inputs)
    done = subprocess.run(
        [sys.executable, "-i", "-q", "-E"],
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stderr.removeprefix(">>> ")


def of_the_shell(inputs: list[str]) -> str:
    console = RemoteConsole(lambda chunks: None, lambda: "")
    texts = [outcome[1] for one in inputs if len(outcome := console.run(one)) == 2]
    return "".join(texts)


def without_source(text: str) -> str:
    """Without the lines of source and what is marked in them, and with one name for the input.

    Python 3.10 writes the module of a class of the input, but not in the module traceback.
    """
    text = text.replace("__main__.", "")
    text = re.sub(r"<(stdin|python-input|netobj-input)(-\d+)?>", "<input>", text)
    return re.sub(r"(?m)^((?: +\| )?  File \".*\n)(?:(?: +\| )? {4}.*\n)+", r"\1", text).strip()


@pytest.mark.parametrize("inputs", INPUTS, ids=lambda inputs: inputs[-1])
def test_tracebacks_are_those_of_python(inputs: list[str]) -> None:
    assert without_source(of_the_shell(inputs)) == without_source(of_python(inputs))


def test_lines_of_the_input_are_shown() -> None:
    text = of_the_shell(["def f(x):\n    return 1 // x\n", "f(0)  # call it"])
    assert "\n    f(0)  # call it\n" in text
    assert "\n    return 1 // x\n" in text
    assert "netobj/cli" not in text
    assert "codeop" not in text
