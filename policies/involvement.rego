# METADATA
# title: Who is on the client's case
# description: No fishing. A party gets nothing about a client with whom it is not involved (docs/policy.md).
package involvement

import data.consent
import data.terms

# METADATA
# description: Kinds that join by the client's mandate or by an accepted invitation.
joins_by_invitation := {"coordination", "lawyer", "ngo", "return_org", "review"}

# METADATA
# description: Kinds that hold power over the client and so join only by consent.
joins_by_consent := {"dtv", "health", "ind", "municipality"}

# METADATA
# description: Party and worker are both on the case, and the party in a way that counts for its kind.
default shown := false

shown if {
	input.on_case == true
	input.worker_on_case == true
	input.case_basis in {"invitation", "mandate"}
	_joined
}

_joined if terms.requester_kind in joins_by_invitation

# The consent is looked for at every question: when it ends, so does the involvement.
_joined if {
	terms.requester_kind in joins_by_consent
	count(consent.covering) > 0
}
