"""What the three simulated agencies share: the people, their papers, and how to make a source misbehave."""
