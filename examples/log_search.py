"""Moving the work to the data: a function travels, and only what it finds comes back.

python examples/log_search.py
"""

from __future__ import annotations

import netobj

LINES = 20_000


def search(path: str, word: str) -> tuple[tuple[int, str], ...]:
    """The lines of a file that contain *word*, with their numbers. Runs beside the file."""
    with open(path, encoding="utf-8") as file:
        return tuple((number, line.rstrip()) for number, line in enumerate(file, 1) if word in line)


def write_log(path: str, count: int) -> int:
    """Something to search in."""
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            status = "ERROR disk full" if number % 8_000 == 4_321 else "ok"
            file.write(f"request {number}: {status}\n")
        return file.tell()


def main() -> None:
    with netobj.classic.connect_subproc() as conn:  # which could be on another continent
        folder = conn.modules.tempfile.mkdtemp()
        path = conn.modules.os.path.join(folder, "service.log")
        size = conn.teleport(write_log)(path, LINES)
        print(f"{size} bytes over there")
        for number, line in conn.teleport(search)(path, "ERROR"):
            print(f"{number}: {line}")
        conn.modules.shutil.rmtree(folder)
    conn.proc.wait()


if __name__ == "__main__":
    main()
