"""What would change a decision: the least change that the agreement alone would permit, and no other."""

import asyncio
from collections.abc import Collection

from gateway.policy.hypothetical import (
    Asked,
    Change,
    Degree,
    least_changes,
    question_about_nobody,
)

ASKED = Asked("askv", "ind", "legal_screening", ("decisions",), "caseworker")
ROLES, PURPOSES = ("caseworker", "casemanager", "medical"), ("legal_screening", "review", "departure")


def changes(opens: dict[tuple[str, str], Degree], asked: Asked = ASKED) -> tuple[tuple[Change, ...], int]:
    """Ask an agreement that opens `decisions` to (role, purpose) from a degree of consent on."""
    order: tuple[Degree, ...] = ("none", "consent", "explicit_consent")
    asked_for = 0

    async def permits(one: Asked, degree: Degree) -> Collection[str]:
        nonlocal asked_for
        asked_for += 1
        least = opens.get((str(one.role), one.purpose))
        return one.categories if least is not None and order.index(degree) >= order.index(least) else ()

    found = asyncio.run(least_changes(permits, asked, ["decisions"], roles=ROLES, purposes=PURPOSES))
    return found["decisions"], asked_for


def test_the_same_question_with_what_the_client_can_give_comes_first() -> None:
    opens: dict[tuple[str, str], Degree] = {
        ("caseworker", "legal_screening"): "consent",
        ("medical", "legal_screening"): "none",
        ("caseworker", "review"): "none",
    }
    assert changes(opens)[0] == (Change("consent"),)


def test_another_role_only_where_this_one_never_may_and_alike_ones_together() -> None:
    opens: dict[tuple[str, str], Degree] = {
        ("casemanager", "legal_screening"): "explicit_consent",
        ("medical", "legal_screening"): "explicit_consent",
        ("caseworker", "review"): "none",
    }
    assert changes(opens)[0] == (Change("explicit_consent", roles=("casemanager", "medical")),)
    opens["medical", "legal_screening"] = "none"
    assert changes(opens)[0] == (
        Change("explicit_consent", roles=("casemanager",)),
        Change("none", roles=("medical",)),
    )


def test_another_purpose_only_where_no_role_may() -> None:
    opens: dict[tuple[str, str], Degree] = {
        ("caseworker", "review"): "consent",
        ("caseworker", "departure"): "consent",
        ("medical", "departure"): "none",
    }
    assert changes(opens)[0] == (Change("consent", purposes=("review", "departure")),)


def test_nothing_is_named_where_nothing_opens_it_and_little_is_asked_to_find_that_out() -> None:
    found, asked_for = changes({})
    assert found == ()
    assert asked_for == 1 + 2 + 2


def test_a_question_about_nobody_holds_a_yes_to_each_category_or_none() -> None:
    digest = "sha-256:" + "A" * 43
    none = question_about_nobody(digest, ASKED, "none", 1000)
    assert (none.consents, none.now, none.agreement) == ((), 1000, digest)
    plain, explicit = (
        question_about_nobody(digest, ASKED, degree, 1000) for degree in ("consent", "explicit_consent")
    )
    assert [fact.explicit for fact in (*plain.consents, *explicit.consents)] == [False, True]
