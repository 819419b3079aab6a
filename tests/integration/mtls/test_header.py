"""The proxy alone says which certificate it saw: what others say under that name is refused (ASVS 4.1.3)."""

from __future__ import annotations

from urllib.parse import quote

from multidict import CIMultiDict

from gateway.cli.authority import Issued
from tests.integration.mtls.places import HOP, VW, Place

NAME = "Ssl-Client-Cert"


def escaped(issued: Issued) -> str:
    """Write a certificate as nginx does ($ssl_client_escaped_cert)."""
    return quote(issued.pem.decode(), safe="")


async def test_the_header_counts_from_the_hop_and_is_refused_from_anyone_else(proxied: Place) -> None:
    issued = proxied.authority.issue(VW)
    proxied.list_certificates(VW, issued)
    token = await (await proxied.party(VW, issued)).token()
    header = {NAME: escaped(issued)}

    hop = await proxied.party(VW, None, local=HOP, url=proxied.inside)
    assert (await hop.call(token, **header)).status == 200
    other = await proxied.party(VW, None, url=proxied.inside)
    assert (await other.call(token)).problem == (401, "certificate_invalid")
    assert (await other.call(token, **header)).problem == (400, "certificate_header_refused")
    # Nobody becomes the hop by saying so.
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
        answer = await other.call(token, **header, **{name: HOP})
        assert answer.problem == (400, "certificate_header_refused")
        assert answer.headers["Cache-Control"] == "no-store"


async def test_nginx_lets_no_clients_header_through(proxied: Place) -> None:
    ours, theirs = proxied.authority.issue(VW), proxied.authority.issue("ind")
    proxied.list_certificates(VW, ours)
    proxied.list_certificates("ind", theirs)
    party, other = await proxied.party(VW, ours), await proxied.party("ind", theirs)
    nobody = await proxied.party(VW, None)
    token = await party.token()
    assert (await party.call(token, **{NAME: escaped(theirs)})).status == 200, "its own certificate counts"
    for name in (NAME, NAME.lower(), "Ssl_Client_Cert", "SSL-CLIENT-CERT"):
        assert (await nobody.call(token, **{name: escaped(ours)})).problem == (401, "certificate_invalid")
        assert (await other.call(token, **{name: escaped(ours)})).problem == (401, "certificate_invalid")


async def test_what_is_not_exactly_one_certificate_is_refused_also_from_the_hop(proxied: Place) -> None:
    issued = proxied.authority.issue(VW)
    proxied.list_certificates(VW, issued)
    token = await (await proxied.party(VW, issued)).token()
    hop = await proxied.party(VW, None, local=HOP, url=proxied.inside)
    good = escaped(issued)
    assert (await hop.call(token, **{NAME: good})).status == 200
    assert (await hop.call(token, **{NAME: good.removesuffix("%0A")})).status == 200
    encoded = good.removeprefix("-----BEGIN%20CERTIFICATE-----%0A")
    wrong = [
        "",
        "garbage",
        good + good,
        good + "%0A",
        "%20" + good,
        good.replace("CERTIFICATE", "PUBLIC%20KEY"),
        good.replace("%0A", "%0D%0A"),
        f":{encoded}:",  # the form of RFC 9440, which is another one
        good[:-60],
        good.replace("MI", "M%FF", 1),
        good.replace("MI", "M", 1),
        "A" * 20_000,
    ]
    for header in wrong:
        answer = await hop.call(token, **{NAME: header})
        assert answer.problem == (400, "certificate_header_refused"), header[:80]
    twice: CIMultiDict[str] = CIMultiDict({"Authorization": f"Bearer {token}"})
    twice.add(NAME, good)
    twice.add(NAME, good)
    answer = await hop.gate.send("GET", "/v1/probes/1", headers=twice)
    assert answer.problem == (400, "certificate_header_refused")
