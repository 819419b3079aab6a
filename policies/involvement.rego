# METADATA
# title: Who is on the client's case
# description: No fishing. A party gets nothing about a client with whom it is not involved (docs/policy.md).
package involvement

import data.consent
import data.prohibitions
import data.terms

# METADATA
# description: Kinds that join by the client's mandate or by an accepted invitation.
joins_by_invitation := {"coordination", "lawyer", "ngo", "return_org", "review"}

# METADATA
# description: Kinds that decide about the client and so join only by a consent that names them.
joins_by_consent := {"dtv", "ind"}

# METADATA
# description: Kinds that hold power over the client, whether a consent or only a law involves them.
holds_power := joins_by_consent | prohibitions.only_by_statute

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

# No yes involves whoever the client depends on (003 §5.1): a law in force does, and still by invitation only.
_joined if {
	input.case_basis == "invitation"
	terms.requester_kind in prohibitions.only_by_statute
	prohibitions.some_rule_by_statute
}
