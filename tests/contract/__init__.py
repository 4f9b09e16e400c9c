"""Behaviours of Kubernetes, Velero and S3 that the service relies on, each run in every world that is there."""
