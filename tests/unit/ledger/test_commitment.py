"""The short way to the canonical form gives the same bytes as the long one, or is not taken."""

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.commitment import canonical

_SCALARS = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()
_DETAILS = st.dictionaries(
    st.text(), st.recursive(_SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
# Where two ways to write JSON could part: control characters, what HTML escapes, DEL, beyond the BMP.
_ODD = "".join(map(chr, range(0x80))) + "\u2028é\uffff\U0001f512"


@given(_DETAILS)
def test_every_detail_is_spelt_as_rfc_8785_has_it(detail: dict) -> None:
    assert canonical(detail) == rfc8785.dumps(detail)


def test_characters_that_writers_of_json_treat_differently_are_spelt_alike() -> None:
    for odd in _ODD:
        assert canonical({odd: odd, "a": [odd]}) == rfc8785.dumps({odd: odd, "a": [odd]})


def test_names_beyond_ascii_are_sorted_by_their_utf_16_code_units() -> None:
    detail = {"\uffff": 1, "\U0001f512": 2, "z": 3}
    assert canonical(detail) == rfc8785.dumps(detail)
    assert canonical(detail).index("\U0001f512".encode()) < canonical(detail).index("\uffff".encode())
