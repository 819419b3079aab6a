# METADATA
# title: A block of questions in one call
# description: |
#   For the tests: asks the policy a whole block of questions and returns only where it did not answer as was
#   expected, so that the engine is not waited for a million times. The caller checks how many were asked.
package harness

# METADATA
# description: Which of the block's questions were answered otherwise than expected.
# entrypoint: true
result := {"asked": asked, "differences": differences}

asked := (count(input.roles) * count(input.cases)) * count(input.consents)

differences := [[r, c, k] |
	some r, role in input.roles
	some c, case in input.cases
	some k, consents in input.consents
	question := object.union_n([input.base, case, {"role": role, "consents": consents}])

	# In a list, for what is undefined is a difference, too: an engine that says nothing has not agreed.
	found := [answer | answer := data.dossier.decision with input as question]
	found != [input.answers[input.expected[r][c][k]]]
]

# METADATA
# description: Which of these questions, by their number, release something or trouble the source.
# entrypoint: true
releasing contains number if {
	some number, question in input.questions
	some decision in data.dossier.decision.decisions with input as question
	decision.outcome == "permitted"
}

releasing contains number if {
	some number, question in input.questions
	data.dossier.decision.ask_source == true with input as question
}

# METADATA
# description: What the policy says to one question.
# entrypoint: true
said := found if {
	found := data.dossier.decision with input as input.question
}
