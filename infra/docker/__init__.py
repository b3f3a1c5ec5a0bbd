"""Containers: the native runtime's services and configuration, run by Docker Compose."""
