"""Ask both engines everything that can be asked, and compare with the second reading of the domain."""
