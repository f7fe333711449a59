"""What runs on the other machine when netobj is deployed there (see :mod:`netobj.deploy`).

``guardian`` comes first, as text for ``python -c``: it unpacks everything into a temporary folder,
starts ``starting`` in it, and removes it at the end. ``starting`` finds msgpack and runs the
server script, and that calls ``serving.serve``.
"""
