"""What operators edit. Every save of configuration is one policy revision."""
