"""The lab's ECS."""
