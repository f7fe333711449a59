"""IPython's prompt in front of the shell: its editing and history here, the code over there.

Lines that begin with ``%``, ``!`` or ``?`` are IPython's own and act on this side.
"""

# mypy: disable-error-code="import-not-found, misc, no-untyped-call"
# IPython is optional: the types are to be right where it is missing, too.

from __future__ import annotations

from typing import Any

from IPython.core.interactiveshell import ExecutionInfo, ExecutionResult
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from traitlets.config import Config

from netobj.cli.console import Shell


class RemoteIPython(TerminalInteractiveShell):
    """IPython's terminal shell, whose cells run on the other side of a connection."""

    status = 0

    def attach(self, shell: Shell) -> None:
        """Run cells and complete names by way of *shell*."""
        self._remote = shell
        self.set_custom_completer(lambda completer, text: list(shell.complete(text)))

    def run_cell(self, raw_cell: str, *args: Any, **kwargs: Any) -> ExecutionResult:
        cell = raw_cell.strip()
        if cell.startswith(("%", "!", "?")) or not hasattr(self, "_remote"):
            return super().run_cell(raw_cell, *args, **kwargs)
        result = ExecutionResult(ExecutionInfo(raw_cell, False, False, True, None))
        result.execution_count = self.execution_count
        if self.history_manager is not None:
            self.history_manager.store_inputs(self.execution_count, cell, raw_cell)
        status = 0 if cell in ("exit", "quit") else self._remote.run_cell(raw_cell)
        self.execution_count += 1
        if status is not None:
            self.status = status
            self.ask_exit()
        return result


def interact(shell: Shell) -> int:
    """Prompt until the user leaves; the exit status."""
    config = Config()
    config.TerminalInteractiveShell.confirm_exit = False
    config.Completer.use_jedi = False
    # What is complete here, from local names, is not what the other side has.
    config.IPCompleter.disable_matchers = ["IPCompleter.python_matcher"]
    prompt = RemoteIPython.instance(config=config)
    prompt.attach(shell)
    prompt.mainloop()
    return int(prompt.status)
