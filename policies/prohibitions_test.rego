package prohibitions_test

import data.dossier
import data.fixtures_test as fixtures
import data.prohibitions

# An agreement that opens one category, to one kind from IND, as hostile data would.
opening(purpose, requester, category, rule) := fixtures.agreement_with(
	"/rules",
	fixtures.rules_of(purpose, requester, "ind", {category: rule}),
)

yes(category, recipient, purpose) := fixtures.granted(category, {
	"recipient": recipient,
	"purpose": purpose,
	"explicit": true,
})

decided(changes, category, agreement) := decision.decisions[category] if {
	decision := dossier.decision with input as fixtures.asked(object.union({"categories": [category]}, changes))
		with data.agreements as fixtures.held(agreement)
}

law(category) := fixtures.lawful_rule(category, "statutory")

test_avim_never_receives_whatever_rule_or_consent if {
	every rule in [fixtures.rule("decisions", "baseline"), fixtures.rule("decisions", "consent"), law("decisions")] {
		agreement := opening("legal_screening", "avim", "decisions", rule)
		answer := decided(
			{"requester": "avim", "consents": yes("decisions", "avim", "legal_screening")},
			"decisions", agreement,
		)
		answer.reason == "never_to_this_party"
	}
}

test_who_is_barred_is_barred_from_each_category if {
	every category, _ in fixtures.agreement.categories {
		prohibitions.bars_category(category) with input as fixtures.asked({"requester": "avim"})
			with data.agreements as fixtures.held(fixtures.agreement)
	}
	not prohibitions.bars_category("decisions") with input as fixtures.question with data.agreements as fixtures.held(fixtures.agreement)
}

test_the_municipality_receives_by_statute_in_force_and_by_nothing_else if {
	every requester, kind in {"municipality": "municipality", "ggd": "health"} {
		facts := {
			"requester": requester,
			"case_basis": "invitation",
			"consents": yes("decisions", requester, "legal_screening"),
		}
		by_law := opening("legal_screening", kind, "decisions", law("decisions"))
		decided(facts, "decisions", by_law).ground == "statutory"
		decided(object.union(object.remove(facts, ["consents"]), {"consents": {}}), "decisions", by_law).ground == "statutory"
		by_yes := opening("legal_screening", kind, "decisions", fixtures.rule("decisions", "consent"))
		every agreement in [by_yes, fixtures.without_law(by_law)] {
			answer := decided(facts, "decisions", agreement)
			answer.reason == "never_to_this_party"
		}
	}
}

test_a_yes_that_cannot_be_given_freely_opens_nothing_even_beside_a_law if {
	every ground in ["baseline", "consent", "explicit_consent"] {
		every category in ["perspective", "decisions"] {
			facts := {
				"requester": "municipality",
				"case_basis": "invitation",
				"consents": yes(category, "municipality", "legal_screening"),
			}
			rule := fixtures.lawful_rule(category, ground)
			decided(facts, category, opening("legal_screening", "municipality", category, rule)).reason == "no_rule"
		}
	}
}

test_a_rule_that_names_a_law_ends_with_it_whoever_asks if {
	categories := {
		"decisions": "consent",
		"flight_narrative": "explicit_consent",
		"perspective": "baseline",
		"contact": "statutory",
	}
	agreement := fixtures.agreement_with("/rules", fixtures.rules_of("legal_screening", "ngo", "ind", {category: rule |
		some category, ground in categories
		rule := fixtures.lawful_rule(category, ground)
	}))
	every category, ground in categories {
		consents := fixtures.granted(category, {"explicit": true})
		found := decided({"consents": consents}, category, agreement)
		[found.ground, found.valid_until] == [ground, fixtures.statute.valid_until]
		ended := decided({"consents": consents}, category, fixtures.without_law(agreement))
		ended.reason == "no_rule"
	}
	first := fixtures.granted("flight_narrative", {"explicit": true, "valid_until": fixtures.now + 9})
	decided({"consents": first}, "flight_narrative", agreement).valid_until == fixtures.now + 9
}

test_by_statute_a_party_without_a_prohibition_receives_without_consent if {
	agreement := opening("legal_screening", "ngo", "decisions", law("decisions"))
	answer := decided({"consents": {}}, "decisions", agreement)
	[answer.ground, answer.consent, answer.valid_until] == ["statutory", null, fixtures.statute.valid_until]
	decided({"consents": {}, "now": fixtures.statute.valid_until}, "decisions", agreement).reason == "no_rule"
}

test_no_statute_opens_a_special_category if {
	agreement := opening("legal_screening", "ngo", "flight_narrative", law("flight_narrative"))
	decided({"consents": {}}, "flight_narrative", agreement).reason == "no_explicit_consent"
	decided({}, "flight_narrative", agreement).ground == "explicit_consent"
}

test_where_someone_sleeps_reaches_an_ngo_and_never_who_can_fetch_them if {
	rule := fixtures.rule("shelter_location", "consent")
	ngo := {"consents": yes("shelter_location", "vluchtelingenwerk", "legal_screening")}
	decided(ngo, "shelter_location", opening("legal_screening", "ngo", "shelter_location", rule)).outcome == "permitted"
	every requester in ["ind", "dtv"] {
		facts := {"requester": requester, "consents": yes("shelter_location", requester, "legal_screening")}
		answer := decided(facts, "shelter_location", opening("legal_screening", requester, "shelter_location", rule))
		[answer.reason, answer.paragraph] == ["never_to_this_party", "art. 2.7"]
	}
	prohibitions.never_sheltered_by == {"avim", "dtv", "ind"}
}

