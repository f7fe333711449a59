"""The front-end for threads: streams, the connection, who reads and who runs what."""
