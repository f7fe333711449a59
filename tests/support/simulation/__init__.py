"""A deterministic simulation of several parties with several connections, in one process.

A :class:`~simulation.world.World` is made of one integer, from which everything follows: who is
there, who is connected to whom, what they do, which bytes arrive when, what is lost. The sessions
are the real ones; there are no sockets, threads and clocks. What must always hold is checked all
the time, by the parties (the right answers, once, in order), by a
:class:`~simulation.monitor.Monitor` of each connection, which reads the bytes and knows the
protocol but not the code, and at the end (nothing is left in any table).
"""
