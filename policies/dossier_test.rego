package dossier_test

import data.dossier
import data.fixtures_test as fixtures

answer(question, agreement) := decision if {
	decision := dossier.decision with input as question
		with data.agreements as fixtures.held(agreement)
}

usual(changes) := answer(fixtures.asked(changes), fixtures.agreement)

permitted(decision) := {category |
	some category, decided in decision.decisions
	decided.outcome == "permitted"
}

reasons(decision) := {category: decided.reason |
	some category, decided in decision.decisions
	decided.outcome == "withheld"
}

nobody_gets(decision) if {
	decision.ask_source == false
	permitted(decision) == set()
}

test_permits_each_category_on_its_ground if {
	usual({}) == {
		"refusal": null,
		"ask_source": true,
		"decisions": {
			"perspective": {
				"outcome": "permitted",
				"ground": "baseline",
				"reason": null,
				"rule": "perspective",
				"paragraph": "art. of perspective",
				"next_step": null,
				"consent": null,
				"valid_until": fixtures.agreement.valid_until,
			},
			"partners": {
				"outcome": "permitted",
				"ground": "baseline",
				"reason": null,
				"rule": "partners",
				"paragraph": "art. of partners",
				"next_step": null,
				"consent": null,
				"valid_until": fixtures.agreement.valid_until,
			},
			"decisions": {
				"outcome": "permitted",
				"ground": "consent",
				"reason": null,
				"rule": "decisions",
				"paragraph": "art. of decisions",
				"next_step": null,
				"consent": "consent-on-decisions",
				"valid_until": fixtures.consent.valid_until,
			},
			"flight_narrative": {
				"outcome": "permitted",
				"ground": "explicit_consent",
				"reason": null,
				"rule": "flight_narrative",
				"paragraph": "art. of flight_narrative",
				"next_step": null,
				"consent": "consent-on-narrative",
				"valid_until": fixtures.explicit_consent.valid_until,
			},
		},
		"obligations": {"retention_days": 90, "redistribute": false, "notify_client": true},
		"valid_until": fixtures.consent.valid_until,
	}
}

test_refuses_on_nothing_at_all if {
	decision := dossier.decision with input as {} with data.agreements as {}
	decision == {
		"refusal": {"code": "agreement_not_in_force", "paragraph": ""},
		"ask_source": false,
		"decisions": {},
		"obligations": {"retention_days": 0, "redistribute": false, "notify_client": false},
		"valid_until": 0,
	}
}

# The removal matrix: each fact, taken away, takes with it what it carried.
test_withholds_everything_without_any_one_fact_of_the_question if {
	every fact, _ in object.remove(fixtures.question, ["consents", "role", "categories"]) {
		decision := answer(object.remove(fixtures.question, [fact]), fixtures.agreement)
		nobody_gets(decision)
	}
}

test_withholds_everything_without_any_one_part_of_the_agreement if {
	every path in [
		"/valid_from",
		"/valid_until",
		"/parties",
		"/parties/vluchtelingenwerk",
		"/parties/vluchtelingenwerk/kind",
		"/parties/ind",
		"/parties/ind/kind",
		"/kinds",
		"/kinds/ngo",
		"/kinds/ngo/receives",
		"/kinds/ind",
		"/kinds/ind/answers",
		"/purposes",
		"/purposes/legal_screening",
		"/purposes/legal_screening/aggregated",
		"/categories",
		"/sources",
		"/sources/ind",
		"/rules",
		"/rules/legal_screening",
		"/rules/legal_screening/ngo",
		"/rules/legal_screening/ngo/ind",
	] {
		less := json.patch(fixtures.agreement, [{"op": "remove", "path": path}])
		decision := answer(fixtures.asked({"categories": ["decisions", "perspective"]}), less)
		nobody_gets(decision)
	}
}

test_withholds_a_category_without_any_one_part_of_its_own if {
	every path in ["/categories/decisions", "/categories/decisions/class", "/rules/legal_screening/ngo/ind/decisions"] {
		less := json.patch(fixtures.agreement, [{"op": "remove", "path": path}])
		decision := answer(fixtures.question, less)
		decision.decisions.decisions.reason == "no_rule"
	}
	every key in ["ground", "roles"] {
		path := sprintf("/rules/legal_screening/ngo/ind/decisions/%s", [key])
		less := json.patch(fixtures.agreement, [{"op": "remove", "path": path}])
		decision := answer(fixtures.question, less)
		decision.decisions.decisions.outcome == "withheld"
	}
	every path in ["/consent", "/consent/max_months"] {
		less := json.patch(fixtures.agreement, [{"op": "remove", "path": path}])
		decision := answer(fixtures.question, less)
		permitted(decision) == {"partners", "perspective"}
	}
}

test_refuses_in_this_order_from_the_agreement_alone if {
	supervision := object.union(fixtures.question, {"requester": "avim", "purpose": "supervision"})
	late := object.union(supervision, {"now": fixtures.agreement.valid_until})
	answer(late, fixtures.agreement).refusal == {"code": "agreement_not_in_force", "paragraph": "art. 1.3"}
	answer(supervision, fixtures.agreement).refusal == {"code": "purpose_not_in_agreement", "paragraph": "art. 1.2"}
	usual({"requester": "avim"}).refusal == {"code": "party_never_receives", "paragraph": "art. 4.2"}
	usual({"requester": "municipality"}).refusal == {"code": "party_never_receives", "paragraph": "art. 4.3"}
	usual({"requester": "dtv"}).refusal == {"code": "no_rule_in_agreement", "paragraph": "art. 2.6"}
	usual({"requester_status": "suspended"}).refusal == {"code": "party_suspended", "paragraph": "art. 1.5"}
	usual({"source_status": "suspended"}).refusal == {"code": "party_suspended", "paragraph": "art. 1.5"}
	usual({"requester_signed": false}).refusal == {"code": "agreement_not_signed", "paragraph": "art. 1.4"}
	usual({"source_signed": false}).refusal == {"code": "agreement_not_signed", "paragraph": "art. 1.4"}
	usual({"founding_signed": false}).refusal == {"code": "agreement_not_in_force", "paragraph": "art. 1.3"}
}

