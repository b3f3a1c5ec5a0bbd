"""Kubernetes: the services and configuration of the other runtimes, as one Helm chart."""
