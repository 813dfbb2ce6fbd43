"""Statistics: aggregates in, frozen results out. No Django, no I/O, no clock."""
