"""The gate itself: asks policy, orders from a source, hands over what may go, and leaves the proof."""
