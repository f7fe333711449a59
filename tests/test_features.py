"""RPyC's public surface: each of its names, used once as a program of RPyC's would use it.

Every name has a test that is called after it, over a real connection. ``ROWS`` says which names
there are; what each does in every detail is tested where it lives.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import pickle
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

import netobj
from certificates import Certificates
from netobj import classic
from netobj.core.protocol import DEFAULT_CONFIG
from netobj.utils.authenticators import SSLAuthenticator
from netobj.utils.helpers import classpartial
from netobj.utils.registry import (
    TCPRegistryClient,
    TCPRegistryServer,
    UDPRegistryClient,
    UDPRegistryServer,
)
from netobj.utils.server import (
    ForkingServer,
    OneShotServer,
    Server,
    ThreadedServer,
    ThreadPoolServer,
)
from netobj.utils.teleportation import export_function, import_function
from netobj.utils.zerodeploy import DeployedServer, MultiServerDeployment
from patience import HANG, wait_until
from sshd import Sshd

ROOT = Path(__file__).parents[1]

ROWS = """
    allow_safe_attrs safe_attrs allow_exposed_attrs exposed_prefix allow_public_attrs
    allow_all_attrs allow_getattr allow_setattr allow_delattr allow_pickle include_local_traceback
    include_local_version import_custom_exceptions instantiate_custom_exceptions
    instantiate_oldstyle_exceptions propagate_SystemExit_locally
    propagate_KeyboardInterrupt_locally logger log_exceptions connid credentials endpoints
    sync_request_timeout before_closed close_catchall bind_threads

    root close closed fileno with ping PingError serve poll poll_all serve_all serve_threaded
    sync_request async_request operators dir hash comparison isinstance class_spoofing help
    sent_home reference_counts netobj_getattr netobj_setattr netobj_delattr rpyc_getattr
    rpyc_setattr rpyc_delattr

    connect unix_connect connect_pipes connect_stream connect_channel connect_subproc
    connect_thread connect_stdpipes connect_multiprocess args ssh_connect ssl_connect
    keyfile certfile ca_certs cert_reqs ssl_version ciphers verify_mode
    discover list_services connect_by_service tries_every_address DiscoveryError ForbiddenError
    ipv6 keepalive proc
    on_connect on_disconnect ALIASES get_service_name get_service_aliases instance_per_connection
    shared_instance VoidService SlaveService MasterService ClassicService FakeSlaveService
    ClassicClient exposed exposed_with_a_prefix service
    async_ never_lost timed buffiter restricted BgServingThread classpartial setup_logger spawn
    wait ready error expired value add_callback set_expiry AsyncResultTimeout await cancel future

    ports classic_connect classic_unix_connect classic_connect_channel classic_connect_stream
    classic_connect_pipes classic_connect_stdpipes classic_connect_subproc classic_connect_thread
    classic_connect_multiprocess classic_ssh_connect classic_ssl_connect modules builtins builtin
    eval execute namespace teleport upload upload_file upload_dir download download_file
    download_dir filter chunk_size progress upload_package upload_module obtain deliver
    redirected_stdio pm interact MockClassicConnection teleport_function export_function
    import_function closures container_defaults across_versions client_exposes_nothing

    hostname server_ipv6 port backlog reuse_addr authenticator registrar auto_register
    protocol_config server_logger listener_timeout socket_path start server_close accept
    server_fileno host accept_method handle_connection ThreadedServer ThreadPoolServer nbThreads
    requestBatchSize AuthenticationError SSLAuthenticator start_in_thread OneShotServer
    ForkingServer GeventServer

    registry_port UDPRegistryServer TCPRegistryServer pruning_timeout allow_listing on_service_added
    on_service_removed register unregister registry_discover list filter_host re_register

    DeployedServer server_class service_class server_script extra_setup python_executable
    deployed_connect deployed_classic_connect deployed_close MultiServerDeployment

    netobj_classic netobj_classic.py threaded forking stdio oneshot --mode -m --port -p --host
    --ipv6 --logfile --quiet -q --register --registry-type --registry-port --registry-host
    --ssl-keyfile --ssl-certfile --ssl-cafile netobj_registry -6 --timeout -t --listing -l

    callbacks_in_both_directions events_with_a_background_thread events_by_poll_all
    events_in_a_reactor chained_connections monkey_patching redirecting_stdio context_managers
    capabilities mapping_exceptions decoupled_services
    default_config conn_config stream_sock port_before_start
""".split()


def test_every_row_has_a_test() -> None:
    named = set()
    for name, function in globals().items():
        if name.startswith("test_"):
            named.add(name.removeprefix("test_"))
            for mark in getattr(function, "pytestmark", ()):
                if mark.name == "parametrize":
                    named.update(map(str, _flat(mark.args[1])))
    assert [row for row in ROWS if row not in named] == []


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        yield from value if isinstance(value, tuple) else (value,)


class Sensor:
    """An object that a service hands out."""

    def __init__(self) -> None:
        self.exposed_unit = "K"
        self.unit_in_use = "C"
        self._raw = 20
        self.own_number = 7

    def exposed_read(self) -> int:
        return 20

    def calibrate(self) -> str:
        return "calibrated"

    def __len__(self) -> int:
        return 3

    def __add__(self, other: int) -> int:
        return self._raw + other


class Oversteer(Exception):
    """An exception of an application."""


class LabService(netobj.Service):
    """What most tests serve."""

    exposed_place = "cellar"

    def __init__(self) -> None:
        self.thermometer = Sensor()
        self.conn: Any = None
        self.listeners: list[Any] = []
        self.gate = threading.Event()

    def on_connect(self, conn: Any) -> None:
        self.conn = conn

    def exposed_echo(self, value: Any) -> Any:
        return value

    def exposed_sensor(self) -> Sensor:
        return self.thermometer

    def exposed_call(self, function: Any, *args: Any) -> Any:
        return function(*args)

    def exposed_fail(self, error: str) -> None:
        raise {"value": ValueError("bad"), "exit": SystemExit(3), "own": Oversteer("left")}[error]

    def exposed_subscribe(self, callback: Any) -> None:
        self.listeners.append(netobj.async_(callback))

    def exposed_publish(self, *events: Any) -> None:
        for event in events:
            for listener in self.listeners:
                listener(event)

    def exposed_numbers(self, count: int) -> Iterator[int]:
        return (number for number in range(count))

    def exposed_settings(self, name: str) -> Any:
        return self.conn._config[name]

    def exposed_wait(self) -> None:
        self.gate.wait(HANG)

    def exposed_go_on(self) -> None:
        self.gate.set()

    def exposed_same(self, one: Any, other: Any) -> bool:
        return one is other


@contextmanager
def serving(
    service: Any = LabService,
    config: dict[str, Any] | None = None,
    own: Any = netobj.VoidService,
    own_config: dict[str, Any] | None = None,
    **arguments: Any,
) -> Iterator[Any]:
    """A connection to a server of *service* with *config*; this side shows *own*."""
    arguments.setdefault("hostname", "127.0.0.1")
    with (
        ThreadedServer(service, protocol_config=config or {}, **arguments) as server,
        netobj.connect(server.host, server.port, own, own_config or {}) as conn,
    ):
        yield conn


@pytest.fixture
def lab() -> Iterator[Any]:
    with serving() as conn:
        yield conn


@pytest.fixture
def there() -> Iterator[Any]:
    """A classic connection over TCP."""
    with (
        ThreadedServer(netobj.SlaveService, hostname="127.0.0.1") as server,
        classic.connect("127.0.0.1", server.port) as conn,
    ):
        yield conn


# --- configuration -------------------------------------------------------------------------------


def test_allow_safe_attrs() -> None:
    with serving() as conn:
        assert len(conn.root.sensor()) == 3
        assert conn.root.sensor() + 1 == 21
    with serving(config={"allow_safe_attrs": False}) as conn:
        sensor = conn.root.sensor()
        with pytest.raises(TypeError, match="unsupported operand"):
            sensor + 1


def test_safe_attrs() -> None:
    with serving(config={"safe_attrs": {"__len__"}}) as conn:
        sensor = conn.root.sensor()
        assert len(sensor) == 3
        with pytest.raises(TypeError, match="unsupported operand"):
            sensor + 1
    assert "__new__" not in DEFAULT_CONFIG["safe_attrs"]


def test_allow_exposed_attrs() -> None:
    with serving() as conn:
        assert conn.root.sensor().read() == 20
    closed = {"allow_exposed_attrs": False, "allow_public_attrs": True}
    with serving(config=closed) as conn:
        assert conn.root.exposed_sensor().exposed_read() == 20  # a public name as any other
        with pytest.raises(AttributeError):
            conn.root.exposed_sensor().read()


def test_exposed_prefix() -> None:
    class Prefixed(netobj.Service):
        def rpc_name(self) -> str:
            return "by prefix"

        def exposed_name(self) -> str:
            return "by the usual one"

    with serving(Prefixed, {"exposed_prefix": "rpc_"}) as conn:
        assert conn.root.name() == conn.root.rpc_name() == "by prefix"
        with pytest.raises(AttributeError):
            conn.root.exposed_name()


def test_allow_public_attrs() -> None:
    with serving() as conn, pytest.raises(AttributeError, match="calibrate"):
        conn.root.sensor().calibrate()
    with serving(config={"allow_public_attrs": True}) as conn:
        assert conn.root.sensor().calibrate() == "calibrated"
        with pytest.raises(AttributeError, match="_raw"):
            conn.root.sensor()._raw  # noqa: B018


def test_allow_all_attrs() -> None:
    with serving(config={"allow_all_attrs": True}) as conn:
        assert conn.root.sensor()._raw == 20
        assert conn.root.sensor().__dict__["own_number"] == 7


def test_allow_getattr() -> None:
    with (
        serving(config={"allow_getattr": False}) as conn,
        pytest.raises(AttributeError, match="allow_getattr is off"),
    ):
        conn.root.place  # noqa: B018


@pytest.mark.parametrize("allowed", [False, True])
def test_allow_setattr(allowed: bool) -> None:
    with serving(config={"allow_setattr": allowed}) as conn:
        sensor = conn.root.sensor()
        if allowed:
            sensor.unit = "F"
        else:
            with pytest.raises(AttributeError, match="allow_setattr is off"):
                sensor.unit = "F"
        assert sensor.unit == ("F" if allowed else "K")


@pytest.mark.parametrize("allowed", [False, True])
def test_allow_delattr(allowed: bool) -> None:
    with serving(config={"allow_delattr": allowed}) as conn:
        sensor = conn.root.sensor()
        if allowed:
            del sensor.unit
        else:
            with pytest.raises(AttributeError, match="allow_delattr is off"):
                del sensor.unit
        assert hasattr(sensor, "unit") is not allowed


@pytest.mark.parametrize(("here", "over_there"), [(True, True), (True, False), (False, True)])
def test_allow_pickle(here: bool, over_there: bool) -> None:
    settings = {"allow_pickle": over_there}
    with serving(config=settings, own_config={"allow_pickle": here}) as conn:
        remote = conn.root.sensor()
        if here and over_there:
            copy = pickle.loads(pickle.dumps(remote))
            assert type(copy) is Sensor
            assert copy._raw == 20
            assert type(classic.obtain(remote)) is Sensor
        else:
            with pytest.raises(AttributeError, match="allow_pickle"):
                pickle.dumps(remote)
            with pytest.raises(AttributeError, match="allow_pickle"):
                classic.obtain(remote)


def failure(conn: Any, error: str = "value") -> BaseException:
    try:
        conn.root.fail(error)
    except BaseException as exc:
        return exc
    raise AssertionError("it did not fail")


def shown(exc: BaseException) -> str:
    """What is shown of it: notes since Python 3.11, which have the remote traceback."""
    return "\n".join([str(exc), *getattr(exc, "__notes__", ()), getattr(exc, "_remote_tb", "")])


@pytest.mark.parametrize("sent", [False, True])
def test_include_local_traceback(sent: bool) -> None:
    with serving(config={"include_local_traceback": sent}) as conn:
        exc = failure(conn)
        assert isinstance(exc, ValueError)
        assert ("in exposed_fail" in shown(exc)) is sent


@pytest.mark.parametrize("sent", [False, True])
def test_include_local_version(sent: bool) -> None:
    settings = {"include_local_version": sent, "include_local_traceback": True}
    with serving(config=settings) as conn:
        assert (f"netobj {netobj.__version__}" in shown(failure(conn))) is sent


MODULE = "class Puncture(Exception):\n    pass\n"


def classic_failure(name: str, settings: dict[str, Any], folder: Path) -> type:
    """The class, here, of an exception of the module *name*, which only the other process knows."""
    (folder / f"{name}.py").write_text(MODULE)
    serve = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); import netobj; "
        "netobj.connect_pipes(os.dup(0), os.dup(1), netobj.SlaveService).serve_all()"
    )
    command = [sys.executable, "-c", serve, str(folder)]
    with classic.connect_subproc(command, settings) as conn:
        try:
            conn.execute(f"import {name}; raise {name}.Puncture('left rear')")
        except Exception as exc:
            caught = exc
    conn.proc.wait(HANG)
    assert str(caught) == "left rear"
    return type(caught)


@pytest.mark.parametrize("imports", [False, True])
def test_import_custom_exceptions(
    imports: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = f"garage_{imports}"
    settings = {"import_custom_exceptions": imports, "instantiate_custom_exceptions": True}
    found = classic_failure(name, settings, tmp_path)
    assert (name in sys.modules) is imports
    assert issubclass(found, netobj.GenericException) is not imports
    sys.modules.pop(name, None)


@pytest.mark.parametrize("instantiates", [False, True])
def test_instantiate_custom_exceptions(instantiates: bool) -> None:
    with serving(own_config={"instantiate_custom_exceptions": instantiates}) as conn:
        exc = failure(conn, "own")
        assert isinstance(exc, Oversteer) is instantiates
        assert isinstance(exc, netobj.GenericException) is not instantiates
        assert type(exc).__name__ == "Oversteer"
        assert exc.args == ("left",)


def test_instantiate_oldstyle_exceptions() -> None:
    with serving(own_config={"instantiate_oldstyle_exceptions": True}) as conn:
        assert conn._config["instantiate_oldstyle_exceptions"] is True
        assert conn.root.echo(1) == 1


SERVE_AND_TELL = """
import sys, netobj
class S(netobj.Service):
    def exposed_fail(self, name):
        raise {"SystemExit": SystemExit(3), "KeyboardInterrupt": KeyboardInterrupt()}[name]
