"""Distillation: teachers, soft targets and text augmentation."""
