"""What happens when the process ends, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap


def run(source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_end_comes_first_and_then_what_is_to_be_done() -> None:
    result = run(
        """
        from netobj.blocking import leaving
        leaving.when_leaving(lambda: print(leaving.is_over()))
        leaving.halt_if_over()
        print(leaving.is_over())
        """
    )
    assert (result.stdout, result.stderr) == ("False\nTrue\n", "")


def test_daemon_threads_go_no_further_and_the_main_thread_does() -> None:
    result = run(
        """
        import threading, time
        from netobj.blocking import leaving
        def leave():
            print("leaving")
            now.set()
            thread.join(0.1)
            leaving.halt_if_over()
            print("left", thread.is_alive())
        def halt():
            now.wait()
            leaving.halt_if_over()
            print("further")
        now = threading.Event()
        thread = threading.Thread(target=halt, daemon=True)
        thread.start()
        leaving.when_leaving(leave)
        """
    )
    assert (result.stdout, result.stderr) == ("leaving\nleft True\n", "")


def test_no_worker_is_started() -> None:
    result = run(
        """
        from netobj.blocking import leaving
        from netobj.blocking.pool import WorkerPool
        pool = WorkerPool()
        leaving.when_leaving(lambda: print(pool.submit((print, "a job")), len(pool.idle)))
        """
    )
    assert (result.stdout, result.stderr) == ("True 0\n", "")


def test_what_is_asked_then_fails_at_once() -> None:
    result = run(
        """
        import atexit
        def late():
            for ask in (lambda: conn.root.eval("1"), lambda: netobj.async_(conn.root.eval)("1"),
                        conn.ping):
                try:
                    ask()
                except netobj.ConnectionLost as exc:
                    print(exc)
            conn.close()
        atexit.register(late)  # called last
        import netobj
        from netobj import ConnectionLost
        conn = netobj.classic.connect_thread()
        print(conn.root.eval("6 * 7"))
        """
    )
    assert result.stderr == ""
    assert result.stdout == "42\n" + "this process is ending\n" * 3