server = netobj.utils.server.Server(S, hostname="127.0.0.1",
                                    protocol_config={sys.argv[1]: sys.argv[2] == "True"})
server._accept_method = server._authenticate_and_serve_client   # in this very thread
print(server.port, flush=True)
server.start()
print("ended", flush=True)
"""


@pytest.mark.parametrize("locally", [False, True])
@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ("propagate_SystemExit_locally", "SystemExit"),
        ("propagate_KeyboardInterrupt_locally", "KeyboardInterrupt"),
    ],
)
def test_propagating_locally(setting: str, error: str, locally: bool) -> None:
    command = [sys.executable, "-c", SERVE_AND_TELL, setting, str(locally)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as server:
        assert server.stdout is not None
        try:
            with netobj.connect("127.0.0.1", int(server.stdout.readline())) as conn:
                caught = failure(conn, error)
                if locally:
                    server.wait(HANG)
                else:
                    assert type(caught).__name__ == error
                    assert isinstance(caught, netobj.RemoteBaseException)
                    assert server.poll() is None
        finally:
            server.kill()


def test_logger(caplog: pytest.LogCaptureFixture) -> None:
    mine = logging.getLogger("lab.requests")
    with caplog.at_level(logging.INFO, "lab.requests"), serving(config={"logger": mine}) as conn:
        failure(conn)
    assert "bad" in caplog.text
    assert {record.name for record in caplog.records if record.exc_info} == {"lab.requests"}


@pytest.mark.parametrize("logs", [False, True])
def test_log_exceptions(logs: bool, caplog: pytest.LogCaptureFixture) -> None:
    settings = {"log_exceptions": logs, "include_local_traceback": True}
    with caplog.at_level(logging.DEBUG), serving(config=settings) as conn:
        failure(conn)
    wait_until(lambda: not logs or any(record.exc_info for record in caplog.records))
    assert any(record.exc_info for record in caplog.records) is logs


def test_connid() -> None:
    with serving() as one, serving() as other:
        assert one._config["connid"] != other._config["connid"]
        assert one.root.settings("connid") is not None
    with serving(own_config={"connid": "the pump's"}) as conn:
        assert conn._config["connid"] == "the pump's"


def greet(sock: socket.socket) -> tuple[socket.socket, Any]:
    if sock.recv(5) != b"Ma6ik":
        raise netobj.AuthenticationError("wrong magic word")
    return sock, "ada"


def say_and_connect(word: bytes, port: int) -> Any:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(word)
    return netobj.connect_stream(netobj.SocketStream(sock))


def test_credentials() -> None:
    with (
        ThreadedServer(LabService, hostname="127.0.0.1", authenticator=greet) as server,
        say_and_connect(b"Ma6ik", server.port) as conn,
    ):
        assert conn.root.settings("credentials") == "ada"


def test_endpoints() -> None:
    with serving() as conn:
        ours, theirs = conn._config["endpoints"]
        assert tuple(conn.root.settings("endpoints")) == (theirs, ours)
        assert ours[0] == "127.0.0.1"


def test_sync_request_timeout() -> None:
    assert DEFAULT_CONFIG["sync_request_timeout"] is None
    with serving(own_config={"sync_request_timeout": 0.05}) as conn:
        with pytest.raises(TimeoutError):
            conn.root.wait()
        conn.root.go_on()
        conn._config["sync_request_timeout"] = None
        assert conn.root.echo(1) == 1


def test_before_closed() -> None:
    said = []
    with serving(own_config={"before_closed": lambda root: said.append(root.echo("bye"))}) as conn:
        conn.close()
    assert said == ["bye"]


@pytest.mark.parametrize("catches", [False, True])
def test_close_catchall(catches: bool) -> None:
    def fail(_root: Any) -> None:
        raise RuntimeError("in before_closed")

    settings = {"before_closed": fail, "close_catchall": catches}
    with serving(own_config=settings) as conn:
        if catches:
            conn.close()
        else:
            with pytest.raises(RuntimeError, match="in before_closed"):
                conn.close()
        assert conn.closed


@pytest.mark.parametrize("bound", [False, True])
def test_bind_threads(bound: bool) -> None:
    threads: list[threading.Thread] = []
    with serving(config={"bind_threads": bound}, own_config={"bind_threads": bound}) as conn:
        conn.root.call(lambda: threads.append(threading.current_thread()))
    assert threads == [threading.current_thread()]


# --- what programs reach for ---------------------------------------------------------------------


def test_default_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(netobj.core.protocol.DEFAULT_CONFIG, "allow_public_attrs", True)
    with serving() as conn:
        assert conn.root.sensor().calibrate() == "calibrated"


def test_conn_config(lab: Any) -> None:
    lab._config["allow_public_attrs"] = True
    lab._config.update({"allow_setattr": True})
    assert lab._config["allow_setattr"] is True
    mine = Counter("aab")
    assert list(lab.root.call(mine.most_common, 1)) == [("a", 2)]


def test_stream_sock(lab: Any) -> None:
    assert lab._channel.stream.sock.getpeername()[0] == "127.0.0.1"


def test_port_before_start() -> None:
    server = ThreadedServer(LabService, hostname="127.0.0.1")
    port = server.port
    with server, netobj.connect("127.0.0.1", port) as conn:
        assert conn.root.place == "cellar"


# --- connections ---------------------------------------------------------------------------------


def test_root(lab: Any) -> None:
    assert lab.root is lab.root
    assert lab.root.place == "cellar"


def test_close(lab: Any) -> None:
    lab.close()
    lab.close()
    with pytest.raises(EOFError):
        lab.root.echo(1)


def test_closed() -> None:
    with ThreadedServer(LabService, hostname="127.0.0.1") as server:
        conn = netobj.connect("127.0.0.1", server.port)
        assert not conn.closed
    wait_until(lambda: conn.closed)


def test_fileno(lab: Any) -> None:
    seen: list[int] = []
    lab.fileno()
    lab.root.subscribe(seen.append)
    lab.root.publish(1)
    assert select.select([lab.fileno()], [], [], HANG)[0]
    lab.poll_all()
    assert seen == [1]


def test_with() -> None:
    with serving() as conn:
        assert not conn.closed
    assert conn.closed


def test_ping(lab: Any) -> None:
    lab.ping()
    lab.ping(data="some bytes", timeout=HANG)


def test_PingError() -> None:  # noqa: N802
    with socket.create_server(("127.0.0.1", 0)) as silent:
        conn = netobj.connect(*silent.getsockname())
        with conn, pytest.raises(netobj.PingError):
            conn.ping(timeout=0.05)


@pytest.mark.parametrize("method", ["serve", "poll", "poll_all"])
def test_serving_by_hand(method: str, lab: Any) -> None:
    threads: list[threading.Thread] = []
    lab.fileno()
    lab.root.subscribe(lambda _event: threads.append(threading.current_thread()))
    assert not getattr(lab, method)(timeout=0)
    lab.root.publish(1)
    assert getattr(lab, method)(timeout=HANG if method != "poll_all" else 0.2)
    assert threads == [threading.current_thread()]


@pytest.mark.parametrize("method", ["serve_all", "serve_threaded"])
def test_serving_until_the_end(method: str) -> None:
    with ThreadedServer(LabService, hostname="127.0.0.1") as server:
        conn = netobj.connect("127.0.0.1", server.port)
        seen = threading.Event()
        conn.root.subscribe(lambda _event: seen.set())
        arguments = {"thread_count": 2} if method == "serve_threaded" else {}
        thread = netobj.spawn(getattr(conn, method), **arguments)
        with netobj.connect("127.0.0.1", server.port) as other:
            other.root.echo(1)
        conn.root.publish(1)
        assert seen.wait(HANG)
    thread.join(HANG)
    assert not thread.is_alive()
    assert conn.closed


def test_sync_request(lab: Any) -> None:
    op = netobj.core.consts.Op
    assert lab.sync_request(op.CALL, lab.root.echo, 5) == 5


def test_async_request(lab: Any) -> None:
    op = netobj.core.consts.Op
    result = lab.async_request(op.CALL, lab.root.echo, 5, timeout=HANG)
    assert result.value == 5


# --- proxies -------------------------------------------------------------------------------------


def test_operators(there: Any) -> None:
    seven = there.eval("__import__('fractions').Fraction(7, 2).__class__")(7)
    numbers = there.eval("[3, 1, 2]")
    numbers += [4]
    numbers[0] = 9
    del numbers[1]
    assert (seven * 2, len(numbers), 9 in numbers) == (14, 3, True)
    assert [*numbers] == [9, 2, 4]
    assert numbers * 2 == [9, 2, 4, 9, 2, 4]


def test_dir(lab: Any) -> None:
    names = dir(lab.root)
    assert {"echo", "sensor", "place"} <= set(names)
    assert "listeners" not in names


def test_hash(there: Any) -> None:
    one, same = there.eval("type('P', (), {})"), there.eval("int")
    assert hash(same) == hash(there.eval("int"))
    assert {one: "found"}[one] == "found"
    with pytest.raises(TypeError, match="unhashable"):
        hash(there.eval("[]"))


def test_comparison(there: Any) -> None:
    assert there.eval("[1, 2]") == [1, 2]
    assert there.eval("[1, 2]") != there.eval("[1, 3]")
    assert there.eval("{1}") < there.eval("{1, 2}")
    assert max(there.eval("[2]"), there.eval("[3]"))[0] == 3


def test_isinstance(there: Any) -> None:
    assert isinstance(there.eval("[]"), list)
    counts = there.modules.collections.Counter("aab")
    assert isinstance(counts, Counter)
    assert isinstance(counts, there.modules.collections.Counter)
    assert not isinstance(counts, list)


def test_class_spoofing(there: Any) -> None:
    counts = there.modules.collections.Counter("aab")
    assert counts.__class__ is Counter
    assert issubclass(type(counts), netobj.BaseNetref)


def test_help(there: Any, capsys: pytest.CaptureFixture[str]) -> None:
    help(there.modules.textwrap.dedent)
    assert "leading whitespace" in capsys.readouterr().out


def test_sent_home(lab: Any) -> None:
    mine = [1]
    assert lab.root.echo(mine) is mine
    sensor = lab.root.sensor()
    assert lab.root.same(sensor, sensor)


def test_reference_counts(there: Any) -> None:
    there.execute("import weakref\nclass Big: pass\nbig = Big()\nalive = weakref.ref(big)")
    kept = there.eval("big")
    there.execute("del big")
    assert there.eval("alive() is not None")
    del kept
    wait_until(lambda: there.eval("__import__('gc').collect() and 0 or alive() is None"))


class Guarded:
    """Its own rules of access."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def _netobj_getattr(self, name: str) -> Any:
        return self.log if name == "log" else name.upper()

    def _netobj_setattr(self, name: str, value: Any) -> None:
        self.log.append(f"{name} = {value}")

    def _netobj_delattr(self, name: str) -> None:
        self.log.append(f"del {name}")


