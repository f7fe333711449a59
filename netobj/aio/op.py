"""What cannot be spelled with a reference itself, as functions to be awaited.

Names are those of :mod:`operator` and of the builtins:

>>> import asyncio, netobj
>>> from netobj.aio import op
>>> async def main():
...     async with netobj.aio.Server(netobj.SlaveService, "localhost") as server:
...         async with netobj.aio.classic.connect("localhost", server.port) as conn:
...             numbers = await conn.eval("[1, 2]")
...             await op.setitem(numbers, 0, 5)
...             return await op.eq(numbers, [5, 2]), await op.len(numbers)
>>> asyncio.run(main())
(True, 2)
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import Callable, Coroutine
from typing import Any, Final

from netobj.aio.reference import Call, Node, Reference, link_of, new_call, path, special
from netobj.core import arrays, copies
from netobj.core.boxing import ByValue
from netobj.core.consts import Op
from netobj.core.specials import is_container

_Awaitable = Coroutine[Any, Any, Any]
_CONTAINERS: Final = frozenset((list, dict, set, bytearray))

# --- attributes and items ---------------------------------------------------------------------


def getattr(ref: Any, name: builtins.str) -> Any:
    """The attribute *name*, whatever it is called."""
    return path(ref, name)


def setattr(ref: Any, name: builtins.str, value: Any) -> Call:
    """``ref.name = value``."""
    return new_call(ref, Op.SET, (name, value), {})


def delattr(ref: Any, name: builtins.str) -> Call:
    """``del ref.name``."""
    return new_call(ref, Op.DELETE, (name,), {})


def getitem(ref: Any, key: Any) -> Any:
    """``ref[key]``."""
    return path(ref, (key,))


def setitem(ref: Any, key: Any, value: Any) -> Call:
    """``ref[key] = value``."""
    return special(ref, "__setitem__", key, value)


def delitem(ref: Any, key: Any) -> Call:
    """``del ref[key]``."""
    return special(ref, "__delitem__", key)


def contains(ref: Any, item: Any) -> Call:
    """``item in ref``."""
    return special(ref, "__contains__", item)


# --- conversions --------------------------------------------------------------------------------


async def len(ref: Any) -> builtins.int:
    """``len(ref)``."""
    return builtins.int(await special(ref, "__len__"))


async def truth(ref: Any) -> bool:
    """``bool(ref)``: by ``__bool__``, else by ``__len__``, else True."""
    value = await ref
    if not is_remote(value):
        return bool(value)
    specials = value.____handle__.imported.description.specials
    for name in ("__bool__", "__len__"):
        if name in specials:
            return bool(await special(value, name))
    return True


def str(ref: Any) -> Call:
    """``str(ref)``."""
    return special(ref, "__str__")


def repr(ref: Any) -> Call:
    """``repr(ref)``, as the other side shows it."""
    return special(ref, "__repr__")


def int(ref: Any) -> Call:
    """``int(ref)``."""
    return special(ref, "__int__")


def float(ref: Any) -> Call:
    """``float(ref)``."""
    return special(ref, "__float__")


def hash(ref: Any) -> Call:
    """``hash(ref)``, as the other side computes it."""
    return special(ref, "__hash__")


async def dir(ref: Any) -> list[Any]:
    """``dir(ref)``, as the other side shows it."""
    return list(await new_call(ref, Op.DIR, (), {}))


async def isinstance(ref: Any, cls: Any) -> bool:
    """``isinstance(ref, cls)``, *cls* being a remote class."""
    return bool(await new_call(cls, Op.INSTANCE_CHECK, (ref,), {}))


async def copy_of(ref: Any) -> Any:
    """A copy of the plain data behind *ref*, made without pickle in one round trip."""
    if not is_remote(ref):
        return ref
    return copies.copy_in(link_of(ref), await new_call(ref, Op.COPY, arrays.known(), {}))


async def bytes(ref: Any) -> Any:
    """The bytes of an object with a buffer."""
    data, _, _ = await new_call(ref, Op.BUFFER, (), {})
    return data


# --- operators ------------------------------------------------------------------------------------


def _binary(
    name: builtins.str, reflected: builtins.str, local: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], _Awaitable]:
    async def operate(a: Any, b: Any) -> Any:
        a, b = await _resolved(a), await _resolved(b)
        for left, method, right in ((a, name, b), (b, reflected, a)):
            if is_remote(left):
                result = await special(left, f"__{method}__", _operand(left, right))
                if result is not NotImplemented:
                    return result
        if is_remote(a) or is_remote(b):
            if name in ("eq", "ne"):  # which every object supports
                return (a is b) == (name == "eq")
            raise TypeError(f"neither {a!r} nor {b!r} supports {name}")
        return local(a, b)

    operate.__name__ = operate.__qualname__ = local.__name__
    operate.__doc__ = f"``operator.{local.__name__}(a, b)``; either may be remote."
    return operate


async def _resolved(value: Any) -> Any:
    return await value if is_remote(value) and type(value) is not Reference else value


def _operand(target: Reference, operand: Any) -> Any:
    """A builtin container travels as a copy to a remote one, which knows only real ones."""
    description = target.____handle__.imported.description
    if type(operand) in _CONTAINERS and is_container(description):
        return ByValue(operand)
    return operand


def _unary(name: builtins.str) -> Callable[[Any], Call]:
    def operate(ref: Any) -> Call:
        return special(ref, f"__{name}__")

    operate.__name__ = operate.__qualname__ = name
    operate.__doc__ = f"``operator.{name}(ref)``."
    return operate


def _in_place(
    name: builtins.str, local: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], _Awaitable]:
    plain = _binary(name, f"r{name}", local)

    async def operate(ref: Any, operand: Any) -> Any:
        target, operand = await _resolved(ref), await _resolved(operand)
        method = f"__i{name}__"
        if is_remote(target) and method in target.____handle__.imported.description.specials:
            result = await special(target, method, _operand(target, operand))
            if result is not NotImplemented:
                return result
        return await plain(target, operand)

    operate.__name__ = operate.__qualname__ = local.__name__
    operate.__doc__ = f"``operator.{local.__name__}(ref, operand)``: what ``ref`` is afterwards."
    return operate


def is_remote(value: Any) -> bool:
    """Whether *value* stands for something remote."""
    return issubclass(type(value), Node)


def _reflecting(name: builtins.str) -> Callable[[Any, Any], _Awaitable]:
    return _binary(name, f"r{name}", vars(operator).get(name) or vars(operator)[f"{name}_"])


add, sub, mul, matmul = map(_reflecting, ("add", "sub", "mul", "matmul"))
mod, pow, truediv, floordiv = map(_reflecting, ("mod", "pow", "truediv", "floordiv"))
lshift, rshift = map(_reflecting, ("lshift", "rshift"))
and_, or_, xor = map(_reflecting, ("and", "or", "xor"))
divmod = _binary("divmod", "rdivmod", builtins.divmod)
eq, ne = _binary("eq", "eq", operator.eq), _binary("ne", "ne", operator.ne)
lt, le = _binary("lt", "gt", operator.lt), _binary("le", "ge", operator.le)
gt, ge = _binary("gt", "lt", operator.gt), _binary("ge", "le", operator.ge)
iadd, isub = _in_place("add", operator.iadd), _in_place("sub", operator.isub)
imul, imatmul = _in_place("mul", operator.imul), _in_place("matmul", operator.imatmul)
imod, ipow = _in_place("mod", operator.imod), _in_place("pow", operator.ipow)
itruediv = _in_place("truediv", operator.itruediv)
ifloordiv = _in_place("floordiv", operator.ifloordiv)
ilshift, irshift = _in_place("lshift", operator.ilshift), _in_place("rshift", operator.irshift)
iand, ior = _in_place("and", operator.iand), _in_place("or", operator.ior)
ixor = _in_place("xor", operator.ixor)
neg, pos, invert, abs = _unary("neg"), _unary("pos"), _unary("invert"), _unary("abs")
index = _unary("index")