test_special_categories_need_their_own_yes_whatever_rule_and_class_say if {
	every category in {"flight_narrative", "vulnerability"} {
		every ground in ["baseline", "consent", "explicit_consent"] {
			agreement := opening("legal_screening", "ngo", category, fixtures.rule(category, ground))
			plain := fixtures.granted(category, {"explicit": false})
			decided({"consents": plain}, category, agreement).reason == "no_explicit_consent"
			named := fixtures.granted(category, {"explicit": true})
			decided({"consents": named}, category, agreement).ground == "explicit_consent"
		}
	}
}

test_what_the_agreement_calls_special_needs_an_explicit_yes_too if {
	agreement := json.patch(
		opening("legal_screening", "ngo", "contact", fixtures.rule("contact", "consent")),
		[{"op": "add", "path": "/categories/contact/class", "value": "special"}],
	)
	decided({"consents": fixtures.granted("contact", {})}, "contact", agreement).reason == "no_explicit_consent"
}

test_nothing_but_three_facts_is_baseline if {
	agreement := opening("legal_screening", "ngo", "decisions", fixtures.rule("decisions", "baseline"))
	relabelled := json.patch(agreement, [{"op": "add", "path": "/categories/decisions/class", "value": "baseline"}])
	decided({}, "decisions", agreement).reason == "no_rule"
	decided({}, "decisions", relabelled).reason == "no_rule"
	unknown := json.patch(fixtures.agreement, [{"op": "add", "path": "/categories/perspective/class", "value": "trivial"}])
	decided({}, "perspective", unknown).reason == "no_rule"
}

test_only_an_ngo_states_guidance if {
	decided({"source": "other-ngo"}, "guidance", fixtures.agreement).outcome == "permitted"
	decided({}, "guidance", fixtures.agreement).reason == "no_rule"
}

test_medical_data_reach_a_health_professional_at_ind_for_a_stay_and_nobody_else if {
	rule := object.union(fixtures.rule("medical", "consent"), {"roles": ["caseworker", "medical"]})
	agreement := fixtures.agreement_with("/rules", {
		"legal_screening": {"ind": {"ngo": {"medical": rule}}, "ngo": {"ngo": {"medical": rule}}},
		"medical_stay": {"ind": {"ngo": {"medical": rule}}},
	})
	facts := {
		"requester": "ind",
		"source": "other-ngo",
		"purpose": "medical_stay",
		"role": "medical",
		"consents": fixtures.granted("medical", {
			"source": "other-ngo",
			"recipient": "ind",
			"purpose": "medical_stay",
			"explicit": true,
		}),
	}
	decided(facts, "medical", agreement).ground == "explicit_consent"
	clerk := decided(object.union(facts, {"role": "caseworker"}), "medical", agreement)
	[clerk.reason, clerk.next_step] == ["role_may_not", "ask_with_medical_role"]
	decided(
		object.union(facts, {"purpose": "legal_screening", "consents": fixtures.granted("medical", {
			"source": "other-ngo",
			"recipient": "ind",
			"explicit": true,
		})}),
		"medical", agreement,
	).reason == "never_to_this_party"
	decided(
		{"source": "other-ngo", "role": "medical", "consents": fixtures.granted("medical", {
			"source": "other-ngo",
			"explicit": true,
		})},
		"medical", agreement,
	).reason == "never_to_this_party"
}

test_medical_data_reach_the_health_service_only_by_statute_and_explicit_yes if {
	rule := object.union(law("medical"), {"roles": ["medical"]})
	agreement := opening("medical_stay", "health", "medical", rule)
	facts := {"requester": "ggd", "case_basis": "invitation", "purpose": "medical_stay", "role": "medical"}
	named := object.union(facts, {"consents": yes("medical", "ggd", "medical_stay")})
	decided(named, "medical", agreement).ground == "explicit_consent"
	both := opening("medical_stay", "health", "medical", object.union(rule, {"ground": "explicit_consent"}))
	decided(named, "medical", both).ground == "explicit_consent"
	decided(named, "medical", fixtures.without_law(both)).reason == "never_to_this_party"
	decided(facts, "medical", both).reason == "no_explicit_consent"
	by_yes := opening("medical_stay", "health", "medical", object.union(rule, {"ground": "explicit_consent", "statute": null}))
	decided(named, "medical", by_yes).reason == "never_to_this_party"
}

test_purposes_of_counts_give_nothing_about_a_person if {
	rule := fixtures.rule("perspective", "baseline")
	agreement := opening("aggregate_report", "ngo", "perspective", rule)
	refused := dossier.decision.refusal with input as fixtures.asked({"purpose": "aggregate_report"})
		with data.agreements as fixtures.held(agreement)
	refused.code == "no_rule_in_agreement"
	every value in [true, null, "false"] {
		counted := dossier.decision.refusal with input as fixtures.question
			with data.agreements as fixtures.held(fixtures.agreement_with("/purposes/legal_screening/aggregated", value))
		counted.code == "no_rule_in_agreement"
	}
}
