"""IND, the source of dossiers and application status: its wire, its fields, its simulator, its service."""
