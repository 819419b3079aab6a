"""What the proxy lets in at all: the pages for those who run the gateways are not among it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.oauth.token import METADATA_PATH
from tests.integration.mtls.places import VW, Place

SPELLINGS = ("/readyz", "/livez", "/readyz?x=1", "/%72eadyz", "//readyz", "/x/../livez", "/./readyz")


@pytest.mark.parametrize("path", SPELLINGS)
async def test_health_is_told_inside_and_not_outside(proxied: Place, path: str) -> None:
    object.__setattr__(proxied.gate.services, "engine", object())
    inside = await proxied.party(VW, None, url=proxied.inside)
    assert (await inside.gate.send("GET", "/readyz")).json["status"] == "ready"
    assert (await inside.gate.send("GET", "/livez")).json["status"] == "alive"

    outside = await proxied.party(VW, None)
    assert (await outside.gate.send("GET", METADATA_PATH)).status == 200
    answer = await outside.gate.send("GET", path)
    assert (answer.status, "alive" in answer.text, "ready" in answer.text) == (404, False, False)


async def test_a_form_that_does_not_come_does_not_reach_the_gateway(proxied: Place) -> None:
    issued = proxied.authority.issue(VW)
    proxied.list_certificates(VW, issued)
    party = await proxied.party(VW, issued)
    host, _, port = party.gate.issuer.removeprefix("https://").partition(":")
    slow = [await asyncio.open_connection(host, int(port), ssl=party.tls) for _ in range(40)]
    for _, writer in slow:
        writer.write(
            b"POST /oauth/token HTTP/1.1\r\nHost: gate\r\nContent-Length: 100\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\ngrant_type="
        )
    await asyncio.sleep(0.3)
    assert await party.token()
    # One address has so many connections at most: the next ones are turned away by the proxy itself.
    more = [await asyncio.open_connection(host, int(port), ssl=party.tls) for _ in range(40)]
    for _, writer in more:
        writer.write(b"POST /oauth/token HTTP/1.1\r\nHost: gate\r\nContent-Length: 100\r\n\r\n")
    async with asyncio.timeout(5):
        done, waiting = await asyncio.wait(
            [asyncio.create_task(reader.readline()) for reader, _ in more], timeout=2
        )
    told = {one.result().split()[1] for one in done}
    assert (told, len(done) > 0, len(waiting) > 0) == ({b"503"}, True, True)
    for one in waiting:
        one.cancel()
    for _, writer in (*slow, *more):
        writer.close()
