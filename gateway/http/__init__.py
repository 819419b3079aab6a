"""The gateway's HTTP edge: one module per resource, `problems` the only table of status codes."""
