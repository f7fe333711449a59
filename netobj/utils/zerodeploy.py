"""RPyC's path to deployment, which lives in :mod:`netobj.deploy`."""

from __future__ import annotations

from netobj.deploy import SERVER_SCRIPT, DeployedServer, MultiServerDeployment

__all__ = ["SERVER_SCRIPT", "DeployedServer", "MultiServerDeployment"]
