"""The sandbox's stand-in for the Velero server: a client of the Kubernetes API and of S3, and of nothing else.

It is written from Velero 1.18.3's documented and observed behaviour (phases, bucket layout, order, names);
the code is our own. What it leaves out: volumes, hooks, plugins, asynchronous item operations.
"""

VERSION = "v1.18.3"
