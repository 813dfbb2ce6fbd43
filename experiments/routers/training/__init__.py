"""Making checkpoints: distillation, training and honest measurement. Never imported to route."""
