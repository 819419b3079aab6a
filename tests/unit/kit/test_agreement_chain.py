"""A version takes the place of another only by the founders of both, in time; and nobody can undo an act."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.kit import jose
from adapters.kit.agreement_chain import Package, anchor, missing, read_package, read_version
from adapters.kit.keys import SigningKey
from adapters.kit.register import (
    RegisterError,
    agreement_digest,
    sign_agreement,
    sign_withdrawal,
    verify_signature,
    verify_withdrawal,
)
from adapters.protocol import TYP_AGREEMENT_SIGNATURE, TYP_AGREEMENT_WITHDRAWAL
from tests.unit.kit.agreements import (
    DAY,
    FIRST,
    IDENTITIES,
    NOW,
    REGISTER,
    SECOND,
    THIRD,
    chain,
    document,
    first,
    package,
    register,
    successor,
)

FROM = int(SECOND["valid_from"])


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(RegisterError) as refused:
        call()
    return refused.value.code


def digest_in_force(made: Any, at: int) -> str:
    return str(made.in_force(at).digest)


# --- one act -------------------------------------------------------------------------------


def test_a_signature_and_its_withdrawal_say_when_they_were_made() -> None:
    key, digest = IDENTITIES["vw"], agreement_digest(FIRST)
    signature = sign_agreement(key=key, party="vw", digest=digest, now=NOW - 5)
    withdrawal = sign_withdrawal(key=key, party="vw", digest=digest, now=NOW)
    assert verify_signature(signature, "vw", digest, REGISTER, NOW) == NOW - 5
    assert verify_withdrawal(withdrawal, "vw", digest, REGISTER, NOW) == NOW


def test_neither_passes_for_the_other_nor_for_another_party_digest_key_or_time() -> None:
    key, digest = IDENTITIES["vw"], agreement_digest(FIRST)
    good = sign_withdrawal(key=key, party="vw", digest=digest, now=NOW)
    assert verify_withdrawal(good, "vw", digest, REGISTER, NOW)
    claims = {"iss": "vw", "agreement": digest, "iat": NOW}
    forged = {
        "a signature": sign_agreement(key=key, party="vw", digest=digest, now=NOW),
        "another party's": sign_withdrawal(key=IDENTITIES["ind"], party="ind", digest=digest, now=NOW),
        "another key's": sign_withdrawal(key=SigningKey.generate(), party="vw", digest=digest, now=NOW),
        "of another version": sign_withdrawal(key=key, party="vw", digest=agreement_digest(SECOND), now=NOW),
        "from the future": sign_withdrawal(key=key, party="vw", digest=digest, now=NOW + 11),
        "with more said": jose.sign({**claims, "but": 1}, key, TYP_AGREEMENT_WITHDRAWAL),
        "of no time": jose.sign({**claims, "iat": True}, key, TYP_AGREEMENT_WITHDRAWAL),
        "of before time": jose.sign({**claims, "iat": -1}, key, TYP_AGREEMENT_WITHDRAWAL),
        "nothing": "",
    }
    for what, unverified in forged.items():
        refused = code_of(lambda each=unverified: verify_withdrawal(each, "vw", digest, REGISTER, NOW))  # type: ignore[misc]
        assert refused == "agreement_not_signed", what
    assert code_of(lambda: verify_signature(good, "vw", digest, REGISTER, NOW)) == "agreement_not_signed"
    assert code_of(lambda: verify_withdrawal(good, "avim", digest, REGISTER, NOW)) == "unknown_party"


# --- one version ---------------------------------------------------------------------------


def test_a_version_says_who_signed_it_and_whether_its_founders_did() -> None:
    version = read_version(package(FIRST, ("vw", "ind", "askv")), REGISTER, NOW)
    assert version.digest == agreement_digest(FIRST) == version.signed.digest
    assert version.signed.signed_by == {"vw", "ind", "askv"}
    assert (version.founding, version.founding_signed) == ({"vw", "ind"}, True)
    assert (version.valid_from, version.supersedes) == (FIRST["valid_from"], None)
    half = read_version(package(FIRST, ("vw", "askv")), REGISTER, NOW)
    assert (half.signed.signed_by, half.founding_signed) == ({"vw", "askv"}, False)


@pytest.mark.parametrize(
    ("signed_at", "withdrawn_at", "stands"),
    [(NOW - 9, NOW - 5, False), (NOW - 5, NOW - 5, False), (NOW - 4, NOW - 5, True)],
    ids=["taken back", "taken back in the same second", "signed again"],
)
def test_what_a_party_did_last_counts(signed_at: int, withdrawn_at: int, stands: bool) -> None:
    acts = package(FIRST, {"vw": signed_at, "ind": NOW - 9}, {"vw": withdrawn_at})
    version = read_version(acts, REGISTER, NOW)
    assert ("vw" in version.signed.signed_by, version.founding_signed) == (stands, stands)
    assert read_version(version.package, REGISTER, NOW) == version


def test_a_signature_of_a_party_that_we_do_not_know_counts_for_nothing() -> None:
    known = package(FIRST)
    stranger = Package(FIRST, {**known.signatures, "iom": known.signatures["vw"]}, {"iom": "x"})
    assert read_version(stranger, REGISTER, NOW) == read_version(known, REGISTER, NOW)


def test_one_signature_or_withdrawal_that_does_not_verify_refuses_the_whole() -> None:
    good = package(FIRST, ("vw", "ind", "askv"))
    assert read_version(good, REGISTER, NOW)
    bad_signature = Package(FIRST, {**good.signatures, "askv": good.signatures["vw"]}, {})
    bad_withdrawal = Package(FIRST, good.signatures, {"askv": good.signatures["askv"]})
    for each in (bad_signature, bad_withdrawal):
        assert code_of(lambda one=each: read_version(one, REGISTER, NOW)) == "agreement_not_signed"  # type: ignore[misc]


@pytest.mark.parametrize(
    "unverified",
    [
        {},
        {"agreement": [], "signatures": {}, "withdrawals": {}},
        {"agreement": FIRST, "signatures": {"vw": 1}, "withdrawals": {}},
        {"agreement": FIRST, "signatures": {}, "withdrawals": None},
    ],
)
def test_what_is_no_package_is_refused(unverified: Mapping[str, object]) -> None:
    whole: dict[str, object] = {"agreement": FIRST, "signatures": {}, "withdrawals": {}, "state": {"k": 2}}
    assert read_package(whole).agreement == FIRST
    assert code_of(lambda: read_package(unverified)) == "agreement_invalid"


@pytest.mark.parametrize(
    "wrong",
    [
        {"founding_set": None},
        {"founding_set": ["vw", 1]},
        {"valid_from": "now"},
        {"valid_from": True},
        {"valid_until": 1.5},
        {"supersedes": 7},
        {"n": 2**60},
    ],
)
def test_what_is_no_version_is_refused(wrong: dict[str, Any]) -> None:
    assert read_version(Package(document(), {}, {}), REGISTER, NOW).founding_signed is False
    assert code_of(lambda: read_version(Package(document(**wrong), {}, {}), REGISTER, NOW)) == (
        "agreement_invalid"
    )


def test_a_version_without_founders_is_signed_by_nobody() -> None:
    assert not read_version(Package(document(founding_set=[]), {}, {}), REGISTER, NOW).founding_signed


# --- the anchor ----------------------------------------------------------------------------


def deployed(folder: Path, agreement: Mapping[str, Any], signatures: Mapping[str, str]) -> Path:
    (folder / "signatures").mkdir(parents=True)
    (folder / "agreement.json").write_text(json.dumps(agreement))
    for party, signature in signatures.items():
        (folder / "signatures" / f"{party}.jws").write_text(signature + "\n")
    return folder


def test_the_anchor_is_what_the_own_folder_holds_and_the_register_names(tmp_path: Path) -> None:
    signatures = package(FIRST).signatures
    assert anchor(deployed(tmp_path / "whole", FIRST, signatures), REGISTER, NOW).founding_signed
    other = deployed(tmp_path / "other", SECOND, package(SECOND).signatures)
    assert code_of(lambda: anchor(other, REGISTER, NOW)) == "agreement_invalid"
    half = deployed(tmp_path / "half", FIRST, {"vw": signatures["vw"]})
    assert code_of(lambda: anchor(half, REGISTER, NOW)) == "agreement_not_signed"
    stranger = deployed(tmp_path / "stranger", FIRST, {**signatures, "iom": signatures["vw"]})
    assert code_of(lambda: anchor(stranger, REGISTER, NOW)) == "unknown_party"
    assert code_of(lambda: anchor(tmp_path / "nowhere", REGISTER, NOW)) == "agreement_invalid"


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": 1, "a": 2}', b"[" * 100_000])
def test_a_file_that_is_no_strict_json_object_is_no_anchor(tmp_path: Path, content: bytes) -> None:
    folder = deployed(tmp_path, FIRST, package(FIRST).signatures)
    assert anchor(folder, REGISTER, NOW)
    (folder / "agreement.json").write_bytes(content)
    assert code_of(lambda: anchor(folder, REGISTER, NOW)) == "agreement_invalid"


# --- what follows --------------------------------------------------------------------------


def test_a_version_is_in_force_from_its_own_instant_on() -> None:
    made = chain()
    assert digest_in_force(made, FROM) == agreement_digest(FIRST)
    version = made.admit(package(SECOND), NOW)
    assert made.version(version.digest) == version
    assert digest_in_force(made, FROM - 1) == agreement_digest(FIRST)
    assert digest_in_force(made, FROM) == agreement_digest(SECOND)
    made.admit(package(THIRD), NOW)
    assert digest_in_force(made, FROM + 2 * DAY - 1) == agreement_digest(SECOND)
    assert digest_in_force(made, FROM + 2 * DAY) == agreement_digest(THIRD)
    assert digest_in_force(made, 0) == agreement_digest(FIRST) == made.anchor.digest


def test_a_version_needs_the_founders_of_both() -> None:
    joined = successor(FIRST, founding_set=["vw", "askv"])
    for signed in (("vw", "askv"), ("vw", "ind"), ("ind", "askv"), ()):
        version = read_version(package(joined, signed), REGISTER, NOW)
        assert missing(version, first()) == {"vw", "ind", "askv"} - set(signed)
        assert code_of(lambda each=signed: chain().admit(package(joined, each), NOW)) == (  # type: ignore[misc]
            "agreement_not_signed"
        )
    made = chain()
    assert made.admit(package(joined, ("vw", "ind", "askv")), NOW)
    assert digest_in_force(made, FROM) == agreement_digest(joined)


def test_its_own_founding_set_alone_makes_no_successor() -> None:
    usurped = successor(FIRST, founding_set=["law"])
    assert chain().admit(package(usurped, ("vw", "ind", "law")), NOW)
    made = chain()
    assert code_of(lambda: made.admit(package(usurped, ("law", "askv")), NOW)) == "agreement_not_signed"
    assert made.version(agreement_digest(usurped)) is None
    assert digest_in_force(made, FROM) == agreement_digest(FIRST)


def test_the_gateways_identity_signs_for_nobody_else() -> None:
    forged = package(SECOND, keys={"ind": IDENTITIES["gateway"]})
    assert chain().admit(package(SECOND), NOW)
    assert code_of(lambda: chain().admit(forged, NOW)) == "agreement_not_signed"


def test_founders_sign_before_the_instant_or_not_at_all() -> None:
    in_time = package(SECOND, {"vw": FROM - 1, "ind": FROM - 1})
    assert chain().admit(in_time, FROM)
    late = package(SECOND, {"vw": FROM - 1, "ind": FROM})
    assert code_of(lambda: chain().admit(late, FROM)) == "agreement_not_signed"


def test_a_founder_that_left_the_version_before_has_no_say_in_the_next() -> None:
    left = package(FIRST, ("vw", "ind", "askv"), {"ind": NOW - 60})
    onward = successor(FIRST, founding_set=["vw", "askv"])
    signed = package(onward, ("vw", "askv"))
    assert code_of(lambda: chain().admit(signed, NOW)) == "agreement_not_signed"
    made = chain()
    assert not made.admit(left, NOW).founding_signed
    assert made.admit(signed, NOW).founding_signed


def test_when_all_founders_left_nobody_else_follows_them() -> None:
    made = chain()
    made.admit(package(FIRST, ("vw", "ind", "askv"), {"ind": NOW - 60, "vw": NOW - 60}), NOW)
    usurped = successor(FIRST, founding_set=["askv"])
    assert code_of(lambda: made.admit(package(usurped, ("askv",)), NOW)) == "agreement_not_signed"
    assert made.admit(package(usurped, ("askv", "vw", "ind")), NOW)


def test_of_two_successors_the_first_stays() -> None:
    made = chain()
    other = successor(FIRST, version="another")
    made.admit(package(SECOND), NOW)
    assert code_of(lambda: made.admit(package(other), NOW)) == "agreement_forked"
    assert made.version(agreement_digest(other)) is None
    assert digest_in_force(made, FROM) == agreement_digest(SECOND)
    assert made.admit(package(SECOND), NOW), "the first may be brought again"


@pytest.mark.parametrize(
    "agreement",
    [
        successor(SECOND),
        successor(FIRST, supersedes=None),
        successor(FIRST, supersedes="sha-256:" + "A" * 43),
        successor(FIRST, valid_from=FIRST["valid_from"]),
        successor(FIRST, valid_from=FIRST["valid_from"] - 1),
    ],
    ids=["of one not known", "of none", "of nothing", "at the same instant", "from before"],
)
def test_what_follows_from_no_version_that_we_know_is_refused(agreement: dict[str, Any]) -> None:
    signed = package(agreement, {"vw": FIRST["valid_from"] - 9, "ind": FIRST["valid_from"] - 9})
    assert code_of(lambda: chain().admit(signed, NOW)) == "not_a_successor"


def test_another_first_version_is_no_successor() -> None:
    elsewhere = document(version="elsewhere")
    assert read_version(package(elsewhere), register(elsewhere), NOW).founding_signed
    assert code_of(lambda: chain().admit(package(elsewhere), NOW)) == "not_a_successor"


def test_a_version_that_founders_have_yet_to_sign_is_held_and_not_in_force() -> None:
    made = chain()
    half = package(SECOND, ("vw",))
    assert code_of(lambda: made.admit(half, NOW)) == "agreement_not_signed"
    made.admit(half, NOW, complete=False)
    assert made.version(agreement_digest(SECOND)) is not None
    assert digest_in_force(made, FROM) == agreement_digest(FIRST)
    made.admit(successor_of_other := package(successor(FIRST, version="x")), NOW)
    assert digest_in_force(made, FROM) == agreement_digest(successor_of_other.agreement)
    assert code_of(lambda: made.admit(package(SECOND), NOW)) == "agreement_forked"


# --- what is taken back --------------------------------------------------------------------


def test_a_signature_taken_back_from_the_version_in_force_leaves_it_unsigned_and_in_its_place() -> None:
    made, later = chain(), FROM + 100
    made.admit(package(SECOND), NOW)
    version = made.admit(package(SECOND, withdrawn={"ind": FROM + 50}), later)
    assert (version.founding_signed, version.signed.signed_by) == (False, {"vw"})
    assert made.in_force(later) == version


def test_a_version_that_a_founder_left_before_its_instant_never_is_in_force() -> None:
    made = chain()
    made.admit(package(SECOND), NOW)
    made.admit(package(SECOND, withdrawn={"ind": FROM - 1}), FROM + 100)
    assert digest_in_force(made, FROM + 100) == agreement_digest(FIRST)
    other = successor(FIRST, valid_from=FROM + 5)
    made.admit(package(other), FROM + 100)
    assert digest_in_force(made, FROM + 100) == agreement_digest(other)


def test_who_left_and_signed_again_in_time_is_a_founder_again() -> None:
    made = chain()
    made.admit(package(SECOND, {"vw": NOW, "ind": NOW + 20}, {"ind": NOW + 10}), NOW + 20)
    assert digest_in_force(made, FROM) == agreement_digest(SECOND)


def test_signing_again_after_the_instant_does_not_undo_that_the_version_came_about() -> None:
    again = package(SECOND, {"vw": NOW, "ind": FROM + 20}, {"ind": FROM + 10})
    made = chain()
    made.admit(package(SECOND), NOW)
    assert made.admit(again, FROM + 20).founding_signed
    assert digest_in_force(made, FROM + 20) == agreement_digest(SECOND)
    fresh = chain()
    assert fresh.admit(again, FROM + 20).founding_signed, "as one sees it who comes later"
    hidden = package(SECOND, {"vw": NOW, "ind": FROM + 20})
    assert made.admit(hidden, FROM + 20).founding_signed, "nor by hiding the withdrawal in between"
    assert digest_in_force(made, FROM + 20) == agreement_digest(SECOND)


def test_an_older_state_does_not_undo_a_withdrawal() -> None:
    made, at = chain(), NOW - 60
    taken_back = package(FIRST, ("vw", "ind", "askv"), {"askv": at, "ind": at})
    made.admit(taken_back, NOW)
    for older in (package(FIRST, ("vw", "ind", "askv")), package(FIRST, ("vw",)), package(FIRST, ())):
        version = made.admit(older, NOW)
        assert (version.signed.signed_by, version.founding_signed) == ({"vw"}, False)
    same_second = package(FIRST, {"ind": at})
    assert not made.admit(same_second, NOW).founding_signed
    assert made.admit(package(FIRST, {"ind": at + 1}), NOW).founding_signed
    assert made.admit(taken_back, NOW).founding_signed, "that withdrawal was of the signature before"


def test_each_further_act_is_followed_in_turn() -> None:
    made = chain()
    steps: list[tuple[int, int | None, bool]] = [
        (NOW - 50, None, True),
        (NOW - 50, NOW - 40, False),
        (NOW - 30, NOW - 40, True),
        (NOW - 30, NOW - 20, False),
        (NOW - 10, None, True),
        (NOW - 10, NOW - 5, False),
        (NOW - 3, NOW - 2, False),
        (NOW - 1, NOW - 2, True),
        (NOW - 1, NOW - 1, False),
    ]
    for signed_at, withdrawn_at, stands in steps:
        withdrawn = {} if withdrawn_at is None else {"law": withdrawn_at}
        brought = package(FIRST, {"vw": NOW - 3600, "ind": NOW - 3600, "law": signed_at}, withdrawn)
        assert ("law" in made.admit(brought, NOW).signed.signed_by) is stands
        assert read_version(made.anchor.package, REGISTER, NOW) == made.anchor


@pytest.mark.parametrize(
    ("first_seen", "then"),
    [
        (({"ind": NOW}, {"ind": FROM + 50}), ({"ind": NOW}, {"ind": FROM - 1})),
        (({"ind": NOW}, {"ind": FROM + 50}), ({"ind": FROM + 50}, {"ind": FROM + 50})),
        (({"ind": NOW + 20}, {"ind": NOW + 10}), ({"ind": FROM + 5}, {"ind": NOW + 10})),
    ],
    ids=["left a second time, dated back", "signed again in the second of leaving", "signed again, too late"],
)
def test_what_a_founder_does_later_does_not_take_a_version_out_of_its_place(
    first_seen: tuple[dict[str, int], dict[str, int]], then: tuple[dict[str, int], dict[str, int]]
) -> None:
    made = chain()
    for signed, withdrawn in (({"ind": NOW}, {}), first_seen, then):
        made.admit(package(SECOND, {"vw": NOW, **signed}, withdrawn), FROM + 100)
        assert digest_in_force(made, FROM + 100) == agreement_digest(SECOND)


def test_who_leaves_twice_after_the_instant_had_still_signed_until_then() -> None:
    acts = [({"ind": FROM + 20}, {"ind": FROM + 10}), ({"ind": FROM + 20}, {"ind": FROM + 30})]
    made = chain()
    for signed, withdrawn in (({"ind": NOW}, {}), ({"ind": NOW}, {"ind": FROM + 10}), *acts):
        brought = package(SECOND, {"vw": NOW, **signed}, withdrawn)
        for one in (made, chain()):
            one.admit(brought, FROM + 100)
            assert digest_in_force(one, FROM + 100) == agreement_digest(SECOND)


def test_who_leaves_the_version_before_later_on_makes_no_second_successor_possible() -> None:
    other = package(successor(FIRST, valid_from=FROM - 50, founding_set=["vw"]), ("vw",))
    made = chain()
    made.admit(package(FIRST, withdrawn={"ind": FROM + 10}), FROM + 20)
    assert code_of(lambda: made.admit(other, FROM + 20)) == "agreement_not_signed"
    made = chain()
    made.admit(package(FIRST, withdrawn={"ind": FROM - 60}), FROM + 20)
    assert made.admit(other, FROM + 20).founding_signed, "that was in time"


def test_a_version_that_a_founder_ended_does_not_come_by_leaving_the_one_before_too() -> None:
    second = successor(FIRST, founding_set=["vw"])
    made = chain()
    made.admit(package(FIRST, withdrawn={"ind": NOW + 20}), FROM)
    made.admit(package(second, ("vw",)), FROM)
    assert digest_in_force(made, FROM) == agreement_digest(second), "it was not asked"
    made.admit(package(second, {"vw": NOW, "ind": NOW}, {"ind": NOW + 10}), FROM)
    assert digest_in_force(made, FROM) == agreement_digest(FIRST)


def test_a_signature_is_no_withdrawal_and_the_reverse() -> None:
    digest = agreement_digest(FIRST)
    claims = {"iss": "ind", "agreement": digest, "iat": NOW}
    made = chain()
    for typ in (TYP_AGREEMENT_SIGNATURE, "JWT"):
        forged = jose.sign(claims, IDENTITIES["ind"], typ)
        brought = Package(FIRST, package(FIRST).signatures, {"ind": forged})
        assert code_of(lambda each=brought: made.admit(each, NOW)) == "agreement_not_signed"  # type: ignore[misc]
    assert made.anchor.founding_signed
    real = jose.sign(claims, IDENTITIES["ind"], TYP_AGREEMENT_WITHDRAWAL)
    assert not made.admit(Package(FIRST, package(FIRST).signatures, {"ind": real}), NOW).founding_signed