test_decides_by_the_version_that_the_question_names_and_by_no_other if {
	other := json.patch(fixtures.agreement, [{"op": "remove", "path": "/rules/legal_screening/ngo/ind/decisions"}])
	both := {"sha-256:other": other, fixtures.digest: fixtures.agreement}
	opened := dossier.decision with input as fixtures.question with data.agreements as both
	opened.decisions.decisions.outcome == "permitted"
	closed := dossier.decision with input as fixtures.asked({"agreement": "sha-256:other"}) with data.agreements as both
	closed.decisions.decisions.reason == "no_rule"
	unknown := dossier.decision with input as fixtures.asked({"agreement": "sha-256:unknown"}) with data.agreements as both
	unknown.refusal == {"code": "agreement_not_in_force", "paragraph": ""}
}

test_refuses_who_is_of_no_kind_by_the_clause_on_rules if {
	answer(
		fixtures.asked({"requester": "avim"}),
		json.patch(fixtures.agreement, [{"op": "remove", "path": "/kinds/avim"}]),
	).refusal == {"code": "party_never_receives", "paragraph": "art. 2.6"}
}

test_gives_every_category_of_a_refusal_its_reason if {
	barred := usual({"requester": "avim"})
	reasons(barred) == {category: "never_to_this_party" | some category in fixtures.question.categories}
	every decided in barred.decisions {
		decided.paragraph == "art. 4.2"
		decided.next_step == null
	}
	suspended := usual({"source_status": "suspended"})
	reasons(suspended) == {category: "no_rule" | some category in fixtures.question.categories}
}

test_tells_a_stranger_nothing_of_consents_or_rules if {
	every change in [{"on_case": false}, {"worker_on_case": false}, {"case_basis": null}] {
		decision := usual(change)
		nobody_gets(decision)
		reasons(decision) == {category: "not_on_case" | some category in fixtures.question.categories}
		decision.decisions == usual(object.union(change, {"consents": {}, "role": null})).decisions
		decision.valid_until == fixtures.agreement.valid_until
	}
}

test_says_what_would_change_the_answer if {
	every category, expected in {
		"decisions": ["no_consent", "record_consent", "decisions", "art. of decisions"],
		"flight_narrative": ["no_explicit_consent", "record_explicit_consent", "flight_narrative", "art. of flight_narrative"],
		"shelter_location": ["no_rule", "request_under_other_purpose", null, "art. 2.6"],
		"medical": ["never_to_this_party", null, null, "art. 2.5"],
	} {
		decided := usual({"categories": [category], "consents": object.remove(fixtures.question.consents, [category])}).decisions[category]
		[decided.reason, decided.next_step, decided.rule, decided.paragraph] == expected
	}
	other := usual({"role": "desk"}).decisions.decisions
	[other.reason, other.next_step, other.rule] == ["role_may_not", "ask_with_other_role", "decisions"]
}

test_takes_the_strictest_of_the_obligations if {
	strict := json.patch(fixtures.agreement, [
		{"op": "add", "path": "/rules/legal_screening/ngo/ind/decisions/retention_days", "value": 7},
		{"op": "add", "path": "/rules/legal_screening/ngo/ind/decisions/redistribute", "value": true},
		{"op": "add", "path": "/rules/legal_screening/ngo/ind/perspective/notify_client", "value": false},
	])
	answer(fixtures.question, strict).obligations == {"retention_days": 7, "redistribute": false, "notify_client": true}
	alone := answer(fixtures.asked({"categories": ["decisions"]}), strict)
	alone.obligations == {"retention_days": 7, "redistribute": true, "notify_client": true}
	told := answer(fixtures.asked({"categories": ["perspective"]}), strict)
	told.obligations == {"retention_days": 90, "redistribute": false, "notify_client": false}
}

test_asks_no_source_for_what_the_gateway_answers if {
	decision := usual({"categories": ["partners"]})
	permitted(decision) == {"partners"}
	decision.ask_source == false
}

test_asks_no_wary_source_without_consent if {
	decision := usual({"source": "dtv", "categories": ["perspective", "partners"], "consents": {}})
	permitted(decision) == {"partners"}
	decision.ask_source == false
	wary := decision.decisions.perspective
	[wary.reason, wary.next_step, wary.paragraph] == ["asking_needs_consent", "record_consent", "art. 2.2"]
}

test_a_municipality_is_told_its_own_paragraph if {
	agreement := fixtures.agreement_with("/rules", fixtures.rules_of(
		"legal_screening", "municipality", "ind",
		{"contact": fixtures.lawful_rule("contact", "statutory"), "decisions": fixtures.rule("decisions", "consent")},
	))
	facts := {
		"requester": "municipality",
		"case_basis": "invitation",
		"categories": ["contact", "decisions"],
		"consents": fixtures.granted("decisions", {"recipient": "municipality"}),
	}
	decision := answer(fixtures.asked(facts), agreement)
	permitted(decision) == {"contact"}
	reasons(decision).decisions == "never_to_this_party"
	decision.decisions.decisions.paragraph == "art. 4.3"
}

test_a_category_that_no_version_lists_has_no_rule if {
	decided := usual({"categories": ["gossip", "decisions"]})
	permitted(decided) == {"decisions"}
	reasons(decided) == {"gossip": "no_rule"}
}
