"""A deterministic simulation of several parties with several connections, in one process.

:class:`~simulation.world.World` is made of one integer, from which everything follows: who is there,
who is connected to whom, what they do, which bytes arrive when, what is lost. The sessions are the
real ones; sockets, threads and clocks are not there. What must always hold is checked all the time,
by the parties (the right answers, once, in order), by a :class:`~simulation.monitor.Monitor` of each
connection, which reads the bytes and knows the protocol but not the code, and at the end (nothing is
left in any table).
"""
