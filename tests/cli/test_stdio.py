from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from netobj.cli.stdio import Chunks, Outlet, Router, Stdio

InThread = Callable[[Callable[[], object]], threading.Thread]


class Screen:
    """Collects what is sent; :attr:`gate` can hold the sender up."""

    def __init__(self) -> None:
        self.calls: list[Chunks] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)

    def send(self, chunks: Chunks) -> None:
        self.entered.release()
        self.gate.wait()
        self.calls.append(chunks)

    def text(self, stream: int = 1) -> str:
        return "".join(text for call in self.calls for one, text in call if one == stream)


def make_stdio(screen: Screen, *lines: str | None) -> Stdio:
    answers = iter(lines)
    return Stdio(screen.send, lambda: next(answers, ""), {})


def test_output_gathers_while_the_terminal_is_busy() -> None:
    screen = Screen()
    outlet = Outlet(screen.send)
    screen.gate.clear()
    outlet.put(1, "first\n")
    assert screen.entered.acquire()
    for number in range(1000):
        outlet.put(1, f"{number}\n")
    screen.gate.set()
    outlet.flush()
    assert len(screen.calls) == 2
    assert screen.text() == "first\n" + "".join(f"{number}\n" for number in range(1000))


def test_order_of_the_two_streams_is_kept() -> None:
    screen = Screen()
    outlet = Outlet(screen.send)
    outlet.put(1, "a")
    outlet.put(2, "b")
    outlet.put(2, "c")
    outlet.put(1, "d")
    outlet.flush()
    assert screen.calls == [((1, "a"), (2, "bc"), (1, "d"))]


def test_part_of_a_line_waits_for_a_flush_and_a_line_does_not() -> None:
    screen = Screen()
    outlet = Outlet(screen.send)
    outlet.put(1, "part")
    assert not screen.entered.acquire(blocking=False)
    outlet.put(1, " of a line\n")
    assert screen.entered.acquire()
    outlet.flush()
    assert screen.calls == [((1, "part of a line\n"),)]


def test_who_prints_much_waits_for_the_terminal(in_thread: InThread) -> None:
    screen = Screen()
    stdio = make_stdio(screen)
    screen.gate.clear()
    printed: list[int] = []

    def print_much() -> None:
        with stdio.active():
            for number in range(100):
                sys.stdout.write("x" * 10_000 + "\n")
                printed.append(number)

    thread = in_thread(print_much)
    assert screen.entered.acquire()
    assert len(printed) < 20
    screen.gate.set()
    thread.join()
    stdio.outlet.flush()
    assert screen.text() == ("x" * 10_000 + "\n") * 100


def test_a_terminal_that_fails_is_a_broken_pipe() -> None:
    def send(chunks: Chunks) -> None:
        raise OSError("no terminal")

    outlet = Outlet(send)
    outlet.put(1, "lost")
    outlet.flush()
    with pytest.raises(BrokenPipeError, match="terminal of this shell is gone") as caught:
        outlet.put(1, "more")
    assert str(caught.value.__cause__) == "no terminal"


def test_what_is_detached_prints_and_reads_nothing(in_thread: InThread) -> None:
    screen = Screen()
    stdio = make_stdio(screen, "never\n")
    screen.gate.clear()
    stdio.outlet.put(1, "sent\n")
    assert screen.entered.acquire()
    stdio.outlet.put(1, "dropped\n")
    flushing = in_thread(stdio.outlet.flush)
    stdio.outlet.detach()
    flushing.join()
    stdio.outlet.put(1, "dropped too\n")
    screen.gate.set()
    assert stdio.stdin.readline() == ""


def test_two_shells_in_two_threads_do_not_hear_each_other(in_thread: InThread) -> None:
    screens = [Screen(), Screen()]
    barrier = threading.Barrier(2)

    def work(number: int) -> None:
        stdio = make_stdio(screens[number], f"answer {number}\n")
        with stdio.active():
            for _ in range(200):
                barrier.wait()
                print(number)
                print(number, file=sys.stderr)
            print(input())
        stdio.outlet.flush()

    threads = [in_thread(lambda: work(0)), in_thread(lambda: work(1))]
    for thread in threads:
        thread.join()
    for number, screen in enumerate(screens):
        assert screen.text(1) == f"{number}\n" * 200 + f"answer {number}\n"
        assert screen.text(2) == f"{number}\n" * 200


