"""Real clusters for tests: etcd, Kubernetes, containerd, Velero and MinIO on this machine, without Docker.

See README.md beside this file for what it needs, what it does and how to look inside.
"""
