package terms_test

import data.fixtures_test as fixtures
import data.terms

test_in_force_from_its_first_second_to_the_one_before_its_last if {
	every moment, holds in {
		fixtures.agreement.valid_from - 1: false,
		fixtures.agreement.valid_from: true,
		fixtures.agreement.valid_until - 1: true,
		fixtures.agreement.valid_until: false,
	} {
		terms.in_force == holds with input as fixtures.asked({"now": moment})
			with data.agreements as fixtures.held(fixtures.agreement)
	}
}

test_in_force_only_where_the_founding_set_has_signed if {
	every signed in [false, null, "true", 1] {
		terms.in_force == false with input as fixtures.asked({"founding_signed": signed})
			with data.agreements as fixtures.held(fixtures.agreement)
	}
}

test_no_version_but_the_one_that_is_asked_about_is_in_force if {
	every named in ["sha-256:other", "", null, 1] {
		terms.in_force == false with input as fixtures.asked({"agreement": named})
			with data.agreements as fixtures.held(fixtures.agreement)
	}
}

# Rego orders values of different types: without the guards a list is later than every number.
test_refuses_instants_of_another_type if {
	every change in [
		{"valid_until": []},
		{"valid_until": "9999"},
		{"valid_from": null},
		{"valid_from": false},
	] {
		terms.in_force == false with input as fixtures.question
			with data.agreements as fixtures.held(object.union(fixtures.agreement, change))
	}
	terms.in_force == false with input as fixtures.asked({"now": "1764000000"})
		with data.agreements as fixtures.held(fixtures.agreement)
}

test_both_must_have_signed_and_only_true_is_a_signature if {
	terms.both_signed with input as fixtures.question
	every party in ["requester_signed", "source_signed"] {
		terms.both_signed == false with input as object.remove(fixtures.question, [party])
		every signed in [false, null, "true", 1] {
			terms.both_signed == false with input as fixtures.asked({party: signed})
		}
	}
}

test_role_may_only_where_the_rule_lists_it if {
	rule := fixtures.rule("decisions", "consent")
	terms.role_may(rule) with input.role as "caseworker"
	not terms.role_may(rule) with input.role as "desk"
	not terms.role_may(rule) with input.role as null
	not terms.role_may(object.union(rule, {"roles": "caseworker"})) with input.role as "caseworker"
	not terms.role_may(object.union(rule, {"roles": {"role": "caseworker"}})) with input.role as "caseworker"
}

test_a_statute_counts_only_when_named_and_in_force if {
	law := fixtures.lawful_rule("contact", "consent")
	every moment in [fixtures.statute.valid_from, fixtures.statute.valid_until - 1] {
		terms.statute_end(law) == fixtures.statute.valid_until with input as fixtures.asked({"now": moment})
			with data.agreements as fixtures.held(fixtures.agreement)
		terms.by_statute(law) with input as fixtures.asked({"now": moment})
			with data.agreements as fixtures.held(fixtures.agreement)
	}
	every moment in [fixtures.statute.valid_from - 1, fixtures.statute.valid_until] {
		not terms.by_statute(law) with input as fixtures.asked({"now": moment})
			with data.agreements as fixtures.held(fixtures.agreement)
	}
	every named in [null, "", "another", 1] {
		not terms.by_statute(object.union(law, {"statute": named})) with input as fixtures.question
			with data.agreements as fixtures.held(fixtures.agreement)
	}
	every path, value in {
		"/statutes": {},
		"/statutes/vw-0": {},
		"/statutes/vw-0/citation": "",
		"/statutes/vw-0/valid_from": "0",
		"/statutes/vw-0/valid_until": [],
	} {
		not terms.by_statute(law) with input as fixtures.question
			with data.agreements as fixtures.held(fixtures.agreement_with(path, value))
	}
}

test_a_source_must_be_one_and_of_a_kind_that_answers if {
	terms.rules.decisions with input as fixtures.question with data.agreements as fixtures.held(fixtures.agreement)
	every path, value in {"/kinds/ind/answers": false, "/sources": {}, "/rules/legal_screening/ngo/ind": {}} {
		not terms.rules with input as fixtures.question with data.agreements as fixtures.held(fixtures.agreement_with(path, value))
	}
}

test_an_outcome_without_a_clause_has_an_empty_one if {
	terms.clause("no_rule") == "art. 2.6" with input as fixtures.question
		with data.agreements as fixtures.held(fixtures.agreement)
	terms.clause("something_else") == "" with input as fixtures.question
		with data.agreements as fixtures.held(fixtures.agreement)
}
