# METADATA
# title: One decision
# description: |
#   Composes the other packages into the single answer that the gateway asks for, before a source is asked and again
#   at every hand-over. Nothing here knows a party, a purpose or a category by name.
package dossier

import data.grounds
import data.involvement
import data.prohibitions
import data.terms

# METADATA
# description: The one rule the gateway queries. It has this shape whether it permits, withholds or refuses.
# entrypoint: true
decision := {
	"refusal": refusal,
	"ask_source": ask_source,
	"decisions": decisions,
	"obligations": obligations,
	"valid_until": valid_until,
}

# METADATA
# description: Why the agreement alone refuses, before anything about a client is looked at; null where it does not.
refusal := _refused("agreement_not_in_force") if {
	not terms.in_force
} else := _refused("purpose_not_in_agreement") if {
	not terms.lists_purpose
} else := {"code": "party_never_receives", "paragraph": _paragraph_of_kind} if {
	not _requester_may_receive
} else := _refused("no_rule_in_agreement") if {
	not _rules_about_persons
} else := _refused("agreement_not_signed") if {
	not terms.both_signed
} else := _refused("party_suspended") if {
	not terms.both_active
} else := null

# METADATA
# description: Something permitted must come from the source, so it may be asked.
default ask_source := false

ask_source if {
	some category, _ in permitted
	terms.category(category).answered_by == "source"
}

# METADATA
# description: Requested categories that may leave, each with the ground that was proven.
permitted[category] := ground if {
	_looks_at_categories
	some found in [grounds.proven, grounds.stated]
	some category, ground in found
}

# METADATA
# description: One decision for every requested category, all with the same keys.
decisions[category] := {
	"outcome": "permitted",
	"ground": ground.ground,
	"reason": null,
	"rule": terms.rules[category].id,
	"paragraph": terms.rules[category].paragraph,
	"next_step": null,
	"consent": ground.consent,
	"valid_until": ground.valid_until,
} if {
	some category, ground in permitted
}

decisions[category] := _without_case if {
	not _looks_at_categories
	some category in input.categories
}

decisions[category] := {
	"outcome": "withheld",
	"ground": null,
	"reason": reason,
	"rule": _rule(category, reason),
	"paragraph": _paragraph(category, reason),
	"next_step": _next_step(category, reason),
	"consent": null,
	"valid_until": null,
} if {
	_looks_at_categories
	some category in input.categories
	not permitted[category]
	reason := _reason(category)
}

# METADATA
# description: What the requester must do with what it gets; the strictest of the permitted rules.
obligations := {
	"retention_days": min([days | some category, _ in permitted; days := terms.rules[category].retention_days]),
	"redistribute": count([1 | some category, _ in permitted; terms.rules[category].redistribute == true]) == count(permitted),
	"notify_client": count([1 | some category, _ in permitted; terms.rules[category].notify_client == false]) < count(permitted),
} if {
	count(permitted) > 0
} else := {"retention_days": 0, "redistribute": false, "notify_client": false}

# METADATA
# description: Until when every permitted decision holds, in seconds; 0 where the agreement refuses.
default valid_until := 0

valid_until := min({terms.ends} | {ground.valid_until | some ground in permitted}) if {
	refusal == null
}

_requester_may_receive if {
	terms.requester_kind_receives
	not prohibitions.bars_requester
}

_rules_about_persons if {
	is_object(terms.rules)
	not prohibitions.bars_purpose
}

# Elsewhere one answer serves every category: rules and consents are not even read.
_looks_at_categories if {
	refusal == null
	involvement.shown
}

_without_case := {
	"outcome": "withheld",
	"ground": null,
	"reason": _same_reason,
	"rule": null,
	"paragraph": _same_paragraph,
	"next_step": null,
	"consent": null,
	"valid_until": null,
}

_same_reason := "not_on_case" if {
	refusal == null
} else := "never_to_this_party" if {
	refusal.code == "party_never_receives"
} else := "no_rule"

_same_paragraph := terms.clause("not_on_case") if {
	refusal == null
} else := refusal.paragraph

# One reason, the first that stands: what cannot change comes before what the caller can do something about.
_reason(category) := "never_to_this_party" if {
	prohibitions.bars_category(category)
} else := "no_rule" if {
	not _has_ground(category)
} else := "role_may_not" if {
	not grounds.opened[category]
} else := "no_explicit_consent" if {
	grounds.opened[category] == "explicit_consent"
} else := "no_consent" if {
	grounds.opened[category] == "consent"
} else := "asking_needs_consent"

# A helper, for `not f(x)` is undefined, not true, where x is: the missing rule must lead to a reason.
_has_ground(category) if prohibitions.ground(category, terms.rules[category])

_next_step(category, reason) := "ask_with_medical_role" if {
	reason == "role_may_not"
	prohibitions.bars_role(category)
} else := {
	"asking_needs_consent": "record_consent",
	"never_to_this_party": null,
	"no_consent": "record_consent",
	"no_explicit_consent": "record_explicit_consent",
	"no_rule": "request_under_other_purpose",
	"role_may_not": "ask_with_other_role",
}[reason]

# A rule is named where it was the rule that decided; elsewhere the agreement's own paragraph speaks.
_by_rule := {"no_consent", "no_explicit_consent", "role_may_not"}

_rule(category, reason) := terms.rules[category].id if {
	reason in _by_rule
} else := null

_paragraph(category, reason) := terms.rules[category].paragraph if {
	reason in _by_rule
} else := _paragraph_of_kind if {
	reason == "never_to_this_party"
	terms.requester_kind in prohibitions.only_by_statute
} else := terms.category(category).paragraph if {
	reason == "never_to_this_party"
} else := terms.clause(reason)

_refused(code) := {"code": code, "paragraph": terms.clause(code)}

# Who is no party has no kind, and gets nothing because no rule opens anything to it.
_paragraph_of_kind := paragraph if {
	paragraph := terms.requester_paragraph
} else := terms.clause("no_rule_in_agreement")
