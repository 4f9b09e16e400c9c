"""The sandbox's node: controllers and a kubelet as one client of the API server.

Pods whose image is known (``images.py``) become processes of this package; every other image becomes a Running pod
without a process. A process learns of its pod by environment variables:

``KECS_SANDBOX_KUBECONFIG``  path of a kubeconfig with the cluster's access
``KECS_SANDBOX_ENDPOINTS``   path of a JSON file, ``{"minio.velero.svc:9000": "127.0.0.1:41234"}``, kept current
``KECS_SANDBOX_FAULTS``      path of the cluster's ``faults.json``
``KECS_SANDBOX_PORTS``       JSON, container port -> the loopback port to listen on
``KECS_SANDBOX_MOUNTS``      JSON, mount path -> directory of this machine
"""
