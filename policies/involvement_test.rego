package involvement_test

import data.fixtures_test as fixtures
import data.involvement

shown(changes) := answer if {
	answer := involvement.shown with input as fixtures.asked(changes) with data.agreements as fixtures.held(fixtures.agreement)
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

test_whom_the_client_depends_on_is_involved_by_invitation_under_a_law_in_force if {
	every requester, kind in {"municipality": "municipality", "ggd": "health"} {
		agreement := fixtures.agreement_with("/rules", fixtures.rules_of(
			"legal_screening", kind, "ind",
			{"contact": fixtures.lawful_rule("contact", "statutory")},
		))
		named := {
			"requester": requester,
			"case_basis": "invitation",
			"consents": fixtures.granted("contact", {"recipient": requester}),
		}
		involvement.shown with input as fixtures.asked(named) with data.agreements as fixtures.held(agreement)
		every change in [{"case_basis": "mandate"}, {"on_case": false}, {"now": fixtures.statute.valid_until}] {
			involvement.shown == false with input as fixtures.asked(object.union(named, change))
				with data.agreements as fixtures.held(agreement)
		}
		shown(named) == false
	}
}
