"""How fast the gateway is, measured side by side with what it is compared to: `python -m bench`.

The goals and the method are those of `docs/benchmarks.md`, which this package writes. Nothing in
`tests/` measures time, and nothing here decides whether the code is right; but every answer that is
timed is decrypted and proven against the ledger, so that only what works is counted.
"""
