"""What a peer may reach: (object, name, operation) -> the real name, or a refusal.

A :class:`Policy` reads a :class:`~netobj.core.config.Config` once and answers for one side of one
connection. What it decides, it decides from what lies in classes and in ``__dict__``s; user code
runs only where a class answers for names that nobody can see (``__getattr__``, an overridden
``__getattribute__``), and where a class brings an access rule of its own::

    the type has _netobj_getattr, _netobj_setattr or _netobj_delattr (or _rpyc_...)
        -> that rule alone; what it has no hook for is refused
    the operation's gate is off: allow_getattr, allow_setattr, allow_delattr
        -> refused
    the name is open: allow_all_attrs, allow_public_attrs, allow_safe_attrs,
    it begins with exposed_prefix, or it is marked @exposed
        -> the name, or prefix + name where only that exists
    prefix + name exists
        -> prefix + name
    else
        -> refused
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partialmethod
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    WrapperDescriptorType,
)
from typing import Any, Final, TypeVar, cast

from netobj.core.config import Config
from netobj.core.consts import SPECIALS
from netobj.core.exposure import HIDING, MARK, MOUNTED, Mounted, exposure_of
from netobj.core.lookup import MISSING, bind, class_dict, describe, find, instance_dict, mro_of
from netobj.core.rules import (
    Access,
    Rules,
    TypeFacts,
    class_attributes,
    held,
    is_dunder,
    is_local,
)

__all__ = ["Access", "Policy", "policy_for"]

D = TypeVar("D")


class Policy(Rules):
    """The access rules of one side of a connection.

    *side* says in error texts who refuses, e.g. ``"server"``. Safe to use from many threads
    without a lock: all that it keeps is a cache that each thread would fill with the same
    answers, in single dict operations, so that a race at worst computes one twice. So connections
    with equal settings share one, see :func:`policy_for`.

    Marks, prefixes and attributes may come and go in a class while connections live; the cache
    holds only names whose openness does not depend on the class. Which types have rules of
    their own is read once for each type and policy, and again when it is described anew.

    >>> class Account:
    ...     def exposed_balance(self) -> int: return 7
    ...     def wipe(self) -> None: ...
    >>> from netobj.core.config import Config
    >>> policy = Policy(Config(), "server")
    >>> policy.getattr(Account(), "balance")()
    7
    >>> policy.getattr(Account(), "wipe")
    Traceback (most recent call last):
    netobj.errors.AccessDenied: server refuses to read 'wipe' of a 'Account' object: only names \
