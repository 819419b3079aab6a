"""What the gateway keeps, and how a write becomes durable."""
