"""One town for every attacker; each test brings people of its own (`promises.people`)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from adapters.kit.session import Response
from tests.integration.town import Town, town


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Run the stack, with its deliverers and its dispatcher."""
    async with town(tmp_path_factory.mktemp("attacked")) as running:
        yield running


def members(answer: Response) -> dict[str, Any]:
    """Read an answer that is JSON."""
    assert isinstance(answer.body, dict)
    return answer.body
