"""The sandbox's Kubernetes API: one process that speaks enough of the protocol for Velero, KECS and their clients."""
