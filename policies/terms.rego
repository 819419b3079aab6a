# METADATA
# title: What the agreement says
# description: |
#   Reads data.agreement and data.signed_by for the question in input. Everything here is a look-up by key, so a
#   longer agreement does not make a slower decision. Whatever is missing or of another type is undefined.
package terms

# METADATA
# description: The agreement holds at input.now; its last second is the one before valid_until.
default in_force := false

in_force if {
	within(data.agreement)
}

# METADATA
# description: The purpose asked for, where the agreement lists it.
purpose := data.agreement.purposes[input.purpose]

# METADATA
# description: The agreement lists the purpose asked for.
default lists_purpose := false

lists_purpose if is_object(purpose)

# METADATA
# description: The kind of party that asks.
requester_kind := data.agreement.parties[input.requester].kind

# METADATA
# description: The kind of party that is asked.
source_kind := data.agreement.parties[input.source].kind

# METADATA
# description: The agreement has this kind of party receive something at all.
default requester_kind_receives := false

requester_kind_receives if data.agreement.kinds[requester_kind].receives == true

# METADATA
# description: Category to rule, for this purpose between these two kinds; undefined where there is none.
rules := between if {
	data.agreement.kinds[source_kind].answers == true
	is_object(source)
	between := data.agreement.rules[input.purpose][requester_kind][source_kind]
	is_object(between)
	count(between) > 0
}

# METADATA
# description: Under which conditions the source may be asked.
source := data.agreement.sources[input.source]

# METADATA
# description: Both parties signed this agreement (DESIGN §5); one signature binds nobody else.
default both_signed := false

both_signed if {
	data.signed_by[input.requester] == true
	data.signed_by[input.source] == true
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
# description: The rule names a law, and that law is in force; a ground of its own, and all that opens some parties.
by_statute(rule) if {
	rule.ground == "statutory"
	is_string(rule.statutory_basis.citation)
	rule.statutory_basis.citation != ""
	within(rule.statutory_basis)
}

# METADATA
# description: input.now lies in a period. The types come first, for Rego orders any two values (a number is less than a list).
within(period) if {
	is_number(input.now)
	is_number(period.valid_from)
	is_number(period.valid_until)
	period.valid_from <= input.now
	input.now < period.valid_until
}

# METADATA
# description: The paragraph that speaks for an outcome no single rule speaks for.
default clause(_) := ""

clause(outcome) := data.agreement.clauses[outcome]