@pytest.fixture
def guarded() -> Iterator[Any]:
    class Guarding(netobj.Service):
        def exposed_get(self, kind: str) -> Any:
            return Guarded() if kind == "netobj" else Old()

    settings = {"allow_setattr": True, "allow_delattr": True}
    with serving(Guarding, settings) as conn:
        yield conn.root


class Old:
    """What RPyC's own names for these rules say."""

    log: list[str]

    def __init__(self) -> None:
        self.log = []

    def _rpyc_getattr(self, name: str) -> Any:
        return self.log if name == "log" else f"old {name}"

    def _rpyc_setattr(self, name: str, value: Any) -> None:
        self.log.append(f"{name} = {value}")

    def _rpyc_delattr(self, name: str) -> None:
        self.log.append(f"del {name}")


def test_netobj_getattr(guarded: Any) -> None:
    assert guarded.get("netobj").anything == "ANYTHING"


def test_netobj_setattr(guarded: Any) -> None:
    obj = guarded.get("netobj")
    obj.speed = 3
    assert list(obj.log) == ["speed = 3"]


def test_netobj_delattr(guarded: Any) -> None:
    obj = guarded.get("netobj")
    del obj.speed
    assert list(obj.log) == ["del speed"]


def test_rpyc_getattr(guarded: Any) -> None:
    assert guarded.get("rpyc").anything == "old anything"


def test_rpyc_setattr(guarded: Any) -> None:
    obj = guarded.get("rpyc")
    obj.speed = 3
    assert list(obj.log) == ["speed = 3"]


def test_rpyc_delattr(guarded: Any) -> None:
    obj = guarded.get("rpyc")
    del obj.speed
    assert list(obj.log) == ["del speed"]


# --- connecting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("keepalive", [False, True])
def test_connect(keepalive: bool) -> None:
    class Client(netobj.Service):
        def exposed_name(self) -> str:
            return "ada"

    class Greeter(netobj.Service):
        def on_connect(self, conn: Any) -> None:
            self.conn = conn

        def exposed_greet(self) -> str:
            return f"hello {self.conn.root.name()}"

    settings = {"sync_request_timeout": HANG}
    with (
        ThreadedServer(Greeter, hostname="localhost") as server,
        netobj.connect("localhost", server.port, Client, settings, keepalive=keepalive) as conn,
    ):
        assert conn.root.greet() == "hello ada"


def test_keepalive(lab: Any) -> None:
    where = lab._channel.stream.sock.getpeername()
    with netobj.connect(*where, keepalive=True) as conn:
        sock = conn._channel.stream.sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_KEEPIDLE"):
        with netobj.connect(*where, keepalive=30) as conn:
            sock = conn._channel.stream.sock
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


@needs_ipv6
def test_ipv6() -> None:
    with (
        ThreadedServer(LabService, hostname="::1", ipv6=True) as server,
        netobj.connect("::1", server.port, ipv6=True) as conn,
    ):
        assert conn.root.echo(6) == 6


