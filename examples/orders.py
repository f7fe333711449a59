"""Values of your own: dataclasses and enums that travel as copies, not as references.

python examples/orders.py
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum

import netobj


@netobj.by_value
class State(Enum):
    """How far an order is."""

    NEW = 1
    SHIPPED = 2


@netobj.by_value
@dataclass(frozen=True)
class Order:
    """Both sides have registered it; a peer that has not would get a reference."""

    number: int
    price: Decimal
    state: State = State.NEW


class ShopService(netobj.Service):
    """Takes and gives values only."""

    @netobj.exposed
    def ship(self, order: Order) -> Order:
        return replace(order, state=State.SHIPPED)

    @netobj.exposed(by_value=True)
    def total(self, orders: list[Order]) -> dict[str, Decimal]:
        return {"total": sum((order.price for order in orders), Decimal(0))}


def main() -> None:
    conn = netobj.connect_multiprocess(remote_service=ShopService)
    with conn:
        first = Order(1, Decimal("19.90"))
        shipped = conn.root.ship(first)
        print(shipped == replace(first, state=State.SHIPPED), type(shipped) is Order)
        print(conn.root.total([first, Order(2, Decimal("0.10"))]))
    conn.proc.join()


if __name__ == "__main__":
    main()
