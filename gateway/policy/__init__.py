"""Ask the policy: who may receive what, decided by the Rego in policies/ over the signed agreement."""
