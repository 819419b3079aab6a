# METADATA
# title: Who may ask an OPA server what
# description: |
#   Travels in the bundle and holds where OPA runs with --authorization=basic: one question, and whether it lives.
#   Everything else of its interface is closed: reading the agreement, explaining a decision, writing a policy.
package system.authz

default allow := false

allow if {
	input.method == "POST"
	input.path == ["v1", "data", "dossier", "decision"]
	input.params == {"provenance": ["true"]}
}

allow if {
	input.method == "GET"
	input.path == ["health"]
}
