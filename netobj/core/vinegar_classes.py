"""Exception classes: what the builtin ones hold, and which class stands for a remote one.

No code of a class is run here to look at it or to make an instance: everything is read through
the descriptors of the builtin classes, so a property or ``__new__`` that somebody wrote is
never entered.
"""

from __future__ import annotations

import builtins
import copyreg
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, Final, TypeGuard, cast

from netobj import errors
from netobj.core.config import Config
from netobj.core.lookup import MISSING, class_dict, find, mro_of

BUILTINS: Final[Mapping[str, type[BaseException]]] = {
    name: value
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
}
OWN: Final[Mapping[str, type[BaseException]]] = {n: vars(errors)[n] for n in errors.__all__}
GROUP: Final = BUILTINS.get("BaseExceptionGroup")  # None before Python 3.11
EXCEPTION_GROUP: Final = BUILTINS.get("ExceptionGroup")
MAX_MADE_CLASSES: Final = 1000

_UNICODE_FIELDS: Final = ("encoding", "object", "start", "end", "reason")
# AttributeError.obj is left out since it would hand out a reference, and ImportError.name_from
# since the interpreter, looking for suggestions, imports the module that such an error names.
_FIELD_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "OSError": ("errno", "strerror", "filename", "filename2", "winerror", "characters_written"),
    "ImportError": ("msg", "name", "path"),
    "StopIteration": ("value",),
    "SystemExit": ("code",),
    "SyntaxError": ("msg", "filename", "lineno", "offset", "text", "end_lineno", "end_offset"),
    "UnicodeDecodeError": _UNICODE_FIELDS,
    "UnicodeEncodeError": _UNICODE_FIELDS,
    "UnicodeTranslateError": _UNICODE_FIELDS[1:],
    "NameError": ("name",),
    "AttributeError": ("name",),
}
_FIELDS: Final[Mapping[type, Mapping[str, Any]]] = {
    BUILTINS[owner]: {n: vars(BUILTINS[owner])[n] for n in names if n in vars(BUILTINS[owner])}
    for owner, names in _FIELD_NAMES.items()
}
_BUILTIN_IDS: Final = frozenset(map(id, BUILTINS.values()))  # no metaclass's __hash__ is asked
_MODULE_DICT: Final = vars(ModuleType)["__dict__"].__get__
instance_dict: Final[Callable[[BaseException], dict[str, Any]]] = vars(BaseException)[
    "__dict__"
].__get__


def builtin_ancestors(cls: type) -> list[type[BaseException]]:
    """The builtin exception classes that *cls* is or inherits from, nearest first.

    >>> builtin_ancestors(type("Missing", (KeyError,), {}))[:2]
    [<class 'KeyError'>, <class 'LookupError'>]
    """
    return [base for base in mro_of(cls) if id(base) in _BUILTIN_IDS]


def native_fields(cls: type) -> dict[str, Any]:
    """name -> descriptor of the fields that *cls* has from builtin exception classes.

    >>> sorted(native_fields(ModuleNotFoundError))
    ['msg', 'name', 'path']
    """
    found: dict[str, Any] = {}
    for owner, fields in _FIELDS.items():
        if issubclass(cls, owner):
            found.update(fields)
    return found


def new_instance(cls: type[BaseException]) -> BaseException:
    """An empty instance of *cls*, no code of which is run; ``TypeError`` where there is no way.

    >>> new_instance(FileNotFoundError).errno is None
    True
    """
    for base in builtin_ancestors(cls):
        try:
            return base.__new__(cls)
        except TypeError:  # the memory of cls is laid out as another base of it says
            continue
    raise TypeError(f"no builtin exception class can make a {cls.__name__}")


def restore_attributes(exc: BaseException, attributes: Iterable[tuple[str, Any]]) -> None:
    """Give *exc* the attributes that its remote twin had, skipping those that could do harm.

    Skipped are names with a leading underscore and names that the class already uses for a
    method or another descriptor, which an instance attribute would hide.

    >>> error = OSError()
    >>> restore_attributes(error, [("errno", 2), ("tries", 3), ("with_traceback", print)])
    >>> error.errno, error.tries, error.with_traceback is print
    (2, 3, False)
    """
    fields = native_fields(type(exc))
    values = dict(attributes)
    if isinstance(exc, SyntaxError):
        _keep_inside(values)
    if isinstance(exc, UnicodeError) and not _unicode_fields_are_sound(exc, values):
        fields = {}
    for name, value in values.items():
        if name in fields:
            _restore_field(exc, name, fields[name], value)
        elif not name.startswith("_") and not _is_descriptor(type(exc), name):
            instance_dict(exc)[name] = value