def test_unix_connect(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with (
        ThreadedServer(LabService, socket_path=path),
        netobj.utils.factory.unix_connect(path) as conn,
    ):
        assert conn.root.echo("unix") == "unix"


def socket_pair_served(service: Any) -> socket.socket:
    here, over_there = socket.socketpair()
    served = netobj.connect_stream(netobj.SocketStream(over_there), service)
    netobj.spawn(served.serve_all)
    return here


def test_connect_stream() -> None:
    with netobj.connect_stream(netobj.SocketStream(socket_pair_served(LabService))) as conn:
        assert conn.root.echo(1) == 1


def test_connect_channel() -> None:
    channel = netobj.Channel(netobj.SocketStream(socket_pair_served(LabService)))
    with netobj.connect_channel(channel) as conn:
        assert conn.root.echo(1) == 1


def piped(service: Any) -> tuple[Any, Any]:
    (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()
    served = netobj.connect_pipes(theirs_in, theirs_out, service)
    netobj.spawn(served.serve_all)
    return ours_in, ours_out


def test_connect_pipes() -> None:
    with netobj.connect_pipes(*piped(LabService)) as conn:
        assert conn.root.echo(1) == 1


SERVE_PIPES = (
    "import os, netobj; netobj.connect_pipes(os.dup(0), os.dup(1), netobj.SlaveService).serve_all()"
)


@pytest.mark.parametrize("name", ["connect_subproc", "proc"])
def test_child_process(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with netobj.connect_subproc([sys.executable, "-c", SERVE_PIPES]) as conn:
        assert conn.root.eval("__import__('os').getpid()") == conn.proc.pid
    assert conn.proc.wait(HANG) == 0


def test_connect_thread() -> None:
    with netobj.connect_thread(
        netobj.VoidService, {}, remote_service=LabService, remote_config={"allow_setattr": True}
    ) as conn:
        assert conn.root.echo(1) == 1
        assert conn.root.settings("allow_setattr") is True


STDPIPES = """
import netobj
class Child(netobj.Service):
    def exposed_shout(self, text):
        print("this goes to standard error")
        return text.upper()
netobj.connect_stdpipes(Child).serve_all()
"""


def test_connect_stdpipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with netobj.connect_subproc([sys.executable, "-c", STDPIPES]) as conn:
        assert conn.root.shout("here") == "HERE"
    assert conn.proc.wait(HANG) == 0


in_a_fork = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@in_a_fork
@pytest.mark.parametrize("name", ["connect_multiprocess", "args"])
def test_child_of_multiprocessing(name: str) -> None:
    shared = multiprocessing.Value("i", 5)
    with netobj.utils.factory.connect_multiprocess(
        remote_service=netobj.SlaveService, args={"shared": shared}
    ) as conn:
        assert conn.root.eval("__import__('os').getpid()") == conn.proc.pid
        conn.root.execute("shared.value += 1")
    assert shared.value == 6
    conn.proc.join(HANG)


def test_ssh_connect(machine: Any) -> None:
    with (
        ThreadedServer(LabService, hostname="localhost") as server,
        netobj.ssh_connect(machine, server.port) as conn,
    ):
        assert conn.root.echo("through ssh") == "through ssh"


@contextmanager
def over_tls(certificates: Certificates, service: Any) -> Iterator[int]:
    """A server of *service* that asks clients for certificates; its port."""
    files = certificates.localhost
    asks = SSLAuthenticator(files.keyfile, files.certfile, ca_certs=certificates.ca)
    with ThreadedServer(service, hostname="localhost", authenticator=asks) as server:
        yield server.port


@pytest.mark.parametrize("names", [("ssl_connect", "keyfile", "certfile", "ca_certs")])
def test_a_connection_over_tls(names: tuple[str, ...], certificates: Certificates) -> None:
    connect, *arguments = names
    mine = certificates.issue("alice@example.org")
    values = (mine.keyfile, mine.certfile, certificates.ca)
    how = dict(zip(arguments, values, strict=True))
    with (
        over_tls(certificates, LabService) as port,
        getattr(netobj, connect)("localhost", port, **how) as conn,
    ):
        assert conn.root.echo("safe") == "safe"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cert_reqs", ssl.CERT_NONE),
        ("verify_mode", ssl.CERT_NONE),
        ("ssl_version", ssl.TLSVersion.TLSv1_3),
        ("ciphers", "ECDHE+AESGCM"),
    ],
)
def test_how_tls_is_spoken(name: str, value: Any, certificates: Certificates) -> None:
    mine = certificates.issue("alice@example.org")
    trusting = {} if value is ssl.CERT_NONE else {"ca_certs": certificates.ca}
    with (
        over_tls(certificates, LabService) as port,
        netobj.ssl_connect(
            "localhost", port, mine.keyfile, mine.certfile, **trusting, **{name: value}
        ) as conn,
    ):
        assert conn.root.echo("safe") == "safe"


# --- services ------------------------------------------------------------------------------------


def test_on_connect() -> None:
    met: list[Any] = []

    class Door(netobj.Service):
        def on_connect(self, conn: Any) -> None:
            met.append(conn)

    with serving(Door) as conn:
        conn.ping()
        assert len(met) == 1
        assert met[0]._config["endpoints"][1] == conn._config["endpoints"][0]


def test_on_disconnect() -> None:
    left: list[Any] = []

    class Door(netobj.Service):
        def on_disconnect(self, conn: Any) -> None:
            left.append(conn)

    with serving(Door) as conn:
        conn.close()
        wait_until(lambda: left)
    assert len(left) == 1


class ManyNames(netobj.Service):
    ALIASES = ("many", "manifold")


def test_ALIASES() -> None:  # noqa: N802
    with serving(ManyNames) as conn:
        assert tuple(conn.root.get_service_aliases()) == ("MANY", "MANIFOLD")


def test_get_service_name(lab: Any) -> None:
    assert lab.root.get_service_name() == "LAB" == LabService.get_service_name()


def test_get_service_aliases(lab: Any) -> None:
    assert tuple(lab.root.get_service_aliases()) == ("LAB",)


class CountService(netobj.Service):
    def __init__(self, start: int = 0) -> None:
        self.count = start

    def exposed_next(self) -> int:
        self.count += 1
        return self.count


def next_of_two(service: Any) -> list[int]:
    """What two connections to one server get, in turn."""
    with (
        ThreadedServer(service, hostname="127.0.0.1") as server,
        netobj.connect("127.0.0.1", server.port) as one,
        netobj.connect("127.0.0.1", server.port) as other,
    ):
        return [one.root.next(), other.root.next()]


def test_instance_per_connection() -> None:
    assert next_of_two(CountService) == [1, 1]


def test_shared_instance() -> None:
    assert next_of_two(CountService()) == [1, 2]


def test_classpartial() -> None:
    assert next_of_two(classpartial(CountService, 5)) == [6, 6]


def test_VoidService() -> None:  # noqa: N802
    with serving(netobj.VoidService) as conn:
        assert conn.root.get_service_name() == "VOID"
        with pytest.raises(AttributeError):
            conn.root.eval("1")


def test_SlaveService() -> None:  # noqa: N802
    with serving(netobj.SlaveService) as conn:
        conn.root.execute("x = 6")
        assert conn.root.eval("x * 7") == 42
        assert conn.root.namespace["x"] == 6
        assert conn.root.getmodule("os.path").basename("a/b") == "b"
        assert conn.root.getconn().closed is False


def test_MasterService() -> None:  # noqa: N802
    with serving(netobj.SlaveService, own=netobj.MasterService) as conn:
        assert conn.modules.os.path.basename("a/b") == "b"
        assert conn.eval("6 * 7") == 42


def test_ClassicService() -> None:  # noqa: N802
    with serving(netobj.ClassicService, own=netobj.ClassicService) as conn:
        assert conn.eval("6 * 7") == 42
        assert conn.root.getconn().eval("6 * 7") == 42  # and the other way round


def test_FakeSlaveService() -> None:  # noqa: N802
    class Curious(netobj.Service):
        def on_connect(self, conn: Any) -> None:
            self.conn = conn

        def exposed_try(self) -> Any:
            return self.conn.root.eval("1")

    with serving(Curious, own=netobj.FakeSlaveService) as conn, pytest.raises(AttributeError):
        getattr(conn.root, "try")()


def test_ClassicClient() -> None:  # noqa: N802
    with serving(netobj.SlaveService, own=netobj.ClassicClient) as conn:
        assert conn.modules.os.path.basename("a/b") == "b"
        with pytest.raises(AttributeError):
            conn.root.getconn().root.eval("1")


def test_exposed() -> None:
    class Marked(netobj.Service):
        @netobj.exposed
        def add(self, a: int, b: int) -> int:
            return a + b

        def hidden(self) -> None: ...

    with serving(Marked) as conn:
        assert conn.root.add(1, 2) == 3
        with pytest.raises(AttributeError):
            conn.root.hidden()


def test_exposed_with_a_prefix() -> None:
    @netobj.service
    class Marked(netobj.Service):
        @netobj.exposed("rpc_")
        def add(self, a: int, b: int) -> int:
            return a + b

    with serving(Marked, {"exposed_prefix": "rpc_"}) as conn:
        assert conn.root.add(1, 2) == conn.root.rpc_add(1, 2) == 3
    with serving(Marked) as conn, pytest.raises(AttributeError):
        conn.root.add(1, 2)


def test_service() -> None:
    @netobj.service
    class Marked(netobj.Service):
        @netobj.exposed
        def add(self, a: int, b: int) -> int:
            return a + b

    with serving(Marked) as conn:
        assert conn.root.add(1, 2) == conn.root.exposed_add(1, 2) == 3


# --- helpers -------------------------------------------------------------------------------------


def test_async_(lab: Any) -> None:
    result = netobj.async_(lab.root.echo)(5)
    assert result.value == 5


def test_never_lost(lab: Any) -> None:
    seen: list[int] = []
    for number in range(50):
        netobj.async_(lab.root.call)(seen.append, number)  # nobody keeps the wrapper or the result
        gc.collect(0)
    wait_until(lambda: len(seen) == 50)
    assert seen == list(range(50))


def test_timed(lab: Any) -> None:
    never = threading.Event()
    assert netobj.timed(lab.root.echo, HANG)(5).value == 5
    with pytest.raises(TimeoutError):
        _ = netobj.timed(lab.root.call, 0.05)(never.wait, HANG).value
    never.set()


def test_buffiter(lab: Any) -> None:
    items = netobj.buffiter(lab.root.numbers(100), chunk=5, max_chunk=20, factor=2)
    assert list(items) == list(range(100))


def test_restricted() -> None:
    class Lender(netobj.Service):
        def exposed_lend(self) -> Any:
            return netobj.restricted(Sensor(), ["calibrate", "own_number"], ["own_number"])

    with serving(Lender, {"allow_setattr": True}) as conn:
        sensor = conn.root.lend()
        assert sensor.calibrate() == "calibrated"
        sensor.own_number = 8
        assert sensor.own_number == 8
        for name in ("unit_in_use", "_raw"):
            with pytest.raises(AttributeError):
                getattr(sensor, name)
        with pytest.raises(AttributeError):
            sensor.calibrate = None


def test_BgServingThread(lab: Any) -> None:  # noqa: N802
    ended, seen = threading.Event(), threading.Event()
    background = netobj.BgServingThread(
        lab, callback=ended.set, serve_interval=0.0, sleep_interval=0.1
    )
    lab.root.subscribe(lambda _event: seen.set())
    lab.root.publish(1)
    assert seen.wait(HANG)
    lab.close()
    assert ended.wait(HANG)
    background.stop()


@pytest.mark.parametrize("quiet", [False, True])
def test_setup_logger(quiet: bool, tmp_path: Path) -> None:
    program = (
        "import netobj, sys; logger = netobj.setup_logger(sys.argv[1] == 'True', sys.argv[2]); "
        "server = netobj.ThreadedServer(netobj.Service, hostname='127.0.0.1'); "
        "server.__enter__(); server.__exit__(None, None, None); logger.error('the end')"
    )
    log = tmp_path / "log"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program, str(quiet), str(log)]
    subprocess.run(command, check=True, timeout=60, env=env)
    assert "the end" in log.read_text()
    assert ("has terminated" in log.read_text()) is not quiet


def test_spawn() -> None:
    server = ThreadedServer(LabService, hostname="127.0.0.1")
    thread = netobj.spawn(server.start)
    assert thread.daemon
    with netobj.connect("127.0.0.1", server.port) as conn:
        assert conn.root.echo(1) == 1
    server.close()
    thread.join(HANG)
    assert not thread.is_alive()


# --- results of asynchronous calls ---------------------------------------------------------------


def waiting_call(conn: Any) -> tuple[threading.Event, Any]:
    """An event, and the result of a call that ends when it is set."""
    event = threading.Event()
    return event, netobj.async_(conn.root.call)(event.wait, HANG)


def test_wait(lab: Any) -> None:
    event, result = waiting_call(lab)
    event.set()
    assert result.wait() is None
    assert result.ready


def test_ready(lab: Any) -> None:
    event, result = waiting_call(lab)
    assert not result.ready
    event.set()
    wait_until(lambda: result.ready)