def test_others_print_where_the_process_does(
    in_thread: InThread, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen()
    stdio = make_stdio(screen)
    with stdio.active():
        print("mine")
        in_thread(lambda: print("of a thread")).join()
    print("the process's")
    stdio.outlet.flush()
    assert screen.text() == "mine\n"
    assert capsys.readouterr().out == "of a thread\nthe process's\n"


def test_a_process_of_one_shell_prints_there_in_every_thread(
    in_thread: InThread, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Screen()
    stdio = make_stdio(screen)
    stdio.own_process()
    in_thread(lambda: print("of a thread")).join()
    stdio.outlet.flush()
    assert screen.text() == "of a thread\n"
    assert capsys.readouterr().out == ""


def test_asyncio_to_thread_belongs_to_the_shell() -> None:
    screen = Screen()
    stdio = make_stdio(screen)
    with stdio.active():
        asyncio.run(asyncio.to_thread(print, "hello"))
    stdio.outlet.flush()
    assert screen.text() == "hello\n"


def test_redirect_stdout_is_respected() -> None:
    screen = Screen()
    stdio = make_stdio(screen)
    with stdio.active():
        with contextlib.redirect_stdout(io.StringIO()) as buffer, stdio.active():
            print("into the buffer")
        print("to the shell")
    stdio.outlet.flush()
    assert buffer.getvalue() == "into the buffer\n"
    assert screen.text() == "to the shell\n"


def test_input_flushes_what_was_printed_before() -> None:
    screen = Screen()
    seen: list[str] = []

    def read_line() -> str:
        seen.append(screen.text())
        return "Ada\n"

    stdio = Stdio(screen.send, read_line, {})
    with stdio.active():
        assert input("name? ") == "Ada"
    assert seen == ["name? "]


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda stdin: stdin.readline(), "ab\n"),
        (lambda stdin: [stdin.readline(1), stdin.readline()], ["a", "b\n"]),
        (lambda stdin: stdin.read(), "ab\ncd\n"),
        (lambda stdin: stdin.read(4), "ab\nc"),
        (lambda stdin: list(stdin), ["ab\n", "cd\n"]),
        (lambda stdin: next(stdin), "ab\n"),
        (lambda stdin: stdin.readlines(), ["ab\n", "cd\n"]),
    ],
)
def test_ways_to_read(read: Callable[[Any], object], expected: object) -> None:
    with make_stdio(Screen(), "ab\n", "cd\n").active():
        assert read(sys.stdin) == expected


def test_the_end_of_input_is_eof_and_ctrl_c_an_interrupt() -> None:
    with make_stdio(Screen()).active(), pytest.raises(EOFError):
        input()
    with make_stdio(Screen(), None).active(), pytest.raises(KeyboardInterrupt):
        input()


def test_streams_say_that_they_are_no_file_of_this_machine() -> None:
    stdio = make_stdio(Screen())
    with stdio.active():
        assert not sys.stdout.isatty()
        assert not sys.stdin.isatty()
        assert sys.stdout.writable()
        assert sys.stdin.readable()
        assert sys.stdout.encoding == "utf-8"
        with pytest.raises(io.UnsupportedOperation):
            sys.stdin.fileno()
        with pytest.raises(TypeError, match="must be str, not bytes"):
            sys.stdout.write(b"bytes")  # type: ignore[arg-type]
        sys.stdin.close()  # as exit() does
        assert sys.stdin.readline() == ""
        with sys.stdout as same:
            assert same is stdio.stdout
        assert "a shell" in repr(sys.stdout)
    assert isinstance(sys.stdout, Router)
    assert "the process" in repr(sys.stdout)


def test_bytes_printed_are_text_however_they_are_cut() -> None:
    screen = Screen()
    stdio = make_stdio(screen)
    with stdio.active():
        for byte in "häß\n".encode():
            sys.stdout.buffer.write(bytes([byte]))
        sys.stdout.buffer.write(b"\xff\n")
    stdio.outlet.flush()
    assert screen.text() == "häß\n\\xff\n"


def test_values_are_shown_and_kept() -> None:
    screen = Screen()
    namespace: dict[str, Any] = {}
    stdio = Stdio(screen.send, lambda: "", namespace)
    with stdio.active():
        sys.displayhook("a")
        sys.displayhook(None)
        assert namespace["_"] == "a"
        sys.displayhook(5)
        assert namespace["_"] == 5
        namespace["_"] = len  # the user's own, as in: from gettext import gettext as _
        sys.displayhook(6)
        assert namespace["_"] is len
    stdio.outlet.flush()
    assert screen.text() == "'a'\n5\n6\n"


def test_values_of_others_are_shown_by_the_process(capsys: pytest.CaptureFixture[str]) -> None:
    with make_stdio(Screen()).active():
        pass
    sys.displayhook(7)
    assert capsys.readouterr().out == "7\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_prints_as_the_process_does() -> None:
    screen = Screen()
    stdio = make_stdio(screen)
    with stdio.active():
        child = os.fork()
        if child == 0:
            os._exit("a shell" in repr(sys.stdout))
    assert os.waitpid(child, 0)[1] == 0
