"""DT&V, the source of return options and obstacles: its wire, its fields, its simulator, its service."""
