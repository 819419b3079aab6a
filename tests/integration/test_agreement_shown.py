"""How far a version is, as it is listed and shown: one word for each stage, and few questions to find it."""

from __future__ import annotations

from sqlalchemy import Connection, event

from gateway import agreement_state as states
from gateway.agreement_document.text import render
from gateway.agreement_state import VersionState
from tests.integration.agreeing import Agreeing


async def test_a_list_of_many_versions_is_read_as_one_of_few(agreeing: Agreeing) -> None:
    def counted(conn: Connection) -> tuple[list[VersionState], int]:
        asked: list[object] = []
        event.listen(conn, "before_cursor_execute", lambda *each: asked.append(each[2]))
        return list(states.states(conn, agreeing.gate.now)), len(asked)

    few, queries = await agreeing.gate.reads(counted)
    digest = await agreeing.has_approved()
    await agreeing.signs(digest, "ind")
    await agreeing.proposes(agreeing.document(version="2026.3"), party="askv")
    many, queries_of_many = await agreeing.gate.reads(counted)
    assert (len(few), len(many)) == (1, 3)
    assert 0 < queries_of_many == queries < 5
    # And says of each what is said of it alone.
    assert many == [await agreeing.state(one.row.digest) for one in many]
    assert {"approved", "proposed", "signed"} >= {one.state for one in many} - {"in_force"}


async def test_a_version_that_stopped_is_called_so_wherever_it_is_shown(agreeing: Agreeing) -> None:
    assert (await agreeing.state(agreeing.anchor)).state == "in_force"
    await agreeing.withdraws(agreeing.anchor, "ind")
    stopped = await agreeing.state(agreeing.anchor)
    assert (stopped.state, stopped.needed - stopped.signed_by) == ("stopped", {"ind"})
    shown = render(agreeing.gate.services.agreement.terms, agreeing.anchor, form="md", state=stopped.state)
    assert "- **Stand:** stilgelegd, een oprichtende partij" in shown
    # Who is no founder stops its own rules and no more.
    agreeing.gate.passes(1)
    await agreeing.signs(agreeing.anchor, "ind")
    assert (await agreeing.withdraws(agreeing.anchor, "goedwerk")).state == "in_force"