def test_error(lab: Any) -> None:
    result = netobj.async_(lab.root.fail)("value")
    result.wait()
    assert result.error
    assert not netobj.async_(lab.root.echo)(1).error


def test_expired(lab: Any) -> None:
    event, result = waiting_call(lab)
    assert not result.expired
    result.set_expiry(0)
    assert result.expired
    event.set()


def test_value(lab: Any) -> None:
    assert netobj.async_(lab.root.echo)("now").value == "now"
    failed = netobj.async_(lab.root.fail)("value")
    with pytest.raises(ValueError, match="bad"):
        _ = failed.value


def test_add_callback(lab: Any) -> None:
    told, values = threading.Event(), []
    result = netobj.async_(lab.root.echo)(3)
    result.add_callback(lambda done: (values.append(done.value), told.set()))
    assert told.wait(HANG)
    result.add_callback(lambda done: values.append(done.value))  # at once
    assert values == [3, 3]


@pytest.mark.parametrize("name", ["set_expiry", "AsyncResultTimeout"])
def test_giving_up(name: str, lab: Any) -> None:
    event, result = waiting_call(lab)
    result.set_expiry(0.05)
    with pytest.raises(netobj.AsyncResultTimeout):
        result.wait()
    event.set()
    assert issubclass(netobj.AsyncResultTimeout, TimeoutError)
    event, result = waiting_call(lab)
    result.set_expiry(None)
    event.set()
    assert result.value is True


def test_await() -> None:
    import asyncio

    async def main(echo: Any) -> list[Any]:
        return await asyncio.gather(*(echo(number) for number in range(3)))

    with serving() as conn:
        assert asyncio.run(main(netobj.async_(conn.root.echo))) == [0, 1, 2]


def test_cancel(lab: Any) -> None:
    event, result = waiting_call(lab)
    assert result.cancel()
    with pytest.raises(netobj.CallCancelled):
        _ = result.value
    event.set()


def test_future(lab: Any) -> None:
    assert netobj.async_(lab.root.echo)(4).future().result(HANG) == 4


# --- classic mode --------------------------------------------------------------------------------


def test_ports() -> None:
    assert classic.DEFAULT_SERVER_PORT == 18812
    assert classic.DEFAULT_SERVER_SSL_PORT == 18821


def test_classic_connect() -> None:
    with (
        ThreadedServer(netobj.SlaveService, hostname="localhost") as server,
        netobj.classic.connect("localhost", server.port, keepalive=True) as conn,
    ):
        assert conn.modules.os.path.basename("a/b") == "b"


def test_classic_unix_connect(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with ThreadedServer(netobj.SlaveService, socket_path=path), classic.unix_connect(path) as conn:
        assert conn.eval("6 * 7") == 42


def test_classic_connect_stream() -> None:
    sock = socket_pair_served(netobj.SlaveService)
    with classic.connect_stream(netobj.SocketStream(sock)) as conn:
        assert conn.eval("6 * 7") == 42


def test_classic_connect_channel() -> None:
    channel = netobj.Channel(netobj.SocketStream(socket_pair_served(netobj.SlaveService)))
    with classic.connect_channel(channel) as conn:
        assert conn.eval("6 * 7") == 42


def test_classic_connect_pipes() -> None:
    with classic.connect_pipes(*piped(netobj.SlaveService)) as conn:
        assert conn.eval("6 * 7") == 42


def test_classic_connect_subproc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    server_file = str(ROOT / "bin" / "netobj_classic.py")
    for arguments in ((), (server_file,), ([sys.executable, "-c", SERVE_PIPES],)):
        with classic.connect_subproc(*arguments) as conn:  # type: ignore[arg-type]
            assert conn.modules.os.getpid() == conn.proc.pid
        conn.proc.wait(HANG)


def test_classic_connect_thread() -> None:
    with classic.connect_thread() as conn:
        assert conn.modules.os.getpid() == os.getpid()


def test_classic_connect_stdpipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is the client here, and uses the whole of this process."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    program = (
        "import netobj; conn = netobj.classic.connect_stdpipes(); "
        "conn.modules.os.environ['WRITTEN_BY'] = 'the child'; conn.close()"
    )
    with netobj.connect_subproc([sys.executable, "-c", program], netobj.SlaveService) as conn:
        wait_until(lambda: conn.closed)
    assert os.environ.pop("WRITTEN_BY") == "the child"
    conn.proc.wait(HANG)


@in_a_fork
def test_classic_connect_multiprocess() -> None:
    with classic.connect_multiprocess({"table": [3, 1, 2]}) as conn:
        assert conn.modules.os.getpid() == conn.proc.pid
        assert list(conn.eval("sorted(table)")) == [1, 2, 3]
    conn.proc.join(HANG)


def test_classic_ssh_connect(machine: Any) -> None:
    with (
        ThreadedServer(netobj.SlaveService, hostname="localhost") as server,
        classic.ssh_connect(machine, server.port) as conn,
    ):
        assert conn.modules.os.path.basename("a/b") == "b"


def test_classic_ssl_connect(certificates: Certificates) -> None:
    mine = certificates.issue("alice@example.org")
    with (
        over_tls(certificates, netobj.SlaveService) as port,
        classic.ssl_connect(
            "localhost", port, mine.keyfile, mine.certfile, certificates.ca
        ) as conn,
    ):
        assert conn.modules.os.path.basename("a/b") == "b"
    assert classic.DEFAULT_SERVER_SSL_PORT == 18821


def test_SSLAuthenticator(certificates: Certificates) -> None:  # noqa: N802
    with (
        over_tls(certificates, LabService) as port,
        netobj.ssl_connect("localhost", port, ca_certs=certificates.ca) as stranger,
        pytest.raises((netobj.ConnectionLost, ssl.SSLError)),
    ):
        stranger.root.echo("let me in")


def test_modules(there: Any) -> None:
    assert there.modules.os.path.basename("a/b") == "b"
    assert there.modules["xml.dom.minidom"].parseString("<a/>").documentElement.tagName == "a"
    assert "json" in there.modules
    assert "no_such_module" not in there.modules


@pytest.mark.parametrize("name", ["builtins", "builtin"])
def test_the_other_sides_builtins(name: str, there: Any, tmp_path: Path) -> None:
    with getattr(there, name).open(str(tmp_path / "note"), "w") as file:
        file.write("written over there")
    assert (tmp_path / "note").read_text() == "written over there"


def test_eval(there: Any) -> None:
    assert there.eval("6 * 7") == 42
    assert netobj.async_(there.eval)("6 * 7").value == 42


def test_execute(there: Any) -> None:
    there.execute("def double(x):\n    return 2 * x")
    assert netobj.async_(there.execute)("y = double(4)").value is None
    assert there.eval("y") == 8


def test_namespace(there: Any) -> None:
    there.namespace["x"] = 5
    assert there.eval("x + 1") == 6


