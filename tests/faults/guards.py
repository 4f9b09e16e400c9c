"""Problems that users of Velero have reported, and what shows that this service is guarded against each.

Rows of the matrix name the problems they show; for the others, which are kept from arising at all, ``ELSEWHERE`` names
the tests that show how.
"""

KNOWN_PROBLEMS = {
    1: "the queue stands still: Queued or ReadyToStart for ever (velero #10519, #9493)",
    2: "expired backups are deleted as soon as Velero starts (#7242, #6245, #2277)",
    3: "Completed in the cluster, Finalizing in the bucket (#9644)",
    4: "hooks of a restore keep it Finalizing for ever (#9744, #9749, #9359)",
    5: "directories of others in the bucket make the location unavailable (#8918, #7785)",
    6: "the server is ended for want of memory, and its work marked Failed (#3851, #5753, #7568)",
    7: "signed URLs lead nowhere (#8635, #2256)",
    8: "a client's checksum trailer becomes content (#9804, #9951, #10543, #7696)",
    9: "volumes of local-path are skipped in silence (#8251, #9035, #5705)",
    10: "restores fail without a Deployment called velero (k0rdent/kcm #1645)",
    11: "webhooks reject what is restored (#2443, #4524, #4847)",
    12: "namespaces that do not end hold every item up for ten minutes (#5697, #8234, #9988)",
    13: "Velero's namespace does not end because of its Restores (#8409, #3974)",
    14: "two clusters in one bucket delete each other's backups (#627, #5509, #8661)",
    15: "the policy update changes neither pods nor claims (#6828)",
    16: "exit codes and phases say different things (RamenDR #1281)",
    17: "namespaces left out, or nothing saved at all, and Completed (#9180, #9563, #9566, #9737)",
    18: "a listed namespace that vanishes makes a backup PartiallyFailed (#9980)",
    19: "old EndpointSlices are restored (#6103, #6107)",
    20: "Velero saves and restores itself (#8663, #7057)",
    21: "a name used twice fails, and a deletion hits the good one (#4046)",
    22: "the repository's password is another one (#7456)",
    23: "API groups that do not answer are left out with no more than a warning (#7516)",
    24: "without its CRDs the server ends again and again",
    25: "a broken velero-backup.json spoils the sync (helm-charts #580, #10343)",
    26: "a clock apart from the store's: RequestTimeTooSkewed",
    27: "images from a registry with a port are pulled each time",
    28: "a restart of the server fails what it was doing (#7230)",
}

ELSEWHERE = {
    2: (
        "tests/velero/test_velero_scope.py::test_a_full_backup_lives_for_a_century_and_saves_no_volumes",
        "tests/velero/test_velero_rules.py::test_an_imported_backup_keeps_its_phase_and_outlives_its_expiration",
    ),
    7: ("tests/proof/test_prove.py::test_a_good_backup_is_proven",),
    9: ("tests/workflows/test_volumes.py::test_an_instance_whose_policy_refuses_lost_volumes_runs_on",),
    10: ("tests/contract/test_velero_restores.py::test_without_its_deployment_velero_restores_only_in_part",),
    13: ("tests/contract/test_velero_restores.py::test_a_deleted_restore_takes_its_files_along",),
    14: ("tests/storage/test_ownership.py::test_another_instances_place_is_refused_and_left_as_it_is",),
    15: ("tests/velero/test_velero_restoring.py::test_poorer_deployments_are_updated_by_name_and_nothing_else",),
    19: ("tests/velero/test_velero_scope.py::test_the_inventory_holds_exactly_what_the_specification_takes",),
    20: ("tests/velero/test_velero_scope.py::test_namespaces_of_the_instance_are_taken_themselves",),
    21: ("tests/velero/test_velero_client.py::test_a_backup_whose_name_was_taken_goes_without_its_namesake",),
    22: ("tests/workflows/test_volumes.py::test_volumes_come_back_with_their_data_after_a_recreate",),
    24: ("tests/velero/test_velero_end_to_end.py::test_a_backup_holds_exactly_what_the_inventory_asks_for",),
    27: ("tests/velero/test_velero_manifests.py::test_no_container_pulls_always_or_gains_rights",),
}
