"""Each person of the sandbox, through the whole stack: what their story says is what an NGO gets."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from adapters.protocol import Category
from adapters.requester import GatewayRefused
from adapters.requester.opening import OpenedDossier
from adapters.simulation.personas import BY_NAME
from gateway.cli.world import IND
from tests.integration.town import Town, town, v_number

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
ASKED = (Category.PERSPECTIVE, Category.DECISIONS, Category.DOSSIER_DOCUMENTS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """Run the stack for the length of this module."""
    async with town(tmp_path_factory.mktemp("personas")) as running:
        yield running


async def opened(place: Town, name: str) -> OpenedDossier:
    """Open a case, record a consent, ask, and verify what comes with the requester's library."""
    client = v_number(BY_NAME[name].v_number)
    await place.open_case(client)
    await place.consent(client)
    asked = await place.ask(client, ASKED, wait_seconds=20)
    assert asked.state == "answered"
    return await place.world.vluchtelingenwerk.open(asked, source=IND)


async def test_petros_decision_of_five_megabytes_comes_whole(place: Town) -> None:
    dossier = await opened(place, "petros")
    (decision,) = [one for one in dossier.documents if one.category is Category.DECISIONS]
    assert len(decision.content) > 5_000_000
    assert decision.content.startswith(b"%PDF-")


async def test_khalids_four_hundred_papers_all_come(place: Town) -> None:
    dossier = await opened(place, "khalid")
    assert len([one for one in dossier.documents if one.category is Category.DOSSIER_DOCUMENTS]) == 400


async def test_halimas_papers_are_refused_by_the_source_with_its_ground(place: Town) -> None:
    dossier = await opened(place, "halima")
    assert (dossier.perspective, dossier.documents) == ("yes", ())
    assert {dossier.answers[name].status for name in ASKED[1:]} == {"refused"}
    assert all(dossier.answers[name].refusal for name in ASKED[1:])


async def test_estifanos_is_not_found(place: Town) -> None:
    dossier = await opened(place, "estifanos")
    assert (dossier.perspective, dossier.documents) == (None, ())
    assert {one.status for one in dossier.answers.values()} == {"client_not_found"}


async def test_goitoms_papers_say_that_parts_about_others_were_removed(place: Town) -> None:
    dossier = await opened(place, "goitom")
    assert dossier.answers[Category.DOSSIER_DOCUMENTS].status == "provided"
    assert dossier.answers[Category.DOSSIER_DOCUMENTS].refusal == "third_party_interest"


async def test_lul_has_one_name_and_a_dossier_all_the_same(place: Town) -> None:
    dossier = await opened(place, "lul")
    assert dossier.perspective is None
    assert len(dossier.documents) == 5


async def test_nasirs_source_is_down_and_the_same_request_then_brings_the_answer(place: Town) -> None:
    client = v_number(BY_NAME["nasir"].v_number)
    await place.open_case(client)
    prepared = place.prepare(client, (Category.PERSPECTIVE,))
    requester = place.world.vluchtelingenwerk
    with pytest.raises(GatewayRefused) as down:
        await requester.send(prepared)
    assert down.value.code == "source_unavailable"
    await place.dispatch()
    # Past the longest pause between two attempts.
    await place.dispatch(after_seconds=3600)
    answered = await requester.get(str(down.value.problem["id"]))
    assert answered.state == "answered"
    assert (await requester.send(prepared)).id == answered.id
