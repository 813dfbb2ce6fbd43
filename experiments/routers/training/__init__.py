"""Creates checkpoints: distillation, training and measurement. Never imported by routing."""
