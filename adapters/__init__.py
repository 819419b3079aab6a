"""What stands at the parties: the wire between gateway and source, and one folder per agency."""
