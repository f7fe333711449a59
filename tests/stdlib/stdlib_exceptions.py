"""The tests of CPython that no proxy can pass, each with its reason.

A test whose name is not here passes. Some are in some versions of Python only.
"""

from __future__ import annotations

from typing import Final

TYPE: Final = "asks for the identity of a type: type() of a proxy is a proxy class"
LAYOUT: Final = "asks for a C-level layout"
COLLECTION: Final = "asks for garbage collection across processes"

EXCEPTIONS: Final[dict[str, str]] = {
    "ListTest.test_iterator_pickle": (
        f"{TYPE}; and wants what is pickled together to stay together, but each remote object "
        "is pickled over there, by itself"
    ),
    "ListTest.test_reversed_pickle": (
        f"{TYPE}; and wants what is pickled together to stay together, but each remote object "
        "is pickled over there, by itself"
    ),
    "TestSet.test_copy": TYPE,
    "TestSet.test_difference": TYPE,
    "TestSet.test_intersection": TYPE,
    "TestSet.test_symmetric_difference": TYPE,
    "TestSet.test_union": TYPE,
    "TestSet.test_pickling": (
        f"{TYPE}, so the test takes it for a subclass of set, with attributes"
    ),
    "TestSet.test_cyclical_repr": (
        f"{TYPE}; thetype == set is false, so the test takes it for a subclass of set, whose "
        "repr has a name"
    ),
    "TestSet.test_do_not_rehash_dict_keys": (
        f"{LAYOUT}: the hashes that a local dict keeps beside its keys are not seen over there"
    ),
    "CBytesIOTest.test_cow_setstate": f"{LAYOUT}: counts the references of a local bytes object",
    "CBytesIOTest.test_cow_truncate": f"{LAYOUT}: counts the references of a local bytes object",
    "CBytesIOTest.test_cow_write": f"{LAYOUT}: counts the references of a local bytes object",
    "CBytesIOTest.test_setstate": (
        f"{LAYOUT}: a local bytearray within a tuple would have to be a buffer over there"
    ),
    "TestCounter.test_basics": (
        f"{LAYOUT}: issubclass(Counter, Mapping), and ABCMeta takes nothing but real classes"
    ),
    "TestCounter.test_copy_subclass": (
        f"{TYPE}; a copy made over there is of the remote class, not of the local subclass"
    ),
    "TestCounter.test_helper_function": (
        f"{LAYOUT}: gives an instance of a subclass of the local Counter to the remote "
        "Counter.__init__, whose C code takes remote ones only"
    ),
}
