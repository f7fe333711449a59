"""``python -m netobj.cli`` is ``netobj_classic``."""

from __future__ import annotations

from netobj.cli.classic import main

if __name__ == "__main__":
    main()