marked @exposed or with the prefix 'exposed_' are open (allow_public_attrs would open it)
    """

    # Operations, end to end

    def getattr(self, obj: object, name: str) -> Any:
        """The attribute that the peer calls *name*; raises ``AccessDenied`` where refused."""
        tp = type(obj)
        facts = self._facts.get(id(tp))
        if facts is not None and facts.ref() is tp and type(name) is str and self._readable:
            real = facts.names.get(name)
            if real is not None:
                try:
                    return getattr(obj, real)
                except AttributeError as error:
                    return self._read_other(obj, name, real, error)
        return self._read(obj, name)

    def known_method(self, obj: object, name: str) -> MethodType | None:
        """What :meth:`getattr` would return, where it is a method that was found there before.

        Its function is still the same, and so is the mark, which says no more than that it is
        open, if there is one. None where it has to be looked for.
        """
        tp = type(obj)
        facts = self._facts.get(id(tp))
        known = None if facts is None or facts.ref() is not tp else facts.methods.get(name)
        if known is None:
            return None
        real, reference, mark = known
        function = None
        for base in mro_of(tp):
            function = class_dict(base).get(real)
            if function is not None:
                break
        if function is None or function is not reference():
            return None
        if function.__dict__.get(MARK) is not mark:
            return None
        method = getattr(obj, real)
        if type(method) is MethodType and method.__func__ is function:
            return method
        return None

    def setattr(self, obj: object, name: str, value: object) -> None:
        """Set the attribute that the peer calls *name*; raises ``AccessDenied`` where refused."""
        if self.has_own_rules(obj):
            self._hook(obj, name, Access.SET)(name, value)
        else:
            setattr(obj, self.attribute(obj, name, Access.SET), value)

    def delattr(self, obj: object, name: str) -> None:
        """Delete the attribute that the peer calls *name*; raises ``AccessDenied`` if refused."""
        if self.has_own_rules(obj):
            self._hook(obj, name, Access.DELETE)(name)
        else:
            delattr(obj, self.attribute(obj, name, Access.DELETE))

    def special_method(self, obj: Any, name: str) -> Callable[..., Any]:
        """The special method *name* of *obj*, to be called with its operands.

        As Python does, it is looked up on the type. For ``__call__`` it is *obj* itself. Raises
        ``AccessDenied`` where refused, ``AttributeError`` where the type has none.
        """
        if self.has_own_rules(obj):
            hooked: Callable[..., Any] = self._hook(obj, name, Access.GET)(name)
            return hooked
        real = self._special_name(type(obj), name)
        if real is None:
            raise self._refusal(obj, name, Access.GET)
        if real == "__call__":
            called: Callable[..., Any] = obj
            return called
        found = find(type(obj), real)
        if found is MISSING or found is None:
            raise AttributeError(f"{describe(obj)} has no special method {name}")
        method: Callable[..., Any] = bind(found, obj)
        return method

    # Decisions

    def has_own_rules(self, obj: object) -> bool:
        """Whether the type of *obj* governs access to it, whatever the settings say."""
        return self._facts_of(type(obj)).own_rules

    @property
    def opens_all(self) -> bool:
        """Whether the peer may do everything."""
        return self._config.allow_all_attrs

    @property
    def shows_specials(self) -> bool:
        """Whether the special methods of objects are open by a setting."""
        return self._open[Access.GET] and self._is_special_open("__eq__")

    def attribute(self, obj: object, name: str, access: Access) -> str:
        """The real name of the attribute that the peer calls *name*, for *access* to it.

        Raises ``AccessDenied`` (an ``AttributeError``) that names the object's type, the name,
        the rule and the side. That a name is answered does not say that the attribute exists.
        """
        facts = self._facts_of(type(obj))
        if facts.own_rules:
            raise self._refusal(obj, name, access, "the object has its own access rule")
        self._admit(obj, name, access)
        real = self._by_mark(obj, facts, name, access) if HIDING else None
        if real is None:
            real = self._by_type(type(obj), facts, name)
        if real is not None:
            return real
        choice = self._decide(obj, facts, name, access)
        if choice.sure or hasattr(obj, choice.first):
            return choice.first
        if choice.second is None:
            raise self._refusal(obj, name, access)
        return choice.second if hasattr(obj, choice.second) else choice.first

    def special(self, obj: object, name: str) -> bool:
        """Whether the special method *name* may be used on *obj* (its own rule is asked)."""
        if not self.has_own_rules(obj):
            return self._special_name(type(obj), name) is not None
        try:
            self._hook(obj, name, Access.GET)(name)
        except AttributeError:
            return False
        return True

    def _read(self, obj: object, name: str) -> Any:
        facts = self._facts_of(type(obj))
        if facts.own_rules:
            return self._hook(obj, name, Access.GET)(name)
        self._admit(obj, name, Access.GET)
        if HIDING:
            marked = self._by_mark(obj, facts, name, Access.GET)
            if marked is not None:
                return getattr(obj, marked)
        real = self._by_type(type(obj), facts, name)
        if real is not None:
            self._note_method(type(obj), facts, name, real)
            try:
                return getattr(obj, real)
            except AttributeError as error:
                return self._read_other(obj, name, real, error)
        choice = self._decide(obj, facts, name, Access.GET)
        try:
            return getattr(obj, choice.first)
        except AttributeError as error:
            if choice.second is not None:
                return self._read_other(obj, name, choice.first, error)
            if choice.sure:
                raise
        raise self._refusal(obj, name, Access.GET)

    def _read_other(self, obj: object, name: str, failed: str, error: AttributeError) -> Any:
        """*failed* is not there (any more): read the other name, else raise *error*."""
        choice = self._decide(obj, self._facts_of(type(obj)), name, Access.GET)
        for real in choice[:2]:
            if real is not None and real != failed:
                try:
                    return getattr(obj, real)
                except AttributeError:
                    pass
        raise error

    # What descriptions and dir() show

    def described(self, tp: type, describe: Callable[[type, Policy], D]) -> D:
        """What *describe* says of *tp*; asked again only once *tp* or a base holds other things."""
        facts, holds = self._facts_of(tp), _contents(tp)
        if facts.holds != holds:
            self._facts.pop(id(tp), None)
            facts = self._facts_of(tp)
            facts.description = describe(tp, self)
            facts.holds = holds
        return cast("D", facts.description)

    def methods_of(self, tp: type) -> frozenset[str]:
        """The names of the routines that the peer may read on plain instances of *tp*.

        As the peer sees them, without the prefix; without special and other dunder names and
        what ``object`` has. Nothing for types that compute their attributes
        (``__getattribute__``) or have their own rules.
        """
        facts = self._facts_of(tp)
        if facts.own_rules or facts.computed:
            return frozenset()
        return frozenset(self._routines(class_attributes(tp), _is_class_routine, facts))

    def mounted_in(self, tp: type) -> Iterator[tuple[str, object]]:
        """What is mounted in *tp* and may be read, by name."""
        facts = self._facts_of(tp)
        if facts.own_rules or facts.computed or not self._open[Access.GET]:
            return
        for name, attribute in class_attributes(tp).items():
            if type(attribute) is Mounted and self._counts(name, attribute):
                yield name, attribute.what

    def methods_of_object(self, obj: object) -> frozenset[str]:
        """As :meth:`methods_of`, of what one module or class object itself holds."""
        facts = self._facts_of(type(obj))
        if facts.own_rules or facts.computed:
            return frozenset()
        if facts.is_class:
            found = self._routines(class_attributes(cast("type", obj)), _is_class_routine, facts)
        elif facts.is_module:
            found = self._routines(dict(instance_dict(obj) or {}), _is_routine, facts)
        else:
            return self.methods_of(type(obj))
        # What the metaclass has too may hide the class's own.
        return frozenset(
            name
            for name in found
            if find(type(obj), name) is MISSING
            and (not self._prefix or find(type(obj), self._prefix + name) is MISSING)
        )

    def specials_of(self, tp: type) -> frozenset[str]:
        """The special methods that *tp* has beyond ``object``'s and that the policy allows.

        And ``__repr__`` in any case: where it is ``object``'s, it still is the remote one that
        tells a person what an object is.
        """
        if self._facts_of(tp).own_rules:
            return frozenset()
        return frozenset(
            name
            for name in SPECIALS
            if (real := self._special_name(tp, name)) is not None
            and (name == "__repr__" or _has_own_special(tp, real))
        )

    def unhashable(self, tp: type) -> bool:
        """Whether *tp* says that its instances have no hash.

        >>> from netobj.core.config import Config
        >>> Policy(Config(), "server").unhashable(list)
        True
        """
        return find(tp, "__hash__") is None

    def names(self, obj: object) -> list[str]:
        """What ``dir(obj)`` shows and the peer may read, sorted, without the prefix.

        An object with its own rules shows what its ``_netobj_dir()`` returns, else nothing.
        """
        facts = self._facts_of(type(obj))
        if facts.own_rules:
            own = find(type(obj), "_netobj_dir")
            shown = [] if own is MISSING else bind(own, obj)()
            return sorted({name for name in shown if type(name) is str})
        if not self._open[Access.GET]:
            return []
        return sorted({name for real in dir(obj) for name in self._shown_as(obj, facts, real)})

    def _shown_as(self, obj: object, facts: TypeFacts, real: object) -> Iterator[str]:
        if type(real) is not str:
            return
        on_type, own = find(type(obj), real), held(obj, facts, real)
        if HIDING:
            attribute = (
                own if (facts.is_class or facts.is_module) and own is not MISSING else on_type
            )
            exposure = exposure_of(attribute)
            if self._hides(real, exposure):
                if exposure is not None and self._renames(exposure, exposure.name or ""):
                    yield exposure.name or ""
                return
        bare = self._bare(real)
        if bare != real:
            yield bare
            if not (self._config.allow_all_attrs or self._config.allow_public_attrs):
                return
        if self._is_open(real, facts) or self._is_marked(facts, real, on_type, own):
            yield real

    def _routines(
        self,
        attributes: Mapping[str, Any],
        is_routine: Callable[[Any], bool],
        facts: TypeFacts,
    ) -> Iterator[str]:
        """The visible names under which *attributes* shows routines."""
        if not self._open[Access.GET]:
            return
        if HIDING:
            attributes = self._as_shown(attributes)
        for name in {self._bare(real) for real in attributes if type(real) is str}:
            if is_dunder(name):
                continue
            shown = attributes.get(name, MISSING)
            if shown is MISSING or not (self._is_open(name, facts) or self._counts(name, shown)):
                shown = attributes.get(self._prefix + name) if self._prefix else None
            if is_routine(shown):
                yield name


_RULES: Final = Config._fields.index("allow_delattr") + 1
_MOST_SHARED: Final = 64
_shared: Final[dict[tuple[object, ...], Policy]] = {}


def policy_for(config: Config, side: str) -> Policy:
    """The policy of a side with these settings, shared by all connections that have them."""
    rules = config[:_RULES]
    local = is_local(config.endpoints)
    policy = _shared.get((side, local, rules))
    if policy is None:
        settings: dict[str, Any] = dict(zip(Config._fields, rules, strict=False))
        # Not with *config*, which it would keep alive.
        policy = Policy(Config(**settings), side, local)
        if len(_shared) >= _MOST_SHARED:
            _shared.clear()
        _shared[side, local, rules] = policy
    return policy


def _contents(tp: type, depth: int = 8) -> int:
    """A number for what *tp* and its bases hold: which objects, under which names.

    With what is mounted there, and in there, *depth* times.
    """
    found: list[int] = []
    for base in mro_of(tp)[:-1]:
        attributes = class_dict(base)
        found += map(id, attributes)
        found += map(id, attributes.values())
        if MOUNTED:
            inner = [one.what for one in attributes.values() if type(one) is Mounted]
            found += [_contents(type(one), depth - 1) for one in inner if depth]
    return hash(tuple(found))


_ROUTINES: Final = (
    FunctionType,
    BuiltinFunctionType,
    MethodType,
    MethodDescriptorType,
    ClassMethodDescriptorType,
    WrapperDescriptorType,
)


def _is_routine(attribute: object) -> bool:
    return issubclass(type(attribute), _ROUTINES)


def _is_class_routine(attribute: Any) -> bool:
    """Whether *attribute*, which lies in a class, is a routine once it is read from there."""
    if issubclass(type(attribute), staticmethod | classmethod):
        return _is_routine(attribute.__func__)
    return type(attribute) is partialmethod or _is_routine(attribute)


def _has_own_special(tp: type, name: str) -> bool:
    found = find(tp, name)
    if found is MISSING or found is None:
        return False
    return found is not class_dict(object).get(name)
