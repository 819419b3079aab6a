package grounds_test

import data.fixtures_test as fixtures
import data.grounds

stated(changes) := found if {
	found := grounds.stated with input as fixtures.asked(changes) with data.agreements as fixtures.held(fixtures.agreement)
}

at_dtv(categories, consents) := {"source": "dtv", "categories": categories, "consents": consents}

of_dtv(category, changes) := fixtures.granted(category, object.union({"source": "dtv"}, changes))

test_baseline_needs_no_consent_where_the_source_may_be_asked if {
	stated({"consents": {}}).perspective == {
		"ground": "baseline",
		"consent": null,
		"valid_until": fixtures.agreement.valid_until,
	}
}

test_baseline_stays_behind_where_asking_needs_consent if {
	facts := at_dtv(["perspective", "partners", "contact"], {})
	found := stated(facts)
	object.keys(found) == {"partners"}
}

test_baseline_goes_along_with_what_a_consent_has_asked if {
	facts := at_dtv(["perspective", "contact"], of_dtv("contact", {}))
	found := stated(facts)
	found.perspective == {"ground": "baseline", "consent": null, "valid_until": fixtures.consent.valid_until}
}

test_baseline_does_not_go_along_with_what_the_role_may_not_have if {
	facts := object.union(at_dtv(["perspective", "contact"], of_dtv("contact", {})), {"role": "medical"})
	found := stated(facts)
	found == {}
}

test_a_consent_that_names_the_baseline_opens_it if {
	facts := at_dtv(["perspective"], of_dtv("perspective", {}))
	found := stated(facts)
	found.perspective == {
		"ground": "consent",
		"consent": "consent-on-perspective",
		"valid_until": fixtures.consent.valid_until,
	}
}

test_baseline_with_another_answer_than_true_or_gateway_needs_consent if {
	every value in [false, null, "true", 1] {
		found := grounds.stated with input as fixtures.asked({"categories": ["perspective"]})
			with data.agreements as fixtures.held(fixtures.agreement_with("/sources/ind/may_be_asked_without_consent", value))
		found == {}
	}
}
