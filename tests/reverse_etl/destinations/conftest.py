"""A vendor that answers what a test says, whoever asks."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conformance import Request, Response, Vendor, serve


class Scripted(Vendor):
    """`says` may be replaced at any moment: (status, body) or (status, body, headers)."""

    address = ""

    def __init__(self) -> None:
        super().__init__()
        self.says: Callable[[Request], tuple[Any, ...]] = lambda asked: (200, {})

    def is_known(self, request: Request) -> bool:
        return True

    def answer(self, request: Request) -> Response:
        return Response(*self.says(request))


@pytest.fixture
def stand_in() -> Iterator[Scripted]:
    vendor = Scripted()
    with serve(vendor) as vendor.address:
        yield vendor
