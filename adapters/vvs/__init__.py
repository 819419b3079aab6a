"""VVS, the client-tracking system of an NGO: its wire, its fields, its simulator, its service."""
