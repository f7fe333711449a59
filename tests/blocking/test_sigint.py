"""Ctrl-C in the main thread, at any moment of a call, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

PROGRAM = """
import random, signal, threading
import netobj

class S(netobj.Service):
    def exposed_add(self, a, b): return a + b

conn = netobj.connect_thread(remote_service=S)
main = threading.main_thread().ident
stop = threading.Event()
others = [0]

def work():
    while not stop.is_set():
        assert conn.root.add(1, others[0]) == 1 + others[0]
        others[0] += 1

def interrupt():
    begun.wait()  # what the main thread does from here on is ready for it
    for _ in range(COUNT):
        stop.wait(random.random() * 0.004)
        signal.pthread_kill(main, signal.SIGINT)
    done.set()

begun, done = threading.Event(), threading.Event()
worker = threading.Thread(target=work)
worker.start()
threading.Thread(target=interrupt).start()
interrupted = wrong = calls = 0
finished = False
while not finished:  # an interrupt may come between any two instructions: of this loop, too
    try:
        begun.set()
        while not done.is_set():
            wrong += conn.root.add(2, calls) != 2 + calls
            calls += 1
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        finished = True
    except KeyboardInterrupt:
        interrupted += 1
stop.set()
worker.join()
assert conn.root.add(1, 1) == 2
conn.ping()
print(interrupted > 0, wrong, others[0] > 0, conn.closed)
"""


def run(source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_interrupting_a_call_leaves_the_connection_and_other_threads_working(scale: int) -> None:
    result = run(PROGRAM.replace("COUNT", str(200 * scale)))
    assert (result.stdout, result.returncode) == ("True 0 True False\n", 0), result.stderr


def test_ctrl_c_ends_a_call_that_waits() -> None:
    result = run(
        """
        import signal, threading, time
        import netobj
        conn = netobj.classic.connect_thread()
        begin = time.monotonic()
        main = threading.main_thread().ident
        waiting = conn.modules.time.sleep
        def interrupt():
            while not conn.session.pending:
                time.sleep(0.001)
            while not seen.is_set():
                signal.pthread_kill(main, signal.SIGINT)
                seen.wait(0.05)
        seen = threading.Event()
        threading.Thread(target=interrupt).start()
        try:
            waiting(60)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            seen.set()
        print(time.monotonic() - begin < 30, conn.eval("6 * 7"))
        """
    )
    assert (result.stdout, result.returncode) == ("True 42\n", 0), result.stderr


def test_a_handler_of_the_programs_own_stays_in_place() -> None:
    result = run(
        """
        import signal
        import netobj
        def mine(*_): pass
        signal.signal(signal.SIGINT, mine)
        netobj.connect_thread().close()
        print(signal.getsignal(signal.SIGINT) is mine)
        """
    )
    assert result.stdout == "True\n", result.stderr


def test_ctrl_c_ends_waiting_for_an_end_or_beside_another_thread() -> None:
    result = run(
        """
        import os, signal, threading
        import netobj
        conn = netobj.classic.connect_thread()
        result = netobj.async_(conn.modules.time.sleep)(60)
        other = threading.Thread(target=result.wait, daemon=True)
        other.start()
        while not (result._turn and result._turn.locked()):
            other.join(0.001)
        for wait in (conn.wait_closed, result.wait):
            again = threading.Event()
            def interrupt():
                while not again.wait(0.05):
                    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            thread = threading.Thread(target=interrupt)
            thread.start()
            try:
                wait()
            except KeyboardInterrupt:
                old = signal.signal(signal.SIGINT, signal.SIG_IGN)
                again.set()
                thread.join()
                print("interrupted")
                signal.signal(signal.SIGINT, old)
        print("end", flush=True)
        os._exit(0)
        """
    )
    assert result.stdout == "interrupted\ninterrupted\nend\n", result.stderr


def test_ctrl_c_while_the_io_thread_is_being_made() -> None:
    result = run(
        """
        import signal
        import netobj
        from netobj.blocking import io_thread, sigint
        sigint.guard_against_sigint()
        with io_thread._start_lock:
            try:
                exec(compile("signal.raise_signal(signal.SIGINT)", io_thread.__file__, "exec"))
            except KeyboardInterrupt:
                print("interrupted")
        """
    )
    assert result.stdout == "interrupted\n", result.stderr


WIDE = """
import random, signal, threading
import netobj

class S(netobj.Service):
    @netobj.exposed
    def add(self, a, b): return a + b
    @netobj.exposed
    def back(self, callback, depth): return callback(depth)
    @netobj.exposed
    def fail(self): raise ValueError
    @netobj.exposed(stream=True)
    def stream(self): yield from range(5)

conn = netobj.connect_thread(remote_service=S, remote_config={"log_exceptions": False})
root = conn.root
main = threading.main_thread().ident
stop = threading.Event()
wrong = []

def nested(depth):
    return root.back(nested, depth - 1) + 1 if depth else 0

def work(number):
    steps = (
        lambda: root.add(1, number) == 1 + number,
        lambda: nested(3) == 3,
        lambda: netobj.async_(root.add)(1, number).value == 1 + number,
        lambda: list(root.stream()) == [0, 1, 2, 3, 4],
        fails,
    )
    return random.choice(steps)()

def fails():
    try:
        root.fail()
    except ValueError:
        return True

def others():
    count = 0
    while not stop.is_set() or not count:
        count += 1
        if not work(count):
            wrong.append(count)

def interrupt():
    begun.wait()  # what the main thread does from here on is ready for it
    for _ in range(COUNT):
        stop.wait(random.random() * 0.006)
        signal.pthread_kill(main, signal.SIGINT)
    done.set()

begun, done = threading.Event(), threading.Event()
workers = [threading.Thread(target=others) for _ in range(3)]
for worker in workers:
    worker.start()
threading.Thread(target=interrupt).start()
interrupted = 0
finished = False
while not finished:
    try:
        begun.set()
        while not done.is_set():
            if not work(7):
                wrong.append("main")
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        finished = True
    except KeyboardInterrupt:
        interrupted += 1
stop.set()
for worker in workers:
    worker.join()
assert nested(3) == 3
conn.ping()
print(interrupted > 0, wrong, conn.closed)
"""


def test_anywhere_in_nested_calls_streams_and_results(scale: int) -> None:
    result = run(WIDE.replace("COUNT", str(150 * scale)))
    assert (result.stdout, result.returncode) == ("True [] False\n", 0), result.stderr
