"""Running netobj on another machine that has only Python and SSH.

>>> from netobj.deploy import DeployedServer, MultiServerDeployment
>>> from plumbum import SshMachine
>>> with SshMachine("lab") as machine, DeployedServer(machine) as server:  # doctest: +SKIP
...     with server.classic_connect() as conn:
...         conn.modules.os.uname().nodename
'lab'
"""

from __future__ import annotations

from netobj.deploy.multi import MultiServerDeployment
from netobj.deploy.server import SERVER_SCRIPT, DeployedServer
from netobj.errors import DeploymentError

__all__ = ["SERVER_SCRIPT", "DeployedServer", "DeploymentError", "MultiServerDeployment"]
