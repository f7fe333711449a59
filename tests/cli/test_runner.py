from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable

import pytest

from netobj.cli.runner import ThreadRun, new_run, process_is_offered

InThread = Callable[[Callable[[], object]], threading.Thread]


def spin(started: threading.Event) -> None:
    started.set()
    while True:
        pass


def test_a_loop_is_interrupted_and_nothing_after_it(in_thread: InThread) -> None:
    run, started = ThreadRun(), threading.Event()
    after: list[str] = []

    def work() -> None:
        try:
            run.execute(lambda: spin(started))
        except KeyboardInterrupt:
            after.append("interrupted")
        after.append("".join(str(number) for number in range(10)))

    thread = in_thread(work)
    assert started.wait(60)
    assert run.interrupt()
    thread.join()
    assert after == ["interrupted", "0123456789"]
    assert not run.interrupt()


def test_code_may_catch_the_interrupt(in_thread: InThread) -> None:
    run, started, results = ThreadRun(), threading.Event(), []

    def stubborn() -> str:
        try:
            spin(started)
        except KeyboardInterrupt:
            return "caught"
        return "not reached"

    thread = in_thread(lambda: results.append(run.execute(stubborn)))
    assert started.wait(60)
    run.interrupt()
    thread.join()
    assert results == ["caught"]


def test_an_interrupt_on_the_way_dies_with_its_run(in_thread: InThread) -> None:
    """Interrupting as fast as can be, while short runs come and go, hits no code outside one."""
    stop, current = threading.Event(), [ThreadRun()]

    def pester() -> None:
        while not stop.is_set():
            current[0].interrupt()

    in_thread(pester)
    outside = 0
    try:
        for _ in range(2000):
            current[0] = run = ThreadRun()
            try:
                run.execute(lambda: [str(number) for number in range(20)])
            except KeyboardInterrupt:
                pass
            outside += sum(range(10)) == 45
    finally:
        stop.set()
    assert outside == 2000


def test_errors_come_out_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError):
        ThreadRun().execute(lambda: 1 // 0)


def test_a_process_offers_its_main_thread_only_when_told() -> None:
    assert not process_is_offered()
    assert isinstance(new_run(), ThreadRun)


def run_program(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def test_the_main_thread_is_interrupted_in_a_system_call() -> None:
    output = run_program("""
        import select, threading, os
        from netobj.cli.runner import MainRun, new_run, offer_main_thread

        main = offer_main_thread()
        started = threading.Event()

        def block():
            assert threading.current_thread() is threading.main_thread()
            started.set()
            select.select([os.pipe()[0]], [], [])

        def client():
            run = new_run()
            def interrupt():
                started.wait()
                assert run.interrupt()
            threading.Thread(target=interrupt).start()
            try:
                run.execute(block)
            except KeyboardInterrupt:
                print("interrupted", run.interrupt())
            print(new_run().execute(lambda: 6 * 7))
            try:
                new_run().execute(lambda: 1 // 0)
            except ZeroDivisionError as exc:
                print(exc)
            main.stop()

        threading.Thread(target=client).start()
        main.loop()
        print("the loop ended")
    """)
    assert output.splitlines() == [
        "interrupted False",
        "42",
        "integer division or modulo by zero",
        "the loop ended",
    ]


def test_while_the_main_thread_is_busy_others_run_elsewhere() -> None:
    output = run_program("""
        import threading
        from netobj.cli.runner import ThreadRun, new_run, offer_main_thread

        main = offer_main_thread()
        started, release = threading.Event(), threading.Event()

        def occupy():
            started.set()
            release.wait()

        def client():
            busy = threading.Thread(target=lambda: new_run().execute(occupy))
            busy.start()
            started.wait()
            print(type(new_run()).__name__)
            release.set()
            busy.join()
            print(type(new_run()).__name__)
            main.stop()

        threading.Thread(target=client).start()
        main.loop()
    """)
    assert output.split() == ["ThreadRun", "MainRun"]


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")
def test_a_signal_outside_a_run_is_ignored() -> None:
    output = run_program("""
        import os, signal, threading
        from netobj.cli.runner import new_run, offer_main_thread

        main = offer_main_thread()

        def client():
            new_run().execute(lambda: None)  # now the loop has its handler in place
            os.kill(os.getpid(), signal.SIGINT)
            print(new_run().execute(lambda: "alive"))
            main.stop()

        threading.Thread(target=client).start()
        main.loop()
    """)
    assert output == "alive\n"
