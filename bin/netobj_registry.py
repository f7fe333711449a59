#!/usr/bin/env python3
"""The command ``netobj_registry``, under the name with a suffix."""

from __future__ import annotations

from netobj.cli.registry import main

if __name__ == "__main__":
    main()
