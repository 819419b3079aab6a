# METADATA
# title: On what each category rests
# description: |
#   Per requested category the ground that is proven, with the consent behind it and how long it lasts. A category
#   that is absent here rests on nothing. Who may know is not this package's question.
package grounds

import data.consent
import data.involvement
import data.prohibitions
import data.terms

# METADATA
# description: Requested categories that a rule opens for this requester and this role, with the ground to prove.
opened[category] := needed if {
	some category in input.categories
	rule := terms.rules[category]
	not prohibitions.bars_category(category)
	terms.role_may(rule)
	not prohibitions.bars_role(category)
	needed := prohibitions.ground(category, rule)
}

# METADATA
# description: Categories that rest on a consent or on a law. Each also lets the source be asked.
proven[category] := _on("consent", consent.covering[category], category) if {
	opened[category] == "consent"
}

proven[category] := _on("explicit_consent", consent.explicit[category], category) if {
	opened[category] == "explicit_consent"
}

proven[category] := {"ground": "statutory", "consent": null, "valid_until": until} if {
	opened[category] == "statutory"
	until := terms.statute_end(terms.rules[category])
}

# METADATA
# description: |
#   Categories of the baseline. Asking is disclosing, so one that the source must be asked for needs a source that
#   may be asked: freely, by a consent that names it, or because a proven category has it asked already.
stated[category] := ground if {
	some category, "baseline" in opened
	ground := _stating(category)
}

_stating(category) := _on("baseline", {"consent": null, "valid_until": terms.ends}, category) if {
	_needs_no_asking(category)
} else := _on("consent", consent.covering[category], category) if {
	consent.covering[category]
} else := _on("baseline", {"consent": null, "valid_until": latest}, category) if {
	latest := max([ground.valid_until | some ground in proven])
}

# What a rule opens ends with the law that the rule names, if it names one.
_on(ground, found, category) := {
	"ground": ground,
	"consent": found.consent,
	"valid_until": min({found.valid_until} | {end | end := terms.statute_end(terms.rules[category])}),
}

_needs_no_asking(category) if terms.category(category).answered_by == "gateway"

# Whoever holds power over the client shows the source a consent also for the baseline.
_needs_no_asking(_) if {
	terms.source.may_be_asked_without_consent == true
	not terms.requester_kind in involvement.holds_power
}
