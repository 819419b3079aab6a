package consent_test

import data.consent
import data.fixtures_test as fixtures

test_covers_what_it_names if {
	found := consent.covering with input as fixtures.question with data.agreements as fixtures.held(fixtures.agreement)
	found.decisions == {"consent": "consent-on-decisions", "valid_until": fixtures.consent.valid_until}
}

# The removal matrix of one consent: without any one of its facts it covers nothing.
test_covers_nothing_without_any_one_fact if {
	every fact, _ in object.remove(fixtures.consent, ["explicit"]) {
		less := {"consents": {"decisions": [object.remove(fixtures.consent, [fact])]}}
		found := consent.covering with input as fixtures.asked(less)
			with data.agreements as fixtures.held(fixtures.agreement)
		found == {}
	}
}

test_covers_nothing_with_any_one_fact_otherwise if {
	every change in [
		{"category": "contact"},
		{"source": "dtv"},
		{"recipient": "other-ngo"},
		{"purpose": "legal_guidance"},
		{"status": "pending"},
		{"status": "refused"},
		{"status": "withdrawn"},
		{"status": "paused"},
		{"status": true},
		{"confirmed": false},
		{"confirmed": "true"},
		{"id": 7},
		{"valid_from": fixtures.now + 1},
		{"valid_until": fixtures.now},
		{"valid_until": []},
		{"valid_until": "9999999999"},
		{"valid_from": null},
		{"valid_from": 0},
		{"minor": true},
		{"minor": null},
		{"guardian": null},
	] {
		other := {"consents": {"decisions": [object.union(fixtures.consent, change)]}}
		found := consent.covering with input as fixtures.asked(other)
			with data.agreements as fixtures.held(fixtures.agreement)
		found == {}
	}
}

test_a_minor_consents_by_a_legal_representative_and_nobody_else_needs_one if {
	every given, covers in {
		[false, false]: true,
		[false, true]: true,
		[true, true]: true,
		[true, false]: false,
		[null, true]: false,
		["false", true]: false,
		[true, "true"]: false,
		[false, null]: false,
	} {
		[minor, guardian] := given
		consents := fixtures.granted("decisions", {"minor": minor, "guardian": guardian})
		found := consent.covering with input as fixtures.asked({"consents": consents})
			with data.agreements as fixtures.held(fixtures.agreement)
		count(found) > 0 == covers
	}
}

test_no_consent_outlasts_the_stay_or_what_the_agreement_allows if {
	every months, longest in {18: 48297600, 36: 48297600, 6: 16156800} {
		every more, covers in {0: true, 1: false} {
			facts := {"valid_from": fixtures.now, "valid_until": (fixtures.now + longest) + more}
			found := consent.covering with input as fixtures.asked({"consents": fixtures.granted("decisions", facts)})
				with data.agreements as fixtures.held(fixtures.agreement_with("/consent/max_months", months))
			count(found) > 0 == covers
		}
	}
	every months in [null, "18", [], true] {
		found := consent.covering with input as fixtures.question
			with data.agreements as fixtures.held(fixtures.agreement_with("/consent/max_months", months))
		found == {}
	}
}

test_covers_in_its_first_and_its_last_second if {
	every moment in [fixtures.consent.valid_from, fixtures.consent.valid_until - 1] {
		found := consent.covering with input as fixtures.asked({"now": moment})
			with data.agreements as fixtures.held(fixtures.agreement)
		found.decisions.consent == "consent-on-decisions"
	}
}

test_only_an_explicit_yes_is_explicit if {
	plain := consent.explicit with input as fixtures.question with data.agreements as fixtures.held(fixtures.agreement)
	object.keys(plain) == {"flight_narrative"}
	every explicit in [false, null, "true", 1] {
		consents := fixtures.granted("flight_narrative", {"explicit": explicit})
		found := consent.explicit with input as fixtures.asked({"consents": consents})
			with data.agreements as fixtures.held(fixtures.agreement)
		found == {}
	}
}

test_the_longest_then_the_lowest_id_is_chosen if {
	short := object.union(fixtures.consent, {"id": "a", "valid_until": fixtures.now + 1})
	low := object.union(fixtures.consent, {"id": "b"})
	high := object.union(fixtures.consent, {"id": "c"})
	every order in [[short, low, high], [high, low, short], [low, short, high]] {
		found := consent.covering with input as fixtures.asked({"consents": {"decisions": order}})
			with data.agreements as fixtures.held(fixtures.agreement)
		found.decisions == {"consent": "b", "valid_until": fixtures.consent.valid_until}
	}
}
