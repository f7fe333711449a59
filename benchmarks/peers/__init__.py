"""The candidates: one module each, which alone imports what it is for.

Each has ``VERSION``, ``LACKS`` (operation or
workload -> why there is none), ``serve(job, workload)``, which
prints the address of its server and serves for ever, and ``Client(job)`` with ``close()`` and a
method for each operation that it has: it returns a function that does the operation once. For the
event loops there is ``open_call(job)``, which returns a function that returns an awaitable.
"""