def test_teleport(there: Any) -> None:
    def where() -> int:
        import os

        return os.getpid()

    assert there.teleport(where)() == os.getpid()
    assert "where" in there.namespace
    there.teleport(lambda x: x, def_=False)
    assert "<lambda>" not in there.namespace


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files, and a name beside it for its copy."""
    folder = tmp_path / "from"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"a" * 100_000)
    (folder / "b.tmp").write_bytes(b"b")
    (folder / "deep" / "c.txt").write_bytes(b"c")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def is_text(name: str) -> bool:
    return not name.endswith(".tmp")


@pytest.mark.parametrize("name", ["upload", "download"])
def test_copying_both(name: str, there: Any, tree: Path) -> None:
    copy: Callable[..., None] = getattr(classic, name)
    copy(there, str(tree), str(tree.parent / "to"))
    copy(there, str(tree / "b.tmp"), str(tree.parent / "b"))
    assert files(tree.parent / "to") == files(tree)
    assert (tree.parent / "b").read_bytes() == b"b"


@pytest.mark.parametrize("name", ["upload_file", "download_file"])
def test_copying_a_file(name: str, there: Any, tree: Path) -> None:
    getattr(classic, name)(there, str(tree / "a.txt"), str(tree.parent / "to"))
    assert (tree.parent / "to").read_bytes() == b"a" * 100_000


@pytest.mark.parametrize("name", ["upload_dir", "download_dir"])
def test_copying_a_directory(name: str, there: Any, tree: Path) -> None:
    getattr(classic, name)(there, str(tree), str(tree.parent / "to"))
    assert files(tree.parent / "to") == files(tree)


@pytest.mark.parametrize("copy", [classic.upload, classic.download])
def test_filter(copy: Callable[..., None], there: Any, tree: Path) -> None:
    copy(there, str(tree), str(tree.parent / "to"), filter=is_text)
    assert sorted(files(tree.parent / "to")) == ["a.txt", "deep/c.txt"]


@pytest.mark.parametrize("copy", [classic.upload, classic.download])
def test_chunk_size(copy: Callable[..., None], there: Any, tree: Path) -> None:
    copy(there, str(tree / "a.txt"), str(tree.parent / "to"), chunk_size=1000)
    assert (tree.parent / "to").read_bytes() == b"a" * 100_000


@pytest.mark.parametrize("copy", [classic.upload, classic.download])
def test_progress(copy: Callable[..., None], there: Any, tree: Path) -> None:
    seen: list[tuple[int, int]] = []
    copy(there, str(tree), str(tree.parent / "to"), progress=lambda *done: seen.append(done))
    assert seen[-1] == (100_002, 100_002)


@pytest.mark.parametrize("name", ["upload_package", "upload_module"])
def test_uploading_code(name: str, there: Any, tmp_path: Path) -> None:
    import json

    getattr(classic, name)(there, json, str(tmp_path / "their_json"))
    there.modules.sys.path.insert(0, str(tmp_path))
    try:
        assert there.modules.their_json.loads("[1]")[0] == 1
    finally:
        there.modules.sys.path.remove(str(tmp_path))
        for module in [one for one in sys.modules if one.startswith("their_json")]:
            del sys.modules[module]


def test_obtain(there: Any) -> None:
    assert classic.obtain(there.eval("[1, {'a': (2,)}]")) == [1, {"a": (2,)}]


def test_deliver(there: Any) -> None:
    mine = [1, 2]
    theirs = classic.deliver(there, mine)
    theirs.append(3)
    assert (list(theirs), mine) == ([1, 2, 3], [1, 2])


OTHER_PROCESS = [sys.executable, "-c", SERVE_PIPES.replace("netobj;", "netobj; os.set_blocking;")]


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A classic connection to another process."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with classic.connect_subproc(OTHER_PROCESS) as conn:
        yield conn
    conn.proc.wait(HANG)


@pytest.mark.parametrize("name", ["redirected_stdio", "redirecting_stdio"])
def test_printing_here(name: str, elsewhere: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with classic.redirected_stdio(elsewhere):
        elsewhere.execute("print('from over there')")
    assert capsys.readouterr().out == "from over there\n"


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_pm(
    elsewhere: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere.execute("def divide(x, y):\n    return x / y")
    with pytest.raises(ZeroDivisionError):
        elsewhere.eval("divide(17, 0)")
    typed(monkeypatch, "p x + 100", "q")
    classic.pm(elsewhere)
    assert "117" in capsys.readouterr().out


def test_interact(
    elsewhere: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "import os", "print(os.getpid(), factor * 3)", "exit()")
    classic.interact(elsewhere, {"factor": 14})
    assert f"{elsewhere.proc.pid} 42" in capsys.readouterr().out


def test_MockClassicConnection() -> None:  # noqa: N802
    conn = classic.MockClassicConnection()
    conn.execute("x = 6")
    assert conn.modules.os is os
    assert conn.builtin.max is max
    assert (conn.eval("x * 7"), conn.namespace["x"]) == (42, 6)
    assert conn.teleport(lambda: 5)() == 5


def test_teleport_function(there: Any) -> None:
    names = there.eval("{'unit': 'K'}")

    def label(value: float, digits: int = 1) -> str:
        return f"{value:.{digits}f} {unit}"  # type: ignore[name-defined]  # noqa: F821

    assert classic.teleport_function(there, label, globals=names, def_=True)(2.25) == "2.2 K"
    assert "label" in names


@pytest.mark.parametrize("name", ["export_function", "import_function"])
def test_moving_a_function(name: str, lab: Any) -> None:
    def double(x: int) -> int:
        return 2 * x

    travelled = lab.root.echo(export_function(double))
    assert import_function(travelled, {})(21) == 42


def test_closures(there: Any) -> None:
    words = {"a": ["alpha"]}

    def look_up(letter: str) -> list[str]:
        return words[letter]

    assert list(there.teleport(look_up)("a")) == ["alpha"]


def test_container_defaults(there: Any) -> None:
    def append(item: int, to: list[int] = [1]) -> list[int]:  # noqa: B006
        return [*to, item]

    assert list(there.teleport(append)(2)) == [1, 2]


def test_across_versions(there: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    factor = 2

    def scale(x: int, *, offset: int = 1) -> int:
        return factor * x + offset

    exported = export_function(scale)
    # From here on the bytecode is that of another Python; with real ones: test_other_pythons.py.
    monkeypatch.setattr("netobj.teleportation.MAGIC_NUMBER", b"other")
    moved = there.modules["netobj.teleportation"].import_function(exported)
    assert moved(20, offset=2) == 42


def test_client_exposes_nothing(there: Any) -> None:
    def harmless() -> None: ...

    there.namespace["given"] = harmless
    with pytest.raises(AttributeError):
        there.eval("given.__globals__")
    with pytest.raises(AttributeError):
        there.root.getconn().root.eval("1")


# --- servers -------------------------------------------------------------------------------------


def test_hostname() -> None:
    with ThreadedServer(LabService, hostname="127.0.0.1") as server:
        assert server.listener.getsockname()[0] == "127.0.0.1"
    with ThreadedServer(LabService) as server, netobj.connect("127.0.0.1", server.port) as conn:
        assert server.host == "0.0.0.0"
        assert conn.root.echo(1) == 1


@needs_ipv6
def test_server_ipv6() -> None:
    with ThreadedServer(LabService, "::1", ipv6=True) as server:
        assert server.listener.family == socket.AF_INET6
        assert server.host == "::1"


def test_port() -> None:
    with ThreadedServer(LabService, "127.0.0.1") as first:
        port = first.port
    with (
        ThreadedServer(LabService, "127.0.0.1", port=port) as server,
        netobj.connect("127.0.0.1", port) as conn,
    ):
        assert server.port == port
        assert conn.root.echo(1) == 1


def test_backlog() -> None:
    with ThreadedServer(LabService, "127.0.0.1", backlog=1) as server:
        for number in range(3):
            with netobj.connect("127.0.0.1", server.port) as conn:
                assert conn.root.echo(number) == number


@pytest.mark.parametrize("reuse", [False, True])
def test_reuse_addr(reuse: bool) -> None:
    with ThreadedServer(LabService, "127.0.0.1", reuse_addr=reuse) as server:
        option = server.listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert bool(option) is reuse


@pytest.mark.parametrize("name", ["authenticator", "AuthenticationError"])
def test_who_may_connect(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with ThreadedServer(LabService, "127.0.0.1", authenticator=greet) as server:
        with say_and_connect(b"Ma6ik", server.port) as conn:
            assert conn.root.echo(1) == 1
        with say_and_connect(b"wrong", server.port) as conn, pytest.raises(EOFError):
            conn.root.echo(1)
    assert "wrong magic word" in caplog.text


def test_protocol_config() -> None:
    with serving(config={"allow_public_attrs": True}) as conn:
        assert conn.root.settings("allow_public_attrs") is True


def test_server_logger(caplog: pytest.LogCaptureFixture) -> None:
    mine = logging.getLogger("lab.server")
    with caplog.at_level(logging.INFO, "lab.server"), serving(logger=mine) as conn:
        conn.ping()
    assert "server started" in caplog.text
    with serving() as conn:
        conn.ping()


@pytest.mark.parametrize("seconds", [None, 0.5])
def test_listener_timeout(seconds: float | None) -> None:
    with serving(listener_timeout=seconds) as conn:
        assert conn.root.echo(1) == 1


def test_socket_path(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with ThreadedServer(LabService, socket_path=path), netobj.unix_connect(path) as conn:
        assert conn.root.echo(1) == 1
    for more in ({"hostname": "localhost"}, {"port": 18861}):
        with pytest.raises(ValueError, match="socket_path"):
            ThreadedServer(LabService, socket_path=path, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["start", "server_close"])
def test_start_until_close(name: str) -> None:
    server = ThreadedServer(LabService, hostname="127.0.0.1")
    thread = netobj.spawn(server.start)
    conn = netobj.connect("127.0.0.1", server.port)
    assert conn.root.echo(1) == 1
    server.close()
    server.close()
    thread.join(HANG)
    assert not thread.is_alive()
    wait_until(lambda: conn.closed)
    with pytest.raises(ConnectionRefusedError):
        netobj.connect(*conn._config["endpoints"][1])


class InThisThread(Server):
    """A server of a program's own, as RPyC's documentation shows: the hooks are RPyC's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.log: list[str] = []

    def _accept_method(self, sock: socket.socket) -> None:
        self.log.append("accepted")
        self._authenticate_and_serve_client(sock)

    def _handle_connection(self, connection: Any) -> None:
        self.log.append("handled")
        connection.serve_all()


@pytest.mark.parametrize("name", ["accept", "accept_method", "handle_connection"])
def test_a_server_of_ones_own(name: str) -> None:
    server = InThisThread(LabService, hostname="127.0.0.1")
    server.active = True
    thread = netobj.spawn(server.accept)
    with netobj.connect("127.0.0.1", server.port) as conn:
        assert conn.root.echo(1) == 1
    thread.join(HANG)
    server.close()
    assert server.log == ["accepted", "handled"]


