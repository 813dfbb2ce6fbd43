"""The admin. Every save of configuration is one policy revision."""
