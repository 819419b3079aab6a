# METADATA
# title: What no agreement can allow
# description: |
#   What the law, the plan and the founding parties rule out. It stands in code, not in the agreement, so that a
#   wrong or hostile version of the data does not lift it. Each rule says in which cases the answer is no,
#   whatever data and consents say.
package prohibitions

import data.terms

# METADATA
# description: The three facts that may leave without consent (000 §2.5); no other category ever rests on that ground.
baseline := {"perspective", "guidance", "partners"}

# METADATA
# description: GDPR art. 9 and as sensitive; only an explicit yes that names the category opens them.
special := {"flight_narrative", "medical", "trafficking", "vulnerability"}

# METADATA
# description: Where someone sleeps never reaches whoever can come and fetch them.
never_sheltered_by := {"avim", "dtv", "ind"}

# METADATA
# description: |
#   Clients depend on the municipality, so their consent gives it no basis (003 §5.1); the municipal health service
#   is treated alike until the agreement states its own.
only_by_statute := {"health", "municipality"}

# METADATA
# description: The stay in the shelter, 18 months (003 §3.2), in seconds; the day is for months of different lengths.
consent_max_seconds := ((18 * 31) + 1) * 86400

# METADATA
# description: AVIM answers and never asks (003 §5.5.5); the gateway keeps no dossier, so it has nothing to ask for.
never_asks := {"avim", "gateway"}

# METADATA
# description: Purposes that are served with counts; nothing about a person leaves under them.
counts_only := {"aggregate_report"}

# METADATA
# description: The kind of party that asks gets nothing on this question, of any category.
default bars_requester := false

bars_requester if terms.requester_kind in never_asks

bars_requester if {
	terms.requester_kind in only_by_statute
	not some_rule_by_statute
}

# METADATA
# description: A law in force lets this kind of party have something on this question.
some_rule_by_statute if {
	some rule in terms.rules
	terms.by_statute(rule)
}

# METADATA
# description: The purpose yields counts, by name or by what the agreement says; silence counts as yes.
default bars_purpose := false

bars_purpose if input.purpose in counts_only

bars_purpose if not _about_persons

# METADATA
# description: This category never reaches this requester, whatever its rule and the consents say.
bars_category(_) if bars_requester

bars_category(category) if {
	category == "shelter_location"
	terms.requester_kind in never_sheltered_by
}

bars_category(category) if {
	category == "medical"
	not _medical_destination
}

bars_category(category) if {
	terms.requester_kind in only_by_statute
	not _by_statute(category)
}

# METADATA
# description: Medical data go to a health professional only, whichever roles the rule names.
bars_role(category) if {
	category == "medical"
	not _medical_role
}

# METADATA
# description: |
#   The ground on which a category can rest: the rule's own, except that special categories need an explicit yes
#   and that baseline carries its three facts only, `guidance` from an NGO. Undefined: the rule is void, as is one
#   that names a law which is not in force, and one that would open something by a yes that cannot be given freely.
ground(category, rule) := needed if {
	_law_allows(rule)
	needed := _ground(category, rule)
}

_ground(category, rule) := "explicit_consent" if {
	is_object(rule)
	_is_special(category)
} else := _ordinary_ground(category, rule) if {
	_class(category) in {"baseline", "ordinary"}
}

_ordinary_ground(category, rule) := "statutory" if {
	rule.ground == "statutory"
	terms.by_statute(rule)
} else := rule.ground if {
	rule.ground in {"consent", "explicit_consent"}
	not terms.requester_kind in only_by_statute
} else := "baseline" if {
	rule.ground == "baseline"
	not terms.requester_kind in only_by_statute
	category in baseline
	_class(category) == "baseline"
	_states_it(category)
}

_is_special(category) if category in special

_is_special(category) if _class(category) == "special"

_class(category) := terms.category(category).class

_states_it(category) if category != "guidance"

_states_it("guidance") if terms.source_kind == "ngo"

# Legal basis and consent are two fields, both required: what a law is said to allow ends with that law.
_law_allows(rule) if object.get(rule, "statute", null) == null

_law_allows(rule) if terms.by_statute(rule)

# The helpers below are what is negated above: `not f(x)` is undefined, not true, where x is undefined.
_about_persons if terms.purpose.aggregated == false

_by_statute(category) if terms.by_statute(terms.rules[category])

_medical_role if input.role == "medical"

# Vw art. 64: the health service, or IND to judge a stay of departure.
_medical_destination if terms.requester_kind == "health"

_medical_destination if {
	terms.requester_kind == "ind"
	input.purpose == "medical_stay"
}
