# METADATA
# title: One valid question
# description: |
#   A small agreement and one question under which every kind of permission is given, from which the tests take
#   things away. The agreement that the parties signed is tested from Python, against an oracle.
package fixtures_test

now := 1764000000

digest := "sha-256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

consent := {
	"id": "consent-on-decisions",
	"category": "decisions",
	"source": "ind",
	"recipient": "vluchtelingenwerk",
	"purpose": "legal_screening",
	"status": "active",
	"confirmed": true,
	"explicit": false,
	"minor": false,
	"guardian": false,
	"valid_from": now - 60,
	"valid_until": now + 3600,
}

explicit_consent := object.union(consent, {
	"id": "consent-on-narrative",
	"category": "flight_narrative",
	"explicit": true,
	"valid_until": now + 7200,
})

question := {
	"now": now,
	"agreement": digest,
	"founding_signed": true,
	"requester": "vluchtelingenwerk",
	"requester_status": "active",
	"requester_signed": true,
	"source": "ind",
	"source_status": "active",
	"source_signed": true,
	"purpose": "legal_screening",
	"categories": ["perspective", "partners", "decisions", "flight_narrative"],
	"role": "caseworker",
	"on_case": true,
	"case_basis": "mandate",
	"worker_on_case": true,
	"consents": {"decisions": [consent], "flight_narrative": [explicit_consent]},
}

rule(id, ground) := {
	"id": id,
	"ground": ground,
	"roles": ["caseworker"],
	"legal_basis": "GDPR 6(1)(f)",
	"retention_days": 90,
	"redistribute": false,
	"notify_client": true,
	"paragraph": sprintf("art. of %s", [id]),
}

agreement := {
	"valid_from": now - 86400,
	"valid_until": now + 86400,
	"consent": {"default_months": 6, "max_months": 18},
	"statutes": {"vw-0": statute},
	"clauses": {
		"agreement_not_in_force": "art. 1.3",
		"purpose_not_in_agreement": "art. 1.2",
		"no_rule_in_agreement": "art. 2.6",
		"agreement_not_signed": "art. 1.4",
		"party_suspended": "art. 1.5",
		"not_on_case": "art. 3.1",
		"no_rule": "art. 2.6",
		"asking_needs_consent": "art. 2.2",
	},
	"parties": {
		"avim": {"kind": "avim"},
		"dtv": {"kind": "dtv"},
		"ggd": {"kind": "health"},
		"ind": {"kind": "ind"},
		"municipality": {"kind": "municipality"},
		"other-ngo": {"kind": "ngo"},
		"vluchtelingenwerk": {"kind": "ngo"},
	},
	"kinds": {
		"avim": {"receives": true, "answers": true, "paragraph": "art. 4.2"},
		"dtv": {"receives": true, "answers": true, "paragraph": "art. 4.6"},
		"health": {"receives": true, "answers": true, "paragraph": "art. 4.4"},
		"ind": {"receives": true, "answers": true, "paragraph": "art. 4.5"},
		"municipality": {"receives": true, "answers": true, "paragraph": "art. 4.3"},
		"ngo": {"receives": true, "answers": true, "paragraph": "art. 4.1"},
	},
	"purposes": {
		"aggregate_report": {"aggregated": false},
		"legal_screening": {"aggregated": false},
		"medical_stay": {"aggregated": false},
	},
	"categories": {
		"contact": {"class": "ordinary", "answered_by": "source", "paragraph": "art. 2.3"},
		"decisions": {"class": "ordinary", "answered_by": "source", "paragraph": "art. 2.3"},
		"flight_narrative": {"class": "special", "answered_by": "source", "paragraph": "art. 2.4"},
		"guidance": {"class": "baseline", "answered_by": "source", "paragraph": "art. 2.1"},
		"medical": {"class": "special", "answered_by": "source", "paragraph": "art. 2.5"},
		"partners": {"class": "baseline", "answered_by": "gateway", "paragraph": "art. 2.1"},
		"perspective": {"class": "baseline", "answered_by": "source", "paragraph": "art. 2.1"},
		"shelter_location": {"class": "ordinary", "answered_by": "source", "paragraph": "art. 2.7"},
		"vulnerability": {"class": "ordinary", "answered_by": "source", "paragraph": "art. 2.4"},
	},
	"sources": {
		"dtv": {"may_be_asked_without_consent": false},
		"ind": {"may_be_asked_without_consent": true},
		"other-ngo": {"may_be_asked_without_consent": true},
	},
	"rules": {"legal_screening": {"ngo": {
		"dtv": between,
		"ind": between,
		"ngo": between,
	}}},
}

between := {
	"contact": rule("contact", "consent"),
	"decisions": rule("decisions", "consent"),
	"flight_narrative": rule("flight_narrative", "explicit_consent"),
	"guidance": rule("guidance", "baseline"),
	"partners": rule("partners", "baseline"),
	"perspective": rule("perspective", "baseline"),
}

# METADATA
# description: What the engine holds when it holds this version alone.
held(version) := {digest: version}

# METADATA
# description: The agreement with one value put elsewhere.
agreement_with(path, value) := json.patch(agreement, [{"op": "add", "path": path, "value": value}])

# METADATA
# description: Rules for the whole of one purpose, requester kind and source kind.
rules_of(purpose, requester, source, rules) := {purpose: {requester: {source: rules}}}

statute := {"citation": "Vw art. 0", "valid_from": now - 60, "valid_until": now + 60}

# METADATA
# description: A rule on this ground that names the law as well.
lawful_rule(id, ground) := object.union(rule(id, ground), {"statute": "vw-0"})

# METADATA
# description: The agreement in which that law has been over since this second.
without_law(version) := json.patch(version, [{"op": "add", "path": "/statutes/vw-0/valid_until", "value": now}])

# METADATA
# description: The question with some facts replaced.
asked(changes) := object.union(object.remove(question, object.keys(changes)), changes)

# METADATA
# description: A consent to one category, of this question, with some facts replaced.
granted(category, changes) := {category: [object.union(
	object.union(consent, {"category": category, "id": sprintf("consent-on-%s", [category])}),
	changes,
)]}