def _restore_field(exc: BaseException, name: str, descriptor: Any, value: object) -> None:
    if value is None:  # None is what an unset field reads as; once set, str() would show it
        return
    if name != "value" and type(value) not in _KINDS.get(name, _SHOWN):
        return  # whatever shows the exception would ask it for something
    try:
        descriptor.__set__(exc, value)
    except (TypeError, ValueError, OverflowError, AttributeError):
        pass  # e.g. an int that does not fit the C field: the field stays unset


_SHOWN: Final = frozenset((bool, int, float, str, bytes))
_KINDS: Final[Mapping[str, set[type]]] = {
    "characters_written": {int},
    **{name: {int} for name in ("lineno", "offset", "end_lineno", "end_offset")},
    **{name: {str} for name in ("name", "path", "text")},
}
"""The types that a field may have, if not any that shows itself without asking."""


_MARKS: Final = 100  # beyond the text


def _keep_inside(values: dict[str, Any]) -> None:
    """Whoever shows a SyntaxError draws as many marks below its text as it says."""
    text = values.get("text")
    width = len(text) + _MARKS if type(text) is str else 0
    for name in ("offset", "end_offset"):
        if not (type(values.get(name)) is int and -1 <= values[name] <= width):
            values.pop(name, None)
            values.pop("end_offset", None)


def _unicode_fields_are_sound(exc: UnicodeError, values: Mapping[str, object]) -> bool:
    # str() of these reads memory at object[start] without asking what object is.
    text = bytes if isinstance(exc, UnicodeDecodeError) else str
    expected = {"encoding": str, "object": text, "start": int, "end": int, "reason": str}
    if isinstance(exc, UnicodeTranslateError):
        del expected["encoding"]
    if any(type(values.get(name)) is not kind for name, kind in expected.items()):
        return False
    return all(cast(int, values[name]) >= 0 for name in ("start", "end"))


def _is_descriptor(cls: type, name: str) -> bool:
    for base in mro_of(cls):
        namespace = class_dict(base)
        if name in namespace:
            return any("__get__" in class_dict(b) for b in mro_of(type(namespace[name])))
    return False


