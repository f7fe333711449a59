#!/usr/bin/env python3
"""The command ``netobj_classic``, under the name with a suffix."""

from __future__ import annotations

from netobj.cli.classic import main

if __name__ == "__main__":
    main()
