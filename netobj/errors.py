"""Every exception of netobj, in one tree.

::

    Exception
    ├── NetobjError                      everything that netobj itself raises
    │   ├── ConnectionLost               (EOFError) the connection ended; says why
    │   ├── ProtocolError                the peer broke the protocol; the connection ends
    │   │   ├── FrameTooLarge
    │   │   ├── NotNetobj                the peer speaks something else
    │   │   └── VersionMismatch          the peer speaks another major version
    │   ├── LimitExceeded                (ValueError) this side asked for more than is allowed
    │   ├── NotEncodable                 (TypeError) a value that cannot cross the wire
    │   ├── AccessDenied                 (AttributeError) the policy refuses
    │   ├── AsyncResultTimeout           (TimeoutError) a call's deadline passed
    │   ├── CallCancelled                the call was cancelled
    │   ├── Busy                         no room for another call
    │   ├── WorkerCrashed                the process ended in which a call ran
    │   ├── StreamClosed                 nothing can be sent in a stream any more
    │   ├── PingError                    the peer did not echo a ping in time
    │   ├── AuthenticationError          who calls could not be established
    │   ├── DiscoveryError               no such service is registered
    │   ├── ForbiddenError               the registry does not allow that
    │   ├── DeploymentError              (OSError) no server could be started over there
    │   └── ReentrantCall                (RuntimeError) a call from inside a half-done one
    └── GenericException                 base of remote classes that are not known here
        └── RemoteBaseException          a SystemExit or its like, from the other side

The builtins in brackets are bases too, so that ``except EOFError`` and its like keep working.
"""

from __future__ import annotations

__all__ = [
    "AccessDenied",
    "AsyncResultTimeout",
    "AuthenticationError",
    "Busy",
    "CallCancelled",
    "ConnectionLost",
    "DeploymentError",
    "DiscoveryError",
    "ForbiddenError",
    "FrameTooLarge",
    "GenericException",
    "LimitExceeded",
    "NetobjError",
    "NotEncodable",
    "NotNetobj",
    "PingError",
    "ProtocolError",
    "ReentrantCall",
    "RemoteBaseException",
    "StreamClosed",
    "VersionMismatch",
    "WorkerCrashed",
]


class NetobjError(Exception):
    """Base of everything that netobj itself raises."""


class ConnectionLost(NetobjError, EOFError):
    """The connection ended (or never was); the text says why and on which side."""


class ProtocolError(NetobjError):
    """The peer broke a rule of the protocol; the connection on which it did so ends."""


class FrameTooLarge(ProtocolError):
    """The peer announced a frame or a big value above the limit; nothing of it was read."""


class NotNetobj(ProtocolError):
    """The first bytes of the peer are not netobj's."""


class VersionMismatch(ProtocolError):
    """The peer speaks another major version of the protocol."""


class LimitExceeded(NetobjError, ValueError):
    """A message of this side would break a limit; it was not sent, the connection lives on."""


class NotEncodable(NetobjError, TypeError):
    """A value cannot travel as it was asked to; the text names it and the rule."""


class AccessDenied(NetobjError, AttributeError):
    """The access policy refuses; the text names the object, the attribute, the rule, the side."""


class AsyncResultTimeout(NetobjError, TimeoutError):
    """The deadline of a call passed before its answer came."""


class CallCancelled(NetobjError):
    """The call was cancelled before it ended."""


class Busy(NetobjError):
    """There is no room for another call now; trying again later may succeed."""


class WorkerCrashed(NetobjError):
    """The worker process ended in which a call ran; the next one gets another process."""


class StreamClosed(NetobjError):
    """An item was sent in a stream that one of its sides has ended."""


class PingError(NetobjError):
    """A ping was not echoed, or echoed wrongly."""


class AuthenticationError(NetobjError):
    """An authenticator could not establish who the peer is."""


class DiscoveryError(NetobjError):
    """No service of that name is known to the registry."""


class ForbiddenError(NetobjError):
    """The registry does not allow the operation."""


class DeploymentError(NetobjError, OSError):
    """A server could not be started on another machine; the text has what that machine said."""


class ReentrantCall(NetobjError, RuntimeError):
    """A finalizer or signal handler called through a connection in the midst of another call.

    It interrupted the reading or writing of a message, and could only wait for itself.
    """


class GenericException(Exception):  # RPyC's name for it
    """Base of the classes made here for remote exception classes that are not known here.

    Such a class is named as the remote one, and is a subclass too of the nearest builtin
    exception that the remote class is a subclass of.
    """


class RemoteBaseException(GenericException):
    """Stands for a remote exception that is no ``Exception``: SystemExit, KeyboardInterrupt."""
