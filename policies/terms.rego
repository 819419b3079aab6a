# METADATA
# title: What the agreement says
# description: |
#   Reads, of the versions that the engine holds, the one that the question names. Everything here is a look-up by
#   key, so neither a longer agreement nor a second version makes a slower decision; no rule returns a whole
#   version, for an engine may copy what a rule returns. Whatever is missing or of another type is undefined.
package terms

# METADATA
# description: The founding set has signed this version, and it holds at input.now; its last second is the one before valid_until.
default in_force := false

in_force if {
	input.founding_signed == true
	within(data.agreements[input.agreement].valid_from, data.agreements[input.agreement].valid_until)
}

# METADATA
# description: When this version ends, in seconds.
ends := data.agreements[input.agreement].valid_until

# METADATA
# description: The purpose asked for, where the agreement lists it.
purpose := data.agreements[input.agreement].purposes[input.purpose]

# METADATA
# description: The agreement lists the purpose asked for.
default lists_purpose := false

lists_purpose if is_object(purpose)

# METADATA
# description: The kind of party that asks.
requester_kind := data.agreements[input.agreement].parties[input.requester].kind

# METADATA
# description: The kind of party that is asked.
source_kind := data.agreements[input.agreement].parties[input.source].kind

# METADATA
# description: The agreement has this kind of party receive something at all.
default requester_kind_receives := false

requester_kind_receives if data.agreements[input.agreement].kinds[requester_kind].receives == true

# METADATA
# description: What the agreement says of the kind of party that asks.
requester_paragraph := data.agreements[input.agreement].kinds[requester_kind].paragraph

# METADATA
# description: What the agreement says of a category; undefined for one that it does not list.
category(name) := data.agreements[input.agreement].categories[name]

# METADATA
# description: Category to rule, for this purpose between these two kinds; undefined where there is none.
rules := between if {
	data.agreements[input.agreement].kinds[source_kind].answers == true
	is_object(source)
	between := data.agreements[input.agreement].rules[input.purpose][requester_kind][source_kind]
	is_object(between)
	count(between) > 0
}

# METADATA
# description: Under which conditions the source may be asked.
source := data.agreements[input.agreement].sources[input.source]

# METADATA
# description: |
#   Both parties have signed this version (DESIGN §5); one signature binds nobody else. Signatures are facts, as
#   somebody's standing is: one that is withdrawn stops what rests on it at the next question.
default both_signed := false

both_signed if {
	input.requester_signed == true
	input.source_signed == true
}

# METADATA
# description: Neither party is suspended.
default both_active := false

both_active if {
	input.requester_status == "active"
	input.source_status == "active"
}

# METADATA
# description: The worker's role is one that the rule names.
role_may(rule) if {
	is_array(rule.roles)
	input.role in rule.roles
}

# METADATA
# description: When the law ends that the rule names; undefined unless that law is in the agreement, cited, and in force.
statute_end(rule) := statute.valid_until if {
	statute := data.agreements[input.agreement].statutes[rule.statute]
	is_string(statute.citation)
	statute.citation != ""
	within(statute.valid_from, statute.valid_until)
}

# METADATA
# description: The rule names a law, and that law is in force; for some parties, nothing opens without one.
by_statute(rule) if is_number(statute_end(rule))

# METADATA
# description: The longest time for which this agreement lets a consent be given, in months.
consent_months := data.agreements[input.agreement].consent.max_months

# METADATA
# description: input.now lies in a period. The types come first, for Rego orders any two values (a number is less than a list).
within(valid_from, valid_until) if {
	is_number(input.now)
	is_number(valid_from)
	is_number(valid_until)
	valid_from <= input.now
	input.now < valid_until
}

# METADATA
# description: The paragraph that speaks for an outcome no single rule speaks for.
default clause(_) := ""

clause(outcome) := data.agreements[input.agreement].clauses[outcome]
