"""A port of localhost is free at both of its addresses, or it is not free."""

from __future__ import annotations

import socket

import pytest

from runtimes.base import RuntimeFailure
from runtimes.processes.ports import free_port, require_free


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_port_that_somebody_has_is_not_free(address: str) -> None:
    """What listens there would be taken for the program that is yet to listen at the other address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RuntimeFailure, match=f"port {port} is in use by "):
            require_free(port)
    require_free(port)


def test_a_free_port_is_free() -> None:
    require_free(free_port())
