"""What Velero's errors of a restore say of rights."""

import pytest

from app.proof.reports import refused_objects

#: As the real Velero 1.18.3 wrote them (tests/real/test_security.py).
ROLE = (
    'error restoring roles.rbac.authorization.k8s.io/default/cleaners: roles.rbac.authorization.k8s.io "cleaners" is '
    'forbidden: user "system:serviceaccount:velero:velero" (groups=["system:authenticated"]) is attempting to grant '
    "RBAC permissions not currently held"
)
BINDING = (
    "error restoring rolebindings.rbac.authorization.k8s.io/kecs-system/reader: "
    'rolebindings.rbac.authorization.k8s.io "kecs-secret-reader" not found'
)
CLUSTER_ROLE = (
    'error restoring clusterroles.rbac.authorization.k8s.io/team:all: clusterroles "team:all" is forbidden: no'
)


def test_what_rights_were_missing_for_is_named() -> None:
    """Once each, with its namespace if it has one."""
    assert refused_objects([ROLE, BINDING, CLUSTER_ROLE, ROLE]) == [
        "clusterroles.rbac.authorization.k8s.io team:all",
        "rolebindings.rbac.authorization.k8s.io kecs-system/reader",
        "roles.rbac.authorization.k8s.io default/cleaners",
    ]


@pytest.mark.parametrize(
    "error",
    [
        'error restoring configmaps/default/settings: namespaces "default" not found',
        "error restoring services/default/web: Service is invalid: spec.ports: Required value",
        "the velero namespace is forbidden: no object is named",
        "",
    ],
)
def test_other_errors_are_not_about_rights(error: str) -> None:
    """A remedy that does not help would be worse than none."""
    assert refused_objects([error]) == []