def test_server_fileno() -> None:
    server = ThreadedServer(LabService, hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", server.port)):
        assert select.select([server], [], [], HANG)[0] == [server]
    server.close()


def test_host() -> None:
    with ThreadedServer(LabService, hostname="localhost") as server:
        assert server.host == "127.0.0.1"


def test_ThreadedServer() -> None:  # noqa: N802
    with (
        ThreadedServer(LabService(), hostname="127.0.0.1") as server,
        netobj.connect("127.0.0.1", server.port) as one,
        netobj.connect("127.0.0.1", server.port) as other,
    ):
        event, result = waiting_call(one)
        assert other.root.echo("meanwhile") == "meanwhile"
        event.set()
        assert result.value is True


@pytest.mark.parametrize("name", ["ThreadPoolServer", "nbThreads", "requestBatchSize"])
def test_a_pool_of_threads(name: str) -> None:
    pool = ThreadPoolServer(LabService, hostname="127.0.0.1", nbThreads=2, requestBatchSize=5)
    with pool as server:
        conns = [netobj.connect("127.0.0.1", server.port) for _ in range(6)]
        event, result = waiting_call(conns[0])
        assert [conn.root.echo(1) for conn in conns[1:]] == [1] * 5
        event.set()
        assert result.value is True
        for conn in conns:
            conn.close()


def test_start_in_thread() -> None:
    server = ThreadedServer(LabService, hostname="127.0.0.1")
    thread = server._start_in_thread()
    with netobj.connect("127.0.0.1", server.port) as conn:
        assert conn.root.echo(1) == 1
    server.close()
    thread.join(HANG)
    assert not thread.is_alive()


def test_OneShotServer() -> None:  # noqa: N802
    server = OneShotServer(LabService, hostname="127.0.0.1")
    port = server.port
    thread = netobj.spawn(server.start)
    with netobj.connect("127.0.0.1", port) as conn:
        assert conn.root.echo(1) == 1
    thread.join(HANG)
    assert not thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        netobj.connect("127.0.0.1", port)


class ProcessService(netobj.Service):
    def exposed_pid(self) -> int:
        return os.getpid()


@in_a_fork
def test_ForkingServer() -> None:  # noqa: N802
    with (
        ForkingServer(ProcessService, hostname="127.0.0.1") as server,
        netobj.connect("127.0.0.1", server.port) as one,
        netobj.connect("127.0.0.1", server.port) as other,
    ):
        assert len({one.root.pid(), other.root.pid(), os.getpid()}) == 3


GREEN = """
from gevent import monkey
monkey.patch_all()
import gevent, netobj
from netobj.utils.server import GeventServer
class Green(netobj.Service):
    def exposed_where(self): return type(gevent.getcurrent()).__module__.partition(".")[0]
with GeventServer(Green, hostname="127.0.0.1") as server:
    with netobj.connect("127.0.0.1", server.port) as conn:
        print(conn.root.where())
"""


@pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")
def test_GeventServer() -> None:  # noqa: N802
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", GREEN]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=True)
    assert done.stdout == "gevent\n"


# --- the registry --------------------------------------------------------------------------------

KINDS = {
    "UDP": (UDPRegistryServer, UDPRegistryClient),
    "TCP": (TCPRegistryServer, TCPRegistryClient),
}


@contextmanager
def registry(kind: str = "UDP", **arguments: Any) -> Iterator[tuple[Any, Any]]:
    """A registry and a client of it."""
    server_class, client_class = KINDS[kind]
    with server_class("127.0.0.1", port=0, **arguments) as server:  # type: ignore[attr-defined]
        yield server, client_class("127.0.0.1", server.port, timeout=HANG)  # type: ignore[abstract]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["register", "registry_discover", "unregister"])
def test_registering(name: str, kind: str) -> None:
    with registry(kind) as (_, client):
        assert client.register(("LAB", "CELLAR"), 18861)
        assert client.discover("lab") == client.discover("CELLAR") == (("127.0.0.1", 18861),)
        client.unregister(18861)
        assert client.discover("LAB") == ()


def test_registry_port() -> None:
    assert netobj.utils.registry.REGISTRY_PORT == 18811
    for kind in KINDS:
        server_class, client_class = KINDS[kind]
        assert signature(server_class).parameters["port"].default == 18811
        assert signature(client_class).parameters["port"].default == 18811


def test_UDPRegistryServer() -> None:  # noqa: N802
    with registry("UDP") as (server, client):
        assert client.register(("LAB",), 18861)
        assert server.services == {"LAB": (("127.0.0.1", 18861),)}


def test_TCPRegistryServer() -> None:  # noqa: N802
    with registry("TCP") as (server, client):
        assert client.register(("LAB",), 18861)
        assert server.services == {"LAB": (("127.0.0.1", 18861),)}


@contextmanager
def lab_registered(client: Any, **arguments: Any) -> Iterator[Any]:
    """A server that the registry knows."""
    with ThreadedServer(LabService, "127.0.0.1", registrar=client, **arguments) as server:
        wait_until(lambda: client.discover("LAB"))
        yield server


@pytest.mark.parametrize("kind", KINDS)
def test_registrar(kind: str) -> None:
    with registry(kind) as (_, client):
        with lab_registered(client) as server:
            assert client.discover("LAB") == (("127.0.0.1", server.port),)
        assert client.discover("LAB") == ()  # it says so itself when it is closed


@pytest.mark.parametrize("choice", [None, True, False])
def test_auto_register(choice: bool | None) -> None:
    with registry() as (_, client):
        server = ThreadedServer(LabService, "127.0.0.1", registrar=client, auto_register=choice)
        assert server.auto_register is (choice is not False)
        server.close()
    assert ThreadedServer(LabService, "127.0.0.1").auto_register is False


@pytest.mark.parametrize("kind", KINDS)
def test_discover(kind: str) -> None:
    with registry(kind) as (_, client), lab_registered(client) as server:
        assert list(netobj.discover("LAB", registrar=client)) == [("127.0.0.1", server.port)]
        assert netobj.discover("LAB", host="localhost", registrar=client)


def test_DiscoveryError() -> None:  # noqa: N802
    with registry() as (_, client), pytest.raises(netobj.DiscoveryError, match="LAB"):
        netobj.discover("LAB", registrar=client, timeout=0)


@pytest.mark.parametrize("name", ["connect_by_service", "tries_every_address"])
def test_connecting_by_name(name: str) -> None:
    with registry() as (_, client), lab_registered(client):
        with socket.create_server(("127.0.0.1", 0)) as gone:
            dead = gone.getsockname()[1]
        assert client.register(("LAB",), dead)  # nobody answers there: the other one is tried
        for _ in range(3):
            with netobj.connect_by_service("LAB", registrar=client) as conn:
                assert conn.root.place == "cellar"


@pytest.mark.parametrize("name", ["list_services", "allow_listing", "list"])
def test_listing(name: str) -> None:
    with registry(allow_listing=True) as (_, client):
        client.register(("LAB", "CELLAR"), 18861)
        assert sorted(netobj.list_services(client)) == ["CELLAR", "LAB"]
        assert sorted(client.list()) == ["CELLAR", "LAB"]
    with registry() as (_, client):
        assert client.list() is None


def test_ForbiddenError() -> None:  # noqa: N802
    with registry() as (_, client), pytest.raises(netobj.ForbiddenError):
        netobj.list_services(client)


def test_filter_host() -> None:
    with registry(allow_listing=True) as (_, client):
        client.register(("LAB",), 18861)
        assert tuple(client.list(filter_host="127.0.0.1")) == ("LAB",)
        assert tuple(client.list(filter_host="203.0.113.1")) == ()


def test_pruning_timeout() -> None:
    with registry(pruning_timeout=0.05) as (_, client):
        client.register(("LAB",), 18861)
        wait_until(lambda: client.discover("LAB") == ())


@pytest.mark.parametrize("name", ["on_service_added", "on_service_removed"])
def test_watching_a_registry(name: str) -> None:
    log: list[tuple[str, Any]] = []

    class Watching(UDPRegistryServer):
        def on_service_added(self, name: str, addrinfo: Any) -> None:
            log.append((f"+{name}", addrinfo[1]))

        def on_service_removed(self, name: str, addrinfo: Any) -> None:
            log.append((f"-{name}", addrinfo[1]))

    with Watching("127.0.0.1", port=0) as server:
        client = UDPRegistryClient("127.0.0.1", server.port, timeout=HANG)
        client.register(("LAB",), 18861)
        client.unregister(18861)
    assert log == [("+LAB", 18861), ("-LAB", 18861)]


def test_re_register() -> None:
    assert UDPRegistryClient.REREGISTER_INTERVAL == 60

    class Hasty(UDPRegistryClient):
        REREGISTER_INTERVAL = 0.05  # type: ignore[misc]

    with registry() as (server, _):
        client = Hasty("127.0.0.1", server.port, timeout=HANG)
        with lab_registered(client) as lab_server:
            client.unregister(lab_server.port)
            wait_until(lambda: client.discover("LAB"))


# --- deployment ----------------------------------------------------------------------------------

SETUP = """
import netobj
class ServiceCls(netobj.Service):
    def exposed_place(self):
        return type(self).__name__, name_of_server
name_of_server = ServerCls.__name__
"""


@pytest.mark.parametrize(
    "name",
    [
        "DeployedServer",
        "deployed_classic_connect",
        "python_executable",
        "service_class",
        "deployed_close",
    ],
)
def test_deploying_a_classic_server(name: str, machine: Any, sshd: Sshd) -> None:
    arguments = {
        "python_executable": {"python_executable": f"python{sys.version_info[0]}"},
        "service_class": {"service_class": "netobj.core.service.SlaveService"},
    }.get(name, {})
    with DeployedServer(machine, **arguments) as server, server.classic_connect() as conn:
        assert conn.modules.os.getpid() != os.getpid()
        assert conn.eval("6 * 7") == 42
        if name == "deployed_close":
            server.close(timeout=HANG)
            wait_until(lambda: conn.closed and not sshd.folders())
    wait_until(sshd.is_clean)


@pytest.mark.parametrize("name", ["deployed_connect", "extra_setup", "server_class"])
def test_deploying_a_service(name: str, machine: Any) -> None:
    kind = "ThreadPoolServer" if name == "server_class" else "ThreadedServer"
    with (
        DeployedServer(
            machine, server_class=f"netobj.utils.server.{kind}", extra_setup=SETUP
        ) as server,
        server.connect() as conn,
    ):
        assert conn.root.place() == ("ServiceCls", kind)


SCRIPT = """
import sys
from $SERVER_MODULE$ import $SERVER_CLASS$ as ServerCls
from $SERVICE_MODULE$ import $SERVICE_CLASS$ as ServiceCls
logger = None
$EXTRA_SETUP$
t = ServerCls(ServiceCls, hostname="localhost", port=0, reuse_addr=True, logger=logger)
thd = t._start_in_thread()
sys.stdout.write(f"{t.port}\\n")
sys.stdout.flush()
try:
    sys.stdin.read()
finally:
    t.close()
    thd.join(2)
"""


def test_server_script(machine: Any) -> None:
    """One that was written for RPyC."""
    with (
        DeployedServer(machine, server_script=SCRIPT, extra_setup=SETUP) as server,
        server.connect() as conn,
    ):
        assert conn.root.place() == ("ServiceCls", "ThreadedServer")


def test_MultiServerDeployment(machine: Any, sshd: Sshd) -> None:  # noqa: N802
    with MultiServerDeployment([machine, machine]) as servers:
        conns = servers.classic_connect_all()
        assert len({conn.modules.os.getpid() for conn in conns}) == len(servers) == 2
        for conn in (*conns, *servers.connect_all()):
            conn.close()
        assert [server.closed for server in servers] == [False, False]
    wait_until(sshd.is_clean)


# --- commands ------------------------------------------------------------------------------------


@contextmanager
def command(name: str, *switches: str) -> Iterator[tuple[subprocess.Popen[str], str, int]]:
    """The command, its address and its port; ended by SIGTERM, with exit code 0."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(ROOT / "bin" / name), *switches],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    ) as child:
        try:
            assert child.stderr is not None
            found = None
            for line in child.stderr:
                found = re.search(r"started on \[(.*)\]:(\d+)", line)
                if found:
                    break
            assert found is not None
            yield child, found[1], int(found[2])
            child.send_signal(signal.SIGTERM)
            assert child.wait(HANG) == 0
        finally:
            child.kill()
            child.communicate()


@pytest.mark.parametrize("program", ["netobj_classic", "netobj_classic.py"])
def test_the_classic_command(program: str) -> None:
    with command(program, "-p", "0") as (child, host, port):
        assert host == "127.0.0.1"
        with classic.connect(host, port) as conn:
            assert conn.modules.os.getpid() == child.pid


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def pids_of_two_clients(mode: str, switch: str = "--mode") -> list[int]:
    """The processes that two clients are served by, and that of the command."""
    with (
        command("netobj_classic", switch, mode, "-p", "0") as (child, host, port),
        classic.connect(host, port) as one,
        classic.connect(host, port) as other,
    ):
        return [one.modules.os.getpid(), other.modules.os.getpid(), child.pid]


@pytest.mark.parametrize("switch", ["--mode", "-m"])
@pytest.mark.parametrize("mode", ["threaded"])
def test_mode_of_the_command(mode: str, switch: str) -> None:
    assert len(set(pids_of_two_clients(mode, switch))) == 1


@pytest.mark.parametrize("mode", ["forking"])
def test_mode_with_processes(mode: str) -> None:
    assert len(set(pids_of_two_clients(mode))) == 3


@pytest.mark.parametrize("mode", ["stdio"])
def test_mode_of_standard_streams(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    program = [sys.executable, str(ROOT / "bin" / "netobj_classic"), "-q", "-m", mode]
    with classic.connect_subproc(program) as conn:
        assert conn.modules.os.getpid() == conn.proc.pid
    assert conn.proc.wait(HANG) == 0


@pytest.mark.parametrize("mode", ["oneshot"])
def test_mode_for_one_client(mode: str) -> None:
    program = [sys.executable, str(ROOT / "bin" / "netobj_classic"), "-q", "-m", mode, "-p", "0"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=env) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "netobj-oneshot\n"
            host, port = child.stdout.readline().rstrip("\n").split("\t")
            with classic.connect(host, int(port)) as conn:
                assert conn.modules.os.getpid() == child.pid
            assert child.wait(HANG) == 0
        finally:
            child.kill()


@pytest.mark.parametrize("switch", ["--port", "-p"])
def test_port_of_the_command(switch: str) -> None:
    wanted = free_port()
    with command("netobj_classic", switch, str(wanted)) as (_, _host, port):
        assert port == wanted


@pytest.mark.parametrize("switch", ["--host"])
def test_host_of_the_command(switch: str) -> None:
    with command("netobj_classic", switch, "127.0.0.2", "-p", "0") as (_, host, port):
        assert host == "127.0.0.2"
        with classic.connect("127.0.0.2", port) as conn:
            assert conn.eval("6 * 7") == 42


@needs_ipv6
@pytest.mark.parametrize("switch", ["--ipv6"])
def test_ipv6_of_the_command(switch: str) -> None:
    with command("netobj_classic", switch, "-p", "0") as (_, host, port):
        assert host == "::1"
        with classic.connect("::1", port, ipv6=True) as conn:
            assert conn.eval("6 * 7") == 42


def run_quietly(
    program: str, *switches: str, is_up: Callable[[int], object] | None = None
) -> tuple[int, str]:
    """The exit code and the standard error of a command that is ended once it *is_up*."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(ROOT / "bin" / program), "-p", "0", *switches],
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    ) as child:
        try:
            wait_until(lambda: (is_up or listens)(child.pid))
            child.send_signal(signal.SIGTERM)
            _, err = child.communicate(timeout=HANG)
        finally:
            child.kill()
    return child.returncode, err


