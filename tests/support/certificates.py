"""Real certificates for a run of tests, as files and as contexts."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

import trustme

from netobj import auth


class Files(NamedTuple):
    """A certificate and its private key."""

    certfile: str
    keyfile: str


class Certificates:
    """An authority and what it has signed, in *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self._authority.cert_pem.write_to_path(self.ca)
        self.localhost = self.issue("localhost")

    def issue(self, name: str) -> Files:
        """A certificate for *name*, of a host or a person."""
        signed = self._authority.issue_cert(name)
        files = Files(str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key"))
        signed.cert_chain_pems[0].write_to_path(files.certfile)
        signed.private_key_pem.write_to_path(files.keyfile)
        return files

    @property
    def server(self) -> ssl.SSLContext:
        """For a server called localhost."""
        return auth.server_context(*self.localhost)

    @property
    def mutual(self) -> ssl.SSLContext:
        """The same, which asks clients for certificates."""
        return auth.server_context(*self.localhost, self.ca)

    @property
    def client(self) -> ssl.SSLContext:
        """For a client that trusts the authority."""
        return auth.client_context(self.ca)
