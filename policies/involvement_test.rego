package involvement_test

import data.fixtures_test as fixtures
import data.involvement

shown(changes) := answer if {
	answer := involvement.shown with input as fixtures.asked(changes) with data.agreement as fixtures.agreement
}

test_shown_by_mandate_or_invitation if {
	shown({"case_basis": "mandate"})
	shown({"case_basis": "invitation"})
}

test_not_shown_unless_party_and_worker_are_both_on_the_case if {
	every change in [
		{"on_case": false},
		{"on_case": "true"},
		{"worker_on_case": false},
		{"worker_on_case": 1},
		{"case_basis": null},
		{"case_basis": "search"},
		{"requester": "unknown"},
		{"requester": "avim"},
	] {
		shown(change) == false
	}
}

test_a_government_party_is_involved_while_a_consent_names_it if {
	named := {"requester": "dtv", "consents": fixtures.granted("decisions", {"recipient": "dtv"})}
	shown(named)
	shown(object.union(named, {"now": fixtures.consent.valid_until})) == false
	shown({"requester": "dtv"}) == false
}
