"""Who calls: tokens for parties, each bound to the key that the caller proves to hold."""
