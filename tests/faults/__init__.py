"""Break the gateway on purpose, then let a checker that trusts none of it look at what came out."""
