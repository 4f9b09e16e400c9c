"""Stops and starts local ECS environments without losing their state."""