def listens(pid: int) -> bool:
    """Whether the process *pid* has a TCP socket that listens."""
    table = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = {f"socket:[{row.split()[9]}]" for row in table if row.split()[3] == "0A"}
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(descriptor) in listening:
                return True
    return False


@pytest.mark.parametrize("program", ["netobj_classic", "netobj_registry"])
@pytest.mark.parametrize("switch", ["--quiet", "-q"])
def test_quiet(switch: str, program: str) -> None:
    more = ["-m", "TCP"] if program == "netobj_registry" else []
    code, err = run_quietly(program, switch, *more)
    assert code == 0
    assert "started on" not in err


@pytest.mark.parametrize("program", ["netobj_classic", "netobj_registry"])
@pytest.mark.parametrize("switch", ["--logfile"])
def test_logfile(switch: str, program: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    more = ["-m", "TCP"] if program == "netobj_registry" else []

    def has_started(_pid: int) -> bool:
        return log.exists() and "started on" in log.read_text()

    code, err = run_quietly(program, switch, str(log), *more, is_up=has_started)
    assert (code, err) == (0, "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "switches", [("--register", "--registry-type", "--registry-port", "--registry-host")]
)
def test_registering_the_command(switches: tuple[str, ...], kind: str) -> None:
    register, of_type, of_port, of_host = switches
    with registry(kind) as (server, client):
        where = [of_type, kind, of_host, "127.0.0.1", of_port, str(server.port)]
        with command("netobj_classic", "-p", "0", register, *where) as (_, _host, port):
            wait_until(lambda: client.discover("SLAVE"))
            assert client.discover("SLAVE") == (("127.0.0.1", port),)


@pytest.mark.parametrize("switches", [("--ssl-keyfile", "--ssl-certfile", "--ssl-cafile")])
def test_the_command_over_tls(switches: tuple[str, ...], certificates: Certificates) -> None:
    files, mine = certificates.localhost, certificates.issue("alice@example.org")
    values = (files.keyfile, files.certfile, certificates.ca)
    given = [text for pair in zip(switches, values, strict=True) for text in pair]
    with (
        command("netobj_classic", "-p", "0", *given) as (_, _host, port),
        classic.ssl_connect(
            "localhost", port, mine.keyfile, mine.certfile, certificates.ca
        ) as conn,
    ):
        assert conn.eval("6 * 7") == 42


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("switch", ["-m", "--mode"])
def test_mode_of_the_registry(switch: str, kind: str) -> None:
    with command("netobj_registry", switch, kind, "-p", "0") as (_, _host, port):
        client = KINDS[kind][1]("127.0.0.1", port, timeout=HANG)  # type: ignore[abstract]
        assert client.register(("LAB",), 18861)
        assert client.discover("LAB") == (("127.0.0.1", 18861),)


def test_netobj_registry() -> None:
    with command("netobj_registry", "--port", "0") as (_, host, port):
        client = UDPRegistryClient("127.0.0.1", port, timeout=HANG)
        with lab_registered(client):
            assert host == "0.0.0.0"
            with netobj.connect_by_service("LAB", registrar=client) as conn:
                assert conn.root.echo(1) == 1


@needs_ipv6
@pytest.mark.parametrize("switch", ["-6", "--ipv6"])
def test_ipv6_of_the_registry(switch: str) -> None:
    with command("netobj_registry", switch, "-p", "0") as (_, host, port):
        client = UDPRegistryClient("::1", port, ipv6=True, timeout=HANG)
        assert host == "::"
        assert client.register(("LAB",), 18861)


@pytest.mark.parametrize("switch", ["-t", "--timeout"])
def test_timeout_of_the_registry(switch: str) -> None:
    with command("netobj_registry", switch, "1", "-p", "0") as (_, _host, port):
        client = UDPRegistryClient("127.0.0.1", port, timeout=HANG)
        client.register(("LAB",), 18861)
        wait_until(lambda: client.discover("LAB") == ())


@pytest.mark.parametrize("switch", ["-l", "--listing"])
def test_listing_of_the_registry(switch: str) -> None:
    with command("netobj_registry", switch, "-p", "0") as (_, _host, port):
        client = UDPRegistryClient("127.0.0.1", port, timeout=HANG)
        client.register(("LAB",), 18861)
        assert tuple(client.list() or ()) == ("LAB",)


# --- documented behaviour ------------------------------------------------------------------------


def test_callbacks_in_both_directions(lab: Any) -> None:
    depths: list[int] = []

    def descend(depth: int) -> int:
        depths.append(depth)
        return 0 if depth == 0 else 1 + lab.root.call(descend, depth - 1)

    assert lab.root.call(descend, 3) == 3
    assert depths == [3, 2, 1, 0]


def test_events_with_a_background_thread(lab: Any) -> None:
    background = netobj.BgServingThread(lab)
    events: list[int] = []
    lab.root.subscribe(events.append)
    lab.root.publish(1, 2, 3)
    wait_until(lambda: events == [1, 2, 3])
    background.stop()


def test_events_by_poll_all(lab: Any) -> None:
    lab.poll_all()  # from here on they come when they are asked for
    events: list[int] = []
    lab.root.subscribe(events.append)
    lab.root.publish(1, 2, 3)
    wait_until(lambda: lab.poll_all() is False and len(events) == 3)
    assert events == [1, 2, 3]


def test_events_in_a_reactor(lab: Any) -> None:
    events: list[int] = []
    lab.fileno()
    lab.root.subscribe(events.append)
    lab.root.publish(1, 2)
    while len(events) < 2:
        assert select.select([lab], [], [], HANG)[0] == [lab]
        lab.poll_all()
    assert events == [1, 2]


def test_chained_connections(there: Any) -> None:
    with ThreadedServer(LabService, hostname="127.0.0.1") as server:
        far = there.modules.netobj.connect("127.0.0.1", server.port)
        assert far.root.place == "cellar"
        assert far.root.call(lambda: "from here") == "from here"
        far.close()


def test_monkey_patching(elsewhere: Any) -> None:
    elsewhere.modules.time.time = lambda: 1000.0
    assert elsewhere.eval("__import__('time').time()") == 1000.0


def test_context_managers() -> None:
    log: list[str] = []

    class Oven(netobj.Service):
        @netobj.exposed
        @contextmanager
        def heated(self) -> Iterator[int]:
            try:
                yield 180
            except ValueError:
                log.append("smoke")
                raise
            finally:
                log.append("off")

    with serving(Oven) as conn:
        with conn.root.heated() as celsius:
            assert celsius == 180
        with pytest.raises(ValueError, match="burnt"), conn.root.heated():
            raise ValueError("burnt")
    assert log == ["off", "smoke", "off"]


def test_capabilities() -> None:
    class Bank(netobj.Service):
        def exposed_log_in(self, pin: str) -> Any:
            if pin != "1234":
                raise PermissionError("wrong pin")
            return netobj.restricted(Sensor(), ["calibrate"], ())

    with serving(Bank) as conn:
        with pytest.raises(PermissionError, match="wrong pin"):
            conn.root.log_in("0000")
        assert conn.root.log_in("1234").calibrate() == "calibrated"


def test_mapping_exceptions(lab: Any) -> None:
    lab._config["instantiate_custom_exceptions"] = True
    with pytest.raises(Oversteer, match="left"):
        lab.root.fail("own")
    with pytest.raises(ValueError, match="bad"):
        lab.root.fail("value")


def test_decoupled_services() -> None:
    """One service uses another, which it knows by its interface only."""

    class Report(netobj.Service):
        def __init__(self, source: Any) -> None:
            self.source = source

        def exposed_report(self) -> str:
            return f"read in the {self.source.place}: {self.source.echo(20)}"

    with serving() as source, serving(classpartial(Report, source.root)) as conn:
        assert conn.root.report() == "read in the cellar: 20"
