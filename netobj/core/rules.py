"""How the access policy decides: the part of :mod:`netobj.core.access` that is not its surface.

What is remembered of a type (:class:`TypeFacts`), which real name a peer's name stands for
(:class:`Choice`), and what a refusal says.
"""

from __future__ import annotations

import weakref
from collections import UserString
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from types import (
    AsyncGeneratorType,
    FunctionType,
    GeneratorType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, Final, NamedTuple

from netobj.core.config import Config
from netobj.core.consts import SPECIAL_INDEX
from netobj.core.exposure import HIDING, MARK, PLAIN, Exposure, exposure_of, when_hiding
from netobj.core.lookup import (
    MISSING,
    bind,
    class_dict,
    describe,
    find,
    has_dict,
    instance_dict,
    mro_of,
    type_name,
)
from netobj.errors import AccessDenied


class Access(Enum):
    """An operation on an attribute; the value is the verb of the error text."""

    GET = "read"
    SET = "set"
    DELETE = "delete"


GATES: Final = {
    Access.GET: "allow_getattr",
    Access.SET: "allow_setattr",
    Access.DELETE: "allow_delattr",
}
HOOKS: Final = {
    Access.GET: ("_netobj_getattr", "_rpyc_getattr"),
    Access.SET: ("_netobj_setattr", "_rpyc_setattr"),
    Access.DELETE: ("_netobj_delattr", "_rpyc_delattr"),
}
FRAMES: Final = frozenset(
    (
        "ag_await ag_code ag_frame cr_await cr_code cr_frame cr_origin "
        "f_back f_builtins f_code f_globals f_locals f_trace gi_code gi_frame gi_yieldfrom "
        "tb_frame tb_next"
    ).split()
)
"""Names without an underscore that lead from a generator, coroutine or traceback to globals, and
so to everything, or to code; ``allow_public_attrs`` does not open them."""
INNER: Final = "____inner____"
"""In a class: the names of its own affairs, which ``allow_public_attrs`` does not open. Services
have them: who may change a service's ``CONFIG`` decides what all connections to come may do."""
CLOSED: Final = "____closed____"
"""In a class: ``allow_public_attrs`` does not open the names of its objects. Connections have it:
from one of these it is not far to its settings. So it is with modules: what is public there is
whatever they have imported."""
STEPS: Final = frozenset(
    class_dict(kind)[name]
    for kind, names in (
        (GeneratorType, ("send", "throw", "close")),
        (AsyncGeneratorType, ("asend", "athrow", "aclose")),
    )
    for name in names
)
"""What steps a generator besides ``__next__``, and is open with it."""
FORMATS: Final = frozenset(("format", "format_map"))
"""Methods of ``str`` that read any attribute which the string names; the same holds for them."""
_MAX_CACHED_NAMES: Final = 1000  # per type and policy: a peer may ask for a million
_MAX_SHOWN: Final = 100  # characters of a peer's name that an error text repeats


class KnownMethod(NamedTuple):
    """A function of a class under its real name, as it was found: to be compared at each use."""

    real: str
    function: weakref.ref[FunctionType]
    mark: Exposure | None


class TypeFacts:
    """What a policy remembers of a type. Strings and flags only: it keeps no class alive."""

    __slots__ = (
        "closed",
        "computed",
        "description",
        "dynamic",
        "has_dict",
        "holds",
        "inner",
        "is_class",
        "is_module",
        "methods",
        "names",
        "own_rules",
        "ref",
    )

    def __init__(self, tp: type, ref: weakref.ref[type]) -> None:
        reader = find(tp, "__getattribute__")
        self.ref = ref
        self.names: dict[str, str] = {}  # decided by the type alone: name -> real name
        self.methods: dict[str, KnownMethod] = {}  # plain functions of the class and its bases
        self.own_rules = has_hooks(tp)
        self.computed = type(reader) is not WrapperDescriptorType  # a __getattribute__ in Python
        self.dynamic = (
            reader is not class_dict(object)["__getattribute__"]
            or find(tp, "__getattr__") is not MISSING
        )
        self.has_dict = has_dict(tp)
        self.is_class = issubclass(tp, type)
        self.description: Any = None
        self.holds: int | None = None  # what the type held when it was described
        self.is_module = issubclass(tp, ModuleType)
        self.inner = inner_names(tp)
        self.closed = self.is_module or find(tp, CLOSED) is not MISSING


class Choice(NamedTuple):
    """Which real names a peer's name may stand for, best first."""

    first: str
    second: str | None = None  # when the object turns out not to have the first
    sure: bool = True  # the first is there, or nothing is; False: only the object knows


class Rules:
    """The decisions of one policy; :class:`~netobj.core.access.Policy` is what others use."""

    def __init__(self, config: Config, side: str, local: bool | None = None) -> None:
        self._config = config
        self._local = is_local(config.endpoints) if local is None else local
        self._side = side
        self._prefix = ""
        if config.allow_exposed_attrs and _is_usable(config.exposed_prefix):
            self._prefix = config.exposed_prefix
        self._open = {
            Access.GET: config.allow_getattr,
            Access.SET: config.allow_setattr,
            Access.DELETE: config.allow_delattr,
        }
        self._readable = config.allow_getattr
        # By id, not in a WeakKeyDictionary: a metaclass may define __hash__ and __eq__.
        self._facts: dict[int, TypeFacts] = {}
        _all_rules.add(self)

    def forget(self) -> None:
        """From here on names may be hidden by marks, so nothing may be known of one."""
        self._facts.clear()

    @property
    def exposed_prefix(self) -> str:
        """The prefix that exposes names, or "" where none does."""
        return self._prefix

    def _facts_of(self, tp: type) -> TypeFacts:
        facts = self._facts.get(id(tp))
        if facts is None or facts.ref() is not tp:
            table, key = self._facts, id(tp)
            facts = TypeFacts(tp, weakref.ref(tp, lambda _: table.pop(key, None)))
            table[key] = facts
        return facts

    def _admit(self, obj: object, name: str, access: Access) -> None:
        """Refuse what is refused on every object: names of other types, closed gates."""
        self._check_name(obj, name, access)
        if not self._open[access]:
            raise self._refusal(obj, name, access, f"{GATES[access]} is off")
        if name in FORMATS and not self._config.allow_all_attrs and _is_text(obj):
            rule = "it reads any attribute (allow_all_attrs would open it)"
            raise self._refusal(obj, name, access, rule)
        if issubclass(type(obj), type) and not self._config.allow_all_attrs:
            if name in inner_names(obj):  # type: ignore[arg-type]
                raise self._refusal(obj, name, access, _OWN_AFFAIR)

    def _by_type(self, tp: type, facts: TypeFacts, name: str) -> str | None:
        """The real name for *name*, where no look at the object is needed to know it.

        What rests on a mark is not remembered: the marked attribute may be replaced.
        """
        known = facts.names.get(name)
        if known is not None:
            return known
        found = find(tp, name)
        if self._is_open(name, facts):
            return self._remember(facts, name, name) if found is not MISSING else None
        if facts.is_class or facts.is_module:
            return None
        if found is not MISSING and self._counts(name, found):
            return name
        prefixed = self._prefix + name
        if self._prefix and find(tp, prefixed) is not MISSING:
            return self._remember(facts, name, prefixed)
        return None

    def _note_method(self, tp: type, facts: TypeFacts, name: str, real: str) -> None:
        """Remember what *name* stands for, if it is a function of *tp*, to be called."""
        function: Any = find(tp, real)
        if type(function) is not FunctionType or facts.computed or facts.is_class:
            return
        mark = function.__dict__.get(MARK)
        if mark is not None and mark != PLAIN:  # there is more to do than to call it
            return
        if len(facts.methods) < _MAX_CACHED_NAMES and not is_dunder(name):
            facts.methods[name] = KnownMethod(real, weakref.ref(function), mark)

    def _remember(self, facts: TypeFacts, name: str, real: str) -> str:
        if not HIDING and len(facts.names) < _MAX_CACHED_NAMES:
            facts.names[name] = real
        return real

    def _decide(self, obj: object, facts: TypeFacts, name: str, access: Access) -> Choice:
        """What *name*, once admitted, may stand for, with a look at the object."""
        on_type, own = find(type(obj), name), held(obj, facts, name)
        is_open = self._is_open(name, facts)
        if is_open and own is not MISSING and not facts.is_class:
            return Choice(name)
        if not is_open and not self._is_marked(facts, name, on_type, own):
            if self._has(obj, facts, self._prefix + name):
                return Choice(self._prefix + name)
            if self._prefix and facts.dynamic:
                return Choice(self._prefix + name, sure=False)
            raise self._refusal(obj, name, access)
        return self._choose_open(obj, facts, name, on_type is not MISSING or own is not MISSING)

    def _has(self, obj: object, facts: TypeFacts, prefixed: str) -> bool:
        """Whether *prefixed* lies in the type or the object; no, where no prefix is in force."""
        return self._prefix != "" and (
            find(type(obj), prefixed) is not MISSING or held(obj, facts, prefixed) is not MISSING
        )

    def _choose_open(self, obj: object, facts: TypeFacts, name: str, exists: bool) -> Choice:
        """*name* may be reached as it is; which real name does it stand for?"""
        prefixed = self._prefix + name
        prefixed_exists = self._has(obj, facts, prefixed)
        second = prefixed if prefixed_exists or (self._prefix and facts.dynamic) else None
        if exists:
            return Choice(name, second)
        if prefixed_exists and not facts.dynamic:
            return Choice(prefixed)
        bare = name.removeprefix(self._prefix)
        on_type, own = find(type(obj), bare), held(obj, facts, bare)
        if bare != name and self._is_marked(facts, bare, on_type, own):
            return Choice(bare)
        return Choice(name, second, sure=second is None)

    def _is_open(self, name: str, facts: TypeFacts) -> bool:
        """Whether *name* is open by how it is spelt, on every object of the type of *facts*."""
        config = self._config
        return (
            config.allow_all_attrs
            or (self._prefix != "" and name.startswith(self._prefix))
            or (config.allow_safe_attrs and name in config.safe_attrs)
            or (
                config.allow_public_attrs
                and not (name.startswith("_") or facts.closed or name in facts.inner)
                and name not in FRAMES
            )
        )

    def _is_special_open(self, name: str) -> bool:
        """The same of a special method."""
        config = self._config
        return config.allow_all_attrs or (config.allow_safe_attrs and name in config.safe_attrs)

    def _is_marked(self, facts: TypeFacts, name: str, on_type: object, own: object) -> bool:
        """Whether what lies under *name* in the class (or class object, or module) is marked.

        In an instance's ``__dict__`` marks do not count: there, decorators keep the functions
        that they guard. Where a class object or module and its type both have the name, which
        of them is meant is not known without asking, so both have to be marked.
        """
        if facts.is_class or facts.is_module:
            if own is not MISSING:
                both = on_type is MISSING or self._counts(name, on_type)
                return both and self._counts(name, own)
        return on_type is not MISSING and self._counts(name, on_type)

    def _counts(self, name: str, attribute: object) -> bool:
        if type(attribute) is MethodDescriptorType and attribute in STEPS:
            return self._is_special_open("__next__")
        # functools.wraps copies marks, and leaves the marked function itself in __wrapped__.
        if not self._config.allow_exposed_attrs or (is_dunder(name) and name not in SPECIAL_INDEX):
            return False
        exposure = exposure_of(attribute)
        if exposure is None or exposure.prefix not in (None, self._config.exposed_prefix):
            return False
        return not (HIDING and self._hides(name, exposure))

    # Marks that hide: programs without any never come here

    def _hides(self, real: str, exposure: Exposure | None) -> bool:
        """Whether the mark of what is called *real* here takes it from under that name."""
        if exposure is None:
            return False
        if exposure.local_only and not self._local:
            return True
        if exposure.name is None or self._config.allow_all_attrs:
            return False
        return self._bare(real) != exposure.name and self._is_in_force(exposure)

    def _is_in_force(self, exposure: Exposure) -> bool:
        return self._config.allow_exposed_attrs and exposure.prefix in (
            None,
            self._config.exposed_prefix,
        )

    def _renames(self, exposure: Exposure | None, name: str) -> bool:
        """Whether this mark puts something under *name* for this peer."""
        return (
            exposure is not None
            and exposure.name == name
            and self._is_in_force(exposure)
            and (self._local or not exposure.local_only)
        )

    def _by_mark(self, obj: object, facts: TypeFacts, name: str, access: Access) -> str | None:
        """The real name for *name*, where marks decide; None where they say nothing of it.

        Raises, as for a name that is not there, where a mark hides it.
        """
        hidden, seen = False, None
        for real in (name, self._prefix + name, name.removeprefix(self._prefix)):
            attribute = self._lying(obj, facts, real)
            if attribute is MISSING:
                continue
            if self._hides(real, exposure_of(attribute)):
                hidden = True
            elif seen is None and (self._is_open(real, facts) or self._counts(real, attribute)):
                seen = real
        if seen is None:
            for real, attribute in self._attributes(obj, facts).items():
                if self._renames(exposure_of(attribute), name):
                    return real
        if hidden and seen is None:
            if self._is_open(name, facts):  # then it is the interpreter that misses it
                raise AttributeError(f"{type_name(type(obj))!r} object has no attribute {name!r}")
            raise self._refusal(obj, name, access)
        return seen if hidden else None

    def _lying(self, obj: Any, facts: TypeFacts, name: str) -> Any:
        """What lies under *name* there, see :meth:`_attributes`."""
        if facts.is_module:
            return (instance_dict(obj) or {}).get(name, MISSING)
        return find(obj if facts.is_class else type(obj), name)

    def _attributes(self, obj: Any, facts: TypeFacts) -> Mapping[str, Any]:
        """What lies in the class of *obj*, or in the class or module that it is."""
        if facts.is_module:
            return instance_dict(obj) or {}
        return class_attributes(obj if facts.is_class else type(obj))

    def renamed(self, tp: type, name: str) -> Iterator[object]:
        """What marks put under *name* in objects of *tp*, as it lies there."""
        for attribute in class_attributes(tp).values():
            if self._renames(exposure_of(attribute), name):
                yield attribute

    def _as_shown(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """*attributes* without what marks hide, and with what they rename under its new name."""
        shown: dict[str, Any] = {}
        for real, attribute in attributes.items():
            exposure = exposure_of(attribute) if type(real) is str else None
            if not self._hides(real, exposure):
                shown.setdefault(real, attribute)
            elif exposure is not None and self._renames(exposure, exposure.name or ""):
                shown[exposure.name or ""] = attribute
        return shown

    def _bare(self, real: str) -> str:
        """*real* without the prefix, unless it is nothing but that."""
        return (real.removeprefix(self._prefix) or real) if self._prefix else real

    def _special_name(self, tp: type, name: str) -> str | None:
        """What the special method *name* is really called in *tp*; None where refused."""
        if type(name) is not str or name not in SPECIAL_INDEX:
            return None
        if name == "__call__":  # who holds a reference to a callable may call it
            return name
        if not self._open[Access.GET]:
            return None
        found = find(tp, name)
        if HIDING and found is not MISSING and self._hides(name, exposure_of(found)):
            return None
        if self._is_special_open(name) or (found is not MISSING and self._counts(name, found)):
            return name
        prefixed = self._prefix + name
        return prefixed if self._prefix and find(tp, prefixed) is not MISSING else None

    def _hook(self, obj: object, name: str, access: Access) -> Callable[..., Any]:
        """The object's own rule for *access*, looked up on its type."""
        self._check_name(obj, name, access)
        for hook in HOOKS[access]:
            found = find(type(obj), hook)
            if found is not MISSING and found is not None:
                bound: Callable[..., Any] = bind(found, obj)
                return bound
        rule = f"the object has its own access rule, which has no {HOOKS[access][0]}"
        raise self._refusal(obj, name, access, rule)

    # Refusals

    def _check_name(self, obj: object, name: object, access: Access) -> None:
        if type(name) is str:
            return
        rule = "a name must be exactly a str"
        if issubclass(type(name), bytes | bytearray):
            rule += ": decode the bytes first"
        what = f"an attribute named by {describe(name)}"
        raise AccessDenied(f"{self._side} refuses to {access.value} {what} {_of(obj)}: {rule}")

    def _refusal(
        self, obj: object, name: object, access: Access, rule: str | None = None
    ) -> AccessDenied:
        # The peer's name is repeated only as an exact str: a repr may run user code.
        shown = describe(name)
        if type(name) is str:
            shown = repr(name if len(name) <= _MAX_SHOWN else name[:_MAX_SHOWN] + "...")
            rule = rule or self._closed_by(name, obj)
        return AccessDenied(
            f"{self._side} refuses to {access.value} {shown} {_of(obj)}: {rule or 'no such name'}"
        )

    def _closed_by(self, name: str, obj: object) -> str:
        if name in SPECIAL_INDEX and not self._open[Access.GET]:
            return "allow_getattr is off"
        if name in self._config.safe_attrs:
            return "allow_safe_attrs is off"
        if name.startswith("_"):
            return "names that begin with '_' are private (allow_all_attrs would open it)"
        if name in FRAMES:
            return "it leads to the globals of a function (allow_all_attrs would open it)"
        if name in self._facts_of(type(obj)).inner:
            return _OWN_AFFAIR
        if self._config.allow_public_attrs and self._facts_of(type(obj)).closed:
            return "what modules and connections hold is not public (allow_all_attrs would open it)"
        exposed = "allow_exposed_attrs is off"
        if self._config.allow_exposed_attrs:
            exposed = "only names marked @exposed are open"
        if self._prefix:
            exposed = f"only names marked @exposed or with the prefix {self._prefix!r} are open"
        return f"{exposed} (allow_public_attrs would open it)"


_all_rules: Final[weakref.WeakSet[Rules]] = weakref.WeakSet()


def _forget_all() -> None:
    for rules in list(_all_rules):
        rules.forget()


when_hiding.append(_forget_all)


def host_of(endpoints: Any) -> str:
    """The address of the peer, without its port; "local" where it has none.

    >>> host_of((("10.0.0.1", 80), ("10.0.0.2", 4711))), host_of(None)
    ('10.0.0.2', 'local')
    """
    if endpoints is None or not isinstance(endpoints[1], tuple):
        return "local"
    return str(endpoints[1][0])


def is_local(endpoints: Any) -> bool:
    """Whether *endpoints*, (own address, peer's address), are those of a peer on this machine.

    That is: by a Unix socket or the loopback device, or (None) by pipes or within the process.
    What has only been forwarded from here, by a proxy or through SSH, seems to come from here.

    >>> is_local((("::1", 80, 0, 0), ("::1", 4711, 0, 0))), is_local(None)
    (True, True)
    >>> is_local((("10.0.0.1", 80), ("10.0.0.2", 4711)))
    False
    """
    if endpoints is None:
        return True
    own, peer = endpoints
    if isinstance(own, str | bytes) or isinstance(peer, str | bytes):  # paths
        return True
    host = peer[0] if isinstance(peer, tuple) and peer else None
    return (isinstance(host, str) and host.startswith(("127.", "::ffff:127."))) or host == "::1"


def class_attributes(tp: type) -> dict[str, Any]:
    """All that *tp* and its bases but ``object`` hold, as it lies there."""
    found: dict[str, Any] = {}
    for base in reversed(mro_of(tp)[:-1]):
        found.update(class_dict(base))
    return found


def inner_names(tp: type) -> frozenset[str]:
    """The names in *tp* that are its own affair."""
    found = find(tp, INNER)
    return found if type(found) is frozenset else _NO_NAMES


_NO_NAMES: Final[frozenset[str]] = frozenset()
_OWN_AFFAIR: Final = "it is the service's own (allow_all_attrs would open it)"


def has_hooks(tp: type) -> bool:
    """Whether *tp* has an access rule of its own."""
    return any(find(tp, hook) is not MISSING for hooks in HOOKS.values() for hook in hooks)


def held(obj: Any, facts: TypeFacts, name: str) -> Any:
    """What *obj* itself, not its type, holds under *name*."""
    if facts.is_class:
        return find(obj, name)
    if not facts.has_dict:
        return MISSING
    return object.__getattribute__(obj, "__dict__").get(name, MISSING)


def _is_text(obj: Any) -> bool:
    """Whether *obj* is a str, a ``collections.UserString``, or a class of such."""
    kind = obj if issubclass(type(obj), type) else type(obj)
    return any(base is str or base is UserString for base in mro_of(kind))


def _of(obj: object) -> str:
    return f"of {describe(obj)}"


def _is_usable(prefix: str) -> bool:
    """Whether *prefix* picks names: "", "_" and "__..." would open ``__class__`` and its like."""
    return prefix.strip("_") != "" and not prefix.startswith("__")


def is_dunder(name: str) -> bool:
    return len(name) > 4 and name.startswith("__") and name.endswith("__")
