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
		terms.in_force == holds with input.now as moment with data.agreement as fixtures.agreement
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
		terms.in_force == false with input.now as fixtures.now
			with data.agreement as object.union(fixtures.agreement, change)
	}
	terms.in_force == false with input.now as "1764000000" with data.agreement as fixtures.agreement
}

test_both_must_have_signed_and_only_true_is_a_signature if {
	terms.both_signed with input as fixtures.question with data.signed_by as fixtures.signed_by
	every signed in [
		object.remove(fixtures.signed_by, ["ind"]),
		object.remove(fixtures.signed_by, ["vluchtelingenwerk"]),
		object.union(fixtures.signed_by, {"ind": "true"}),
		{},
	] {
		terms.both_signed == false with input as fixtures.question with data.signed_by as signed
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
	law := object.union(fixtures.rule("contact", "statutory"), {"statutory_basis": fixtures.statute})
	terms.by_statute(law) with input.now as fixtures.now
	not terms.by_statute(law) with input.now as fixtures.statute.valid_until
	not terms.by_statute(law) with input.now as fixtures.statute.valid_from - 1
	not terms.by_statute(object.union(law, {"ground": "consent"})) with input.now as fixtures.now
	not terms.by_statute(object.union(law, {"statutory_basis": {"citation": ""}})) with input.now as fixtures.now
	not terms.by_statute(object.remove(law, ["statutory_basis"])) with input.now as fixtures.now
}

test_a_source_must_be_one_and_of_a_kind_that_answers if {
	terms.rules.decisions with input as fixtures.question with data.agreement as fixtures.agreement
	every path, value in {"/kinds/ind/answers": false, "/sources": {}, "/rules/legal_screening/ngo/ind": {}} {
		not terms.rules with input as fixtures.question with data.agreement as fixtures.agreement_with(path, value)
	}
}

test_an_outcome_without_a_clause_has_an_empty_one if {
	terms.clause("no_rule") == "art. 2.6" with data.agreement as fixtures.agreement
	terms.clause("something_else") == "" with data.agreement as fixtures.agreement
}