class ClassFinder:
    """Chooses the class that stands here for a remote exception class; makes it if need be.

    >>> finder = ClassFinder(Config())
    >>> finder.find("shop", "SoldOut", ("LookupError",), is_exception=True).__mro__[1:3]
    (<class 'netobj.errors.GenericException'>, <class 'LookupError'>)
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._made: dict[tuple[Any, ...], type[BaseException]] = {}

    def find(
        self,
        module: str,
        qualname: str,
        bases: tuple[str, ...],
        *,
        is_exception: bool,
        is_group: bool = False,
    ) -> type[BaseException]:
        """The class for ``module.qualname``; always a subclass of ``Exception``.

        *bases* are the names of its builtin ancestors, *is_exception* says whether it is an
        ``Exception`` at its home, *is_group* whether it must be an ``ExceptionGroup`` here.
        """
        found = self._known(module, qualname) if is_exception or is_group else None
        if found is not None and is_group is is_group_class(found):
            return found
        return self._make(module, qualname, self._bases(bases, is_exception, is_group))

    def _known(self, module: str, qualname: str) -> type[BaseException] | None:
        found: object = None
        if module == "builtins":
            # A group that kept only Exceptions on its way here is an ExceptionGroup.
            name = "ExceptionGroup" if qualname == "BaseExceptionGroup" else qualname
            found = BUILTINS.get(name)
        elif module == errors.__name__:
            found = OWN.get(qualname)
        elif self.config.instantiate_custom_exceptions:
            found = self._custom(module, qualname)
        if _is_class(found) and issubclass(found, Exception):
            return found
        return None

    def _custom(self, module: str, qualname: str) -> object:
        if module not in sys.modules and self.config.import_custom_exceptions:
            _import_quietly(module)
        found: object = sys.modules.get(module)
        if not issubclass(type(found), ModuleType):
            return None
        namespace = _MODULE_DICT(found)
        for name in qualname.split("."):
            found = namespace.get(name)
            if not _is_class(found):
                return None
            namespace = class_dict(found)
        return found

    @staticmethod
    def _bases(names: tuple[str, ...], is_exception: bool, is_group: bool) -> tuple[type, ...]:
        top = errors.GenericException if is_exception else errors.RemoteBaseException
        if is_group and EXCEPTION_GROUP is not None:
            return (top, EXCEPTION_GROUP)
        known = dict.fromkeys(BUILTINS[name] for name in names if name in BUILTINS)
        usable = [c for c in known if issubclass(c, Exception) and not is_group_class(c)]
        nearest = (c for c in usable if not any(c in mro_of(other)[1:] for other in usable))
        return (top, *(c for c in nearest if c is not Exception))

    def _make(self, module: str, qualname: str, bases: tuple[type, ...]) -> type[BaseException]:
        key = (module, qualname, bases)
        if key in self._made:
            return self._made[key]
        if len(self._made) >= MAX_MADE_CLASSES:
            return errors.GenericException
        for some_bases in (bases, bases[:2]):
            try:
                made = _new_class(module, qualname, some_bases)
                break
            except TypeError:  # bases that do not go together
                continue
        else:
            made = _new_class(module, qualname, bases[:1])
        self._made[key] = made
        return self._made[key]

    def telling(self, cls: type[BaseException]) -> type[BaseException]:
        """*cls*, or a subclass of the same name that shows the text which came along.

        So nobody is asked where an exception is logged whose arguments are remote objects.
        """
        if tells_text(cls) or not (id(cls) in _BUILTIN_IDS or cls in OWN.values()):
            return cls
        key = (cls,)
        if key not in self._made:
            if len(self._made) >= MAX_MADE_CLASSES:
                return errors.GenericException
            self._made[key] = _new_class(cls.__module__, cls.__qualname__, (cls,))
        return self._made[key]


class RemoteClass(type):
    """The class of the exception classes made here; the module of such a one is a peer's word.

    So it is pickled, and with it its exceptions, as what it stands for on this side: pickle would
    import that module.
    """


def _same(cls: type) -> type:
    return cls


def _reduce_class(cls: type) -> tuple[Any, ...]:
    known = next(base for base in mro_of(cls) if type(base) is type)
    return _same, (known,)


copyreg.pickle(RemoteClass, _reduce_class)


def _new_class(module: str, qualname: str, bases: tuple[type, ...]) -> type[BaseException]:
    namespace = {
        "__module__": module,
        "__qualname__": qualname,
        "__str__": _remote_str,
        "__repr__": _remote_repr,
    }
    made: Any = RemoteClass(qualname.rpartition(".")[2], bases, namespace)
    return cast("type[BaseException]", made)


def tells_text(cls: type) -> bool:
    """Whether exceptions of *cls* show the text that came along; what was made here does."""
    return type(cls) is RemoteClass or cls in _GENERIC


_GENERIC: Final = (errors.GenericException, errors.RemoteBaseException)


def _remote_str(self: BaseException) -> str:
    text = instance_dict(self).get("_remote_text")
    return text if isinstance(text, str) else BaseException.__str__(self)


def _remote_repr(self: BaseException) -> str:
    if holds_remote(self.args):
        return f"{type(self).__name__}({_remote_str(self)!r})"
    return BaseException.__repr__(self)


_DEEPEST: Final = 4
_MOST_ITEMS: Final = 1000


def holds_remote(value: Any, depth: int = 0) -> bool:
    """Whether *value* is something remote, or a container with such a thing, or with too much."""
    kind = type(value)
    if kind is dict:
        value = (*value.keys(), *value.values())
    elif kind not in (tuple, list, set, frozenset):
        return find(kind, "____handle__") is not MISSING
    if depth > _DEEPEST or len(value) > _MOST_ITEMS:
        return True
    return any(holds_remote(item, depth + 1) for item in value)


def _is_class(value: object) -> TypeGuard[type]:
    return issubclass(type(value), type)  # unlike isinstance, deaf to what __class__ says


def is_group_class(cls: type) -> bool:
    """Whether *cls* is a ``BaseExceptionGroup`` of this Python; never before 3.11.

    >>> is_group_class(ValueError)
    False
    """
    return GROUP is not None and issubclass(cls, GROUP)


def _import_quietly(module: str) -> None:
    try:
        __import__(module)
    except KeyboardInterrupt:
        raise
    except BaseException:  # scripts call sys.exit() when they are imported
        pass
