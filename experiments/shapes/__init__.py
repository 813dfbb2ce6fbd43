"""Shapes of what enters the application: types of fields, reading, and their JSON schema."""
