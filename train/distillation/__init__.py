"""Teachers, soft targets and text augmentation."""
