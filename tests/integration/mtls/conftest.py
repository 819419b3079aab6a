"""The two shapes of a gateway that sees client certificates."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.mtls.places import Place, behind_nginx, on_uvicorn


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that nginx's workers can enter: they are another user when a test runs as root."""
    tmp_path.chmod(0o755)
    return tmp_path


@pytest_asyncio.fixture(params=["nginx", "uvicorn"])
async def place(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Place]:
    """A gateway of the test's own, in either shape."""
    shape = behind_nginx if request.param == "nginx" else on_uvicorn
    async with shape(folder) as opened:
        yield opened


@pytest_asyncio.fixture
async def proxied(folder: Path) -> AsyncIterator[Place]:
    """A gateway behind nginx."""
    async with behind_nginx(folder) as opened:
        yield opened
