"""One name more of one object, for a peer: what is offered stands behind the object's own names."""

from __future__ import annotations

from typing import Any

from netobj.core.access import Policy
from netobj.core.lookup import MISSING, find, instance_dict
from netobj.errors import AccessDenied


class OfferingPolicy(Policy):
    """As *policy*, and *owner* has *offered* under *name*, unless it shows something so named.

    It shares what *policy* remembers. Methods that were found before are found as fast.

    >>> from netobj.core.config import Config
    >>> class Account:
    ...     def exposed_balance(self): return 7
    >>> account = Account()
    >>> policy = OfferingPolicy(Policy(Config(), "server"), account, "system", "what is offered")
    >>> policy.getattr(account, "system"), policy.names(account)[-1]
    ('what is offered', 'system')
    >>> policy.getattr(Account(), "system")
    Traceback (most recent call last):
    netobj.errors.AccessDenied: server refuses to read 'system' of a 'Account' object: only names \
marked @exposed or with the prefix 'exposed_' are open (allow_public_attrs would open it)
    """

    def __init__(self, policy: Policy, owner: object, name: str, offered: object) -> None:
        vars(self).update(vars(policy))
        self._policy = policy  # as long as it lives it is told when names may be hidden
        self._owner = owner
        self._name = name
        self._offered = offered

    def getattr(self, obj: object, name: str) -> Any:
        """As ``Policy.getattr``."""
        if obj is not self._owner or type(name) is not str or name != self._name:
            return super().getattr(obj, name)
        try:
            return super().getattr(obj, name)
        except AttributeError as error:
            refused = type(error) is AccessDenied or self.has_own_rules(obj)
            if not (self._readable and (refused or self._lacks(obj, name))):
                raise
        return self._offered

    def names(self, obj: object) -> list[str]:
        """As ``Policy.names``."""
        names = super().names(obj)
        if obj is self._owner and self._readable and self._name not in names:
            names = sorted([*names, self._name])
        return names

    def _lacks(self, obj: object, name: str) -> bool:
        """Nothing lies under *name*: it was no property of the user's that has failed."""
        held = instance_dict(obj) or {}
        return all(
            find(type(obj), one) is MISSING and one not in held
            for one in (name, self._prefix + name)
        )
