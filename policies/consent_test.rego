package consent_test

import data.consent
import data.fixtures_test as fixtures

test_covers_what_it_names if {
	found := consent.covering with input as fixtures.question
	found.decisions == {"consent": "consent-on-decisions", "valid_until": fixtures.consent.valid_until}
}

# The removal matrix of one consent: without any one of its facts it covers nothing.
test_covers_nothing_without_any_one_fact if {
	every fact, _ in object.remove(fixtures.consent, ["explicit"]) {
		less := {"consents": {"decisions": [object.remove(fixtures.consent, [fact])]}}
		found := consent.covering with input as fixtures.asked(less)
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
	] {
		other := {"consents": {"decisions": [object.union(fixtures.consent, change)]}}
		found := consent.covering with input as fixtures.asked(other)
		found == {}
	}
}

test_covers_in_its_first_and_its_last_second if {
	every moment in [fixtures.consent.valid_from, fixtures.consent.valid_until - 1] {
		found := consent.covering with input as fixtures.asked({"now": moment})
		found.decisions.consent == "consent-on-decisions"
	}
}

test_only_an_explicit_yes_is_explicit if {
	plain := consent.explicit with input as fixtures.question
	object.keys(plain) == {"flight_narrative"}
	every explicit in [false, null, "true", 1] {
		consents := fixtures.granted("flight_narrative", {"explicit": explicit})
		found := consent.explicit with input as fixtures.asked({"consents": consents})
		found == {}
	}
}

test_the_longest_then_the_lowest_id_is_chosen if {
	short := object.union(fixtures.consent, {"id": "a", "valid_until": fixtures.now + 1})
	low := object.union(fixtures.consent, {"id": "b"})
	high := object.union(fixtures.consent, {"id": "c"})
	every order in [[short, low, high], [high, low, short], [low, short, high]] {
		found := consent.covering with input as fixtures.asked({"consents": {"decisions": order}})
		found.decisions == {"consent": "b", "valid_until": fixtures.consent.valid_until}
	}
}
