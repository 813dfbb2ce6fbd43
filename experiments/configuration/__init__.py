"""The configuration: its document, revisions, validation, seeding, roles and prices."""
