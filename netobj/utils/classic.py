"""RPyC's path to classic mode, which lives in :mod:`netobj.classic`."""

from __future__ import annotations

from netobj.classic import (
    DEFAULT_SERVER_PORT,
    DEFAULT_SERVER_SSL_PORT,
    MockClassicConnection,
    connect,
    connect_channel,
    connect_multiprocess,
    connect_pipes,
    connect_stdpipes,
    connect_stream,
    connect_subproc,
    connect_thread,
    deliver,
    obtain,
    redirected_stdio,
    ssh_connect,
    ssl_connect,
    teleport_function,
    unix_connect,
)
from netobj.core.service import ModuleNamespace
from netobj.interactive import interact, pm
from netobj.transfer import (
    download,
    download_dir,
    download_file,
    upload,
    upload_dir,
    upload_file,
    upload_module,
    upload_package,
)

__all__ = [
    "DEFAULT_SERVER_PORT",
    "DEFAULT_SERVER_SSL_PORT",
    "MockClassicConnection",
    "ModuleNamespace",
    "connect",
    "connect_channel",
    "connect_multiprocess",
    "connect_pipes",
    "connect_stdpipes",
    "connect_stream",
    "connect_subproc",
    "connect_thread",
    "deliver",
    "download",
    "download_dir",
    "download_file",
    "interact",
    "obtain",
    "pm",
    "redirected_stdio",
    "ssh_connect",
    "ssl_connect",
    "teleport_function",
    "unix_connect",
    "upload",
    "upload_dir",
    "upload_file",
    "upload_module",
    "upload_package",
]
