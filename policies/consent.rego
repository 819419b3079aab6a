# METADATA
# title: What the client said yes to
# description: |
#   Only positive facts count: a consent whose state, confirmation or period is missing covers nothing. Whether a
#   consent was refused, withdrawn or expired is not told apart here, so no answer can tell it.
package consent

import data.prohibitions
import data.terms

# METADATA
# description: Per requested category the consent that covers this purpose, source and recipient now.
covering[category] := chosen if {
	some category in input.categories
	chosen := _longest([granted |
		some granted in input.consents[category]
		_covers(granted, category)
	])
}

# METADATA
# description: The same, of consents in which the client named the category explicitly.
explicit[category] := chosen if {
	some category in input.categories
	chosen := _longest([granted |
		some granted in input.consents[category]
		_covers(granted, category)
		granted.explicit == true
	])
}

_covers(granted, category) if {
	granted.category == category
	granted.purpose == input.purpose
	granted.source == input.source
	granted.recipient == input.requester
	granted.status == "active"
	granted.confirmed == true
	is_string(granted.id)
	is_number(input.now)
	is_number(granted.valid_from)
	is_number(granted.valid_until)
	granted.valid_from <= input.now
	input.now < granted.valid_until
	granted.valid_until - granted.valid_from <= _longest_allowed
	_by_whom_it_must(granted)
}

# The agreement may shorten what a consent lasts, and never lengthen it.
_longest_allowed := min([prohibitions.consent_max_seconds, ((terms.consent_months * 31) + 1) * 86400]) if {
	is_number(terms.consent_months)
}

# UAVG art. 5: under 16 a legal representative consents, from 16 the client.
_by_whom_it_must(granted) if {
	granted.minor == false
	is_boolean(granted.guardian)
}

_by_whom_it_must(granted) if {
	granted.minor == true
	granted.guardian == true
}

# Of several that cover, the one that lasts longest, then the lowest id: the same facts give the same answer.
_longest(candidates) := {"consent": id, "valid_until": latest} if {
	latest := max([granted.valid_until | some granted in candidates])
	id := min([granted.id | some granted in candidates; granted.valid_until == latest])
}
