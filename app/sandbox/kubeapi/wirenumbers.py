"""Field numbers of the messages in which typed clients send objects, from Kubernetes 1.34's published interface.

Only numbers: names and types are the client library's. ``Name<2`` means that the fields of message ``Name`` lie there
and belong to the object itself. Only kinds that kubectl sends by subcommand, and what they are made of.
"""

TABLE = """
AWSElasticBlockStoreVolumeSource: volumeID=1 fsType=2 partition=3 readOnly=4
Affinity: nodeAffinity=1 podAffinity=2 podAntiAffinity=3
AggregationRule: clusterRoleSelectors=1
AppArmorProfile: type=1 localhostProfile=2
AzureDiskVolumeSource: diskName=1 diskURI=2 cachingMode=3 fsType=4 readOnly=5 kind=6
AzureFileVolumeSource: secretName=1 shareName=2 readOnly=3
CSIVolumeSource: driver=1 readOnly=2 fsType=3 volumeAttributes=4 nodePublishSecretRef=5
Capabilities: add=1 drop=2
CephFSVolumeSource: monitors=1 path=2 user=3 secretFile=4 secretRef=5 readOnly=6
CinderVolumeSource: volumeID=1 fsType=2 readOnly=3 secretRef=4
ClientIPConfig: timeoutSeconds=1
ClusterRole: metadata=1 rules=2 aggregationRule=3
ClusterRoleBinding: metadata=1 subjects=2 roleRef=3
ClusterTrustBundleProjection: name=1 signerName=2 labelSelector=3 optional=5 path=4
Condition: type=1 status=2 observedGeneration=3 lastTransitionTime=4 reason=5 message=6
ConfigMap: metadata=1 immutable=4 data=2 binaryData=3
ConfigMapEnvSource: LocalObjectReference<1 optional=2
ConfigMapKeySelector: LocalObjectReference<1 key=2 optional=3
ConfigMapProjection: LocalObjectReference<1 items=2 optional=4
ConfigMapVolumeSource: LocalObjectReference<1 items=2 defaultMode=3 optional=4
Container: name=1 image=2 command=3 args=4 workingDir=5 ports=6 envFrom=19 env=7 resources=8 resizePolicy=23
    restartPolicy=24 restartPolicyRules=25 volumeMounts=9 volumeDevices=21 livenessProbe=10 readinessProbe=11
    startupProbe=22 lifecycle=12 terminationMessagePath=13 terminationMessagePolicy=20 imagePullPolicy=14
    securityContext=15 stdin=16 stdinOnce=17 tty=18
ContainerExtendedResourceRequest: containerName=1 resourceName=2 requestName=3
ContainerPort: name=1 hostPort=2 containerPort=3 protocol=4 hostIP=5
ContainerResizePolicy: resourceName=1 restartPolicy=2
ContainerRestartRule: action=1 exitCodes=2
ContainerRestartRuleOnExitCodes: operator=1 values=2
ContainerState: waiting=1 running=2 terminated=3
ContainerStateRunning: startedAt=1
ContainerStateTerminated: exitCode=1 signal=2 reason=3 message=4 startedAt=5 finishedAt=6 containerID=7
ContainerStateWaiting: reason=1 message=2
ContainerStatus: name=1 state=2 lastState=3 ready=4 restartCount=5 image=6 imageID=7 containerID=8 started=9
    allocatedResources=10 resources=11 volumeMounts=12 user=13 allocatedResourcesStatus=14 stopSignal=15
ContainerUser: linux=1
CronJob: metadata=1 spec=2 status=3
CronJobSpec: schedule=1 timeZone=8 startingDeadlineSeconds=2 concurrencyPolicy=3 suspend=4 jobTemplate=5
    successfulJobsHistoryLimit=6 failedJobsHistoryLimit=7
CronJobStatus: active=1 lastScheduleTime=4 lastSuccessfulTime=5
DeleteOptions: gracePeriodSeconds=1 preconditions=2 orphanDependents=3 propagationPolicy=4 dryRun=5
    ignoreStoreReadErrorWithClusterBreakingPotential=6
Deployment: metadata=1 spec=2 status=3
DeploymentCondition: type=1 status=2 lastUpdateTime=6 lastTransitionTime=7 reason=4 message=5
DeploymentSpec: replicas=1 selector=2 template=3 strategy=4 minReadySeconds=5 revisionHistoryLimit=6 paused=7
    progressDeadlineSeconds=9
DeploymentStatus: observedGeneration=1 replicas=2 updatedReplicas=3 readyReplicas=7 availableReplicas=4
    unavailableReplicas=5 terminatingReplicas=9 conditions=6 collisionCount=8
DeploymentStrategy: type=1 rollingUpdate=2
DownwardAPIProjection: items=1
DownwardAPIVolumeFile: path=1 fieldRef=2 resourceFieldRef=3 mode=4
DownwardAPIVolumeSource: items=1 defaultMode=2
EmptyDirVolumeSource: medium=1 sizeLimit=2
EnvFromSource: prefix=1 configMapRef=2 secretRef=3
EnvVar: name=1 value=2 valueFrom=3
EnvVarSource: fieldRef=1 resourceFieldRef=2 configMapKeyRef=3 secretKeyRef=4 fileKeyRef=5
EphemeralContainer: EphemeralContainerCommon<1 targetContainerName=2
EphemeralContainerCommon: name=1 image=2 command=3 args=4 workingDir=5 ports=6 envFrom=19 env=7 resources=8
    resizePolicy=23 restartPolicy=24 restartPolicyRules=25 volumeMounts=9 volumeDevices=21 livenessProbe=10
    readinessProbe=11 startupProbe=22 lifecycle=12 terminationMessagePath=13 terminationMessagePolicy=20
    imagePullPolicy=14 securityContext=15 stdin=16 stdinOnce=17 tty=18
EphemeralVolumeSource: volumeClaimTemplate=1
Eviction: metadata=1 deleteOptions=2
ExecAction: command=1
FCVolumeSource: targetWWNs=1 lun=2 fsType=3 readOnly=4 wwids=5
FieldSelectorAttributes: rawSelector=1 requirements=2
FieldSelectorRequirement: key=1 operator=2 values=3
FileKeySelector: volumeName=1 path=2 key=3 optional=4
FlexVolumeSource: driver=1 fsType=2 secretRef=3 readOnly=4 options=5
FlockerVolumeSource: datasetName=1 datasetUUID=2
GCEPersistentDiskVolumeSource: pdName=1 fsType=2 partition=3 readOnly=4
GRPCAction: port=1 service=2
GitRepoVolumeSource: repository=1 revision=2 directory=3
GlusterfsVolumeSource: endpoints=1 path=2 readOnly=3
HTTPGetAction: path=1 port=2 host=3 scheme=4 httpHeaders=5
HTTPHeader: name=1 value=2
HTTPIngressPath: path=1 pathType=3 backend=2
HTTPIngressRuleValue: paths=1
HostAlias: ip=1 hostnames=2
HostIP: ip=1
HostPathVolumeSource: path=1 type=2
ISCSIVolumeSource: targetPortal=1 iqn=2 lun=3 iscsiInterface=4 fsType=5 readOnly=6 portals=7 chapAuthDiscovery=8
    chapAuthSession=11 secretRef=10 initiatorName=12
ImageVolumeSource: reference=1 pullPolicy=2
Ingress: metadata=1 spec=2 status=3
IngressBackend: service=4 resource=3
IngressLoadBalancerIngress: ip=1 hostname=2 ports=4
IngressLoadBalancerStatus: ingress=1
IngressPortStatus: port=1 protocol=2 error=3
IngressRule: host=1 IngressRuleValue<2
IngressRuleValue: http=1
IngressServiceBackend: name=1 port=2
IngressSpec: ingressClassName=4 defaultBackend=1 tls=2 rules=3
IngressStatus: loadBalancer=1
IngressTLS: hosts=1 secretName=2
Job: metadata=1 spec=2 status=3
JobCondition: type=1 status=2 lastProbeTime=3 lastTransitionTime=4 reason=5 message=6
JobSpec: parallelism=1 completions=2 activeDeadlineSeconds=3 podFailurePolicy=11 successPolicy=16 backoffLimit=7
    backoffLimitPerIndex=12 maxFailedIndexes=13 selector=4 manualSelector=5 template=6 ttlSecondsAfterFinished=8
    completionMode=9 suspend=10 podReplacementPolicy=14 managedBy=15
JobStatus: conditions=1 startTime=2 completionTime=3 active=4 succeeded=5 failed=6 terminating=11 completedIndexes=7
    failedIndexes=10 uncountedTerminatedPods=8 ready=9
JobTemplateSpec: metadata=1 spec=2
KeyToPath: key=1 path=2 mode=3
LabelSelector: matchLabels=1 matchExpressions=2
LabelSelectorAttributes: rawSelector=1 requirements=2
LabelSelectorRequirement: key=1 operator=2 values=3
Lifecycle: postStart=1 preStop=2 stopSignal=3
LifecycleHandler: exec=1 httpGet=2 tcpSocket=3 sleep=4
LinuxContainerUser: uid=1 gid=2 supplementalGroups=3
LoadBalancerIngress: ip=1 hostname=2 ipMode=3 ports=4
LoadBalancerStatus: ingress=1
LocalObjectReference: name=1
ManagedFieldsEntry: manager=1 operation=2 apiVersion=3 time=4 fieldsType=6 fieldsV1=7 subresource=8
NFSVolumeSource: server=1 path=2 readOnly=3
Namespace: metadata=1 spec=2 status=3
NamespaceCondition: type=1 status=2 lastTransitionTime=4 reason=5 message=6
NamespaceSpec: finalizers=1
NamespaceStatus: phase=1 conditions=2
NodeAffinity: requiredDuringSchedulingIgnoredDuringExecution=1 preferredDuringSchedulingIgnoredDuringExecution=2
NodeSelector: nodeSelectorTerms=1
NodeSelectorRequirement: key=1 operator=2 values=3
NodeSelectorTerm: matchExpressions=1 matchFields=2
NonResourceAttributes: path=1 verb=2
NonResourceRule: verbs=1 nonResourceURLs=2
ObjectFieldSelector: apiVersion=1 fieldPath=2
ObjectMeta: name=1 generateName=2 namespace=3 selfLink=4 uid=5 resourceVersion=6 generation=7 creationTimestamp=8
    deletionTimestamp=9 deletionGracePeriodSeconds=10 labels=11 annotations=12 ownerReferences=13 finalizers=14
    managedFields=17
ObjectReference: kind=1 namespace=2 name=3 uid=4 apiVersion=5 resourceVersion=6 fieldPath=7
OwnerReference: apiVersion=5 kind=1 name=3 uid=4 controller=6 blockOwnerDeletion=7
PersistentVolumeClaimSpec: accessModes=1 selector=4 resources=2 volumeName=3 storageClassName=5 volumeMode=6
    dataSource=7 dataSourceRef=8 volumeAttributesClassName=9
PersistentVolumeClaimTemplate: metadata=1 spec=2
PersistentVolumeClaimVolumeSource: claimName=1 readOnly=2
PhotonPersistentDiskVolumeSource: pdID=1 fsType=2
Pod: metadata=1 spec=2 status=3
PodAffinity: requiredDuringSchedulingIgnoredDuringExecution=1 preferredDuringSchedulingIgnoredDuringExecution=2
PodAffinityTerm: labelSelector=1 namespaces=2 topologyKey=3 namespaceSelector=4 matchLabelKeys=5 mismatchLabelKeys=6
PodAntiAffinity: requiredDuringSchedulingIgnoredDuringExecution=1 preferredDuringSchedulingIgnoredDuringExecution=2
PodCertificateProjection: signerName=1 keyType=2 maxExpirationSeconds=3 credentialBundlePath=4 keyPath=5
    certificateChainPath=6
PodCondition: type=1 observedGeneration=7 status=2 lastProbeTime=3 lastTransitionTime=4 reason=5 message=6
PodDNSConfig: nameservers=1 searches=2 options=3
PodDNSConfigOption: name=1 value=2
PodDisruptionBudget: metadata=1 spec=2 status=3
PodDisruptionBudgetSpec: minAvailable=1 selector=2 maxUnavailable=3 unhealthyPodEvictionPolicy=4
PodDisruptionBudgetStatus: observedGeneration=1 disruptedPods=2 disruptionsAllowed=3 currentHealthy=4
    desiredHealthy=5 expectedPods=6 conditions=7
PodExtendedResourceClaimStatus: requestMappings=1 resourceClaimName=2
PodFailurePolicy: rules=1
PodFailurePolicyOnExitCodesRequirement: containerName=1 operator=2 values=3
PodFailurePolicyOnPodConditionsPattern: type=1 status=2
PodFailurePolicyRule: action=1 onExitCodes=2 onPodConditions=3
PodIP: ip=1
PodOS: name=1
PodReadinessGate: conditionType=1
PodResourceClaim: name=1 resourceClaimName=3 resourceClaimTemplateName=4
PodResourceClaimStatus: name=1 resourceClaimName=2
PodSchedulingGate: name=1
PodSecurityContext: seLinuxOptions=1 windowsOptions=8 runAsUser=2 runAsGroup=6 runAsNonRoot=3 supplementalGroups=4
    supplementalGroupsPolicy=12 fsGroup=5 sysctls=7 fsGroupChangePolicy=9 seccompProfile=10 appArmorProfile=11
    seLinuxChangePolicy=13
PodSpec: volumes=1 initContainers=20 containers=2 ephemeralContainers=34 restartPolicy=3
    terminationGracePeriodSeconds=4 activeDeadlineSeconds=5 dnsPolicy=6 nodeSelector=7 serviceAccountName=8
    serviceAccount=9 automountServiceAccountToken=21 nodeName=10 hostNetwork=11 hostPID=12 hostIPC=13
    shareProcessNamespace=27 securityContext=14 imagePullSecrets=15 hostname=16 subdomain=17 affinity=18
    schedulerName=19 tolerations=22 hostAliases=23 priorityClassName=24 priority=25 dnsConfig=26 readinessGates=28
    runtimeClassName=29 enableServiceLinks=30 preemptionPolicy=31 overhead=32 topologySpreadConstraints=33
    setHostnameAsFQDN=35 os=36 hostUsers=37 schedulingGates=38 resourceClaims=39 resources=40 hostnameOverride=41
PodStatus: observedGeneration=17 phase=1 conditions=2 message=3 reason=4 nominatedNodeName=11 hostIP=5 hostIPs=16
    podIP=6 podIPs=12 startTime=7 initContainerStatuses=10 containerStatuses=8 qosClass=9
    ephemeralContainerStatuses=13 resize=14 resourceClaimStatuses=15 extendedResourceClaimStatus=18
PodTemplateSpec: metadata=1 spec=2
PolicyRule: verbs=1 apiGroups=2 resources=3 resourceNames=4 nonResourceURLs=5
PortStatus: port=1 protocol=2 error=3
PortworxVolumeSource: volumeID=1 fsType=2 readOnly=3
Preconditions: uid=1 resourceVersion=2
PreferredSchedulingTerm: weight=1 preference=2
PriorityClass: metadata=1 value=2 globalDefault=3 description=4 preemptionPolicy=5
Probe: ProbeHandler<1 initialDelaySeconds=2 timeoutSeconds=3 periodSeconds=4 successThreshold=5 failureThreshold=6
    terminationGracePeriodSeconds=7
ProbeHandler: exec=1 httpGet=2 tcpSocket=3 grpc=4
ProjectedVolumeSource: sources=1 defaultMode=2
QuobyteVolumeSource: registry=1 volume=2 readOnly=3 user=4 group=5 tenant=6
RBDVolumeSource: monitors=1 image=2 fsType=3 pool=4 user=5 keyring=6 secretRef=7 readOnly=8
ResourceAttributes: namespace=1 verb=2 group=3 version=4 resource=5 subresource=6 name=7 fieldSelector=8
    labelSelector=9
ResourceClaim: name=1 request=2
ResourceFieldSelector: containerName=1 resource=2 divisor=3
ResourceHealth: resourceID=1 health=2
ResourceQuota: metadata=1 spec=2 status=3
ResourceQuotaSpec: hard=1 scopes=2 scopeSelector=3
ResourceQuotaStatus: hard=1 used=2
ResourceRequirements: limits=1 requests=2 claims=3
ResourceRule: verbs=1 apiGroups=2 resources=3 resourceNames=4
ResourceStatus: name=1 resources=2
Role: metadata=1 rules=2
RoleBinding: metadata=1 subjects=2 roleRef=3
RoleRef: apiGroup=1 kind=2 name=3
RollingUpdateDeployment: maxUnavailable=1 maxSurge=2
SELinuxOptions: user=1 role=2 type=3 level=4
ScaleIOVolumeSource: gateway=1 system=2 secretRef=3 sslEnabled=4 protectionDomain=5 storagePool=6 storageMode=7
    volumeName=8 fsType=9 readOnly=10
ScopeSelector: matchExpressions=1
ScopedResourceSelectorRequirement: scopeName=1 operator=2 values=3
SeccompProfile: type=1 localhostProfile=2
Secret: metadata=1 immutable=5 data=2 stringData=4 type=3
SecretEnvSource: LocalObjectReference<1 optional=2
SecretKeySelector: LocalObjectReference<1 key=2 optional=3
SecretProjection: LocalObjectReference<1 items=2 optional=4
SecretVolumeSource: secretName=1 items=2 defaultMode=3 optional=4
SecurityContext: capabilities=1 privileged=2 seLinuxOptions=3 windowsOptions=10 runAsUser=4 runAsGroup=8
    runAsNonRoot=5 readOnlyRootFilesystem=6 allowPrivilegeEscalation=7 procMount=9 seccompProfile=11
    appArmorProfile=12
SelfSubjectAccessReview: metadata=1 spec=2 status=3
SelfSubjectAccessReviewSpec: resourceAttributes=1 nonResourceAttributes=2
SelfSubjectReview: metadata=1 status=2
SelfSubjectReviewStatus: userInfo=1
SelfSubjectRulesReview: metadata=1 spec=2 status=3
SelfSubjectRulesReviewSpec: namespace=1
Service: metadata=1 spec=2 status=3
ServiceAccount: metadata=1 secrets=2 imagePullSecrets=3 automountServiceAccountToken=4
ServiceAccountTokenProjection: audience=1 expirationSeconds=2 path=3
ServiceBackendPort: name=1 number=2
ServicePort: name=1 protocol=2 appProtocol=6 port=3 targetPort=4 nodePort=5
ServiceSpec: ports=1 selector=2 clusterIP=3 clusterIPs=18 type=4 externalIPs=5 sessionAffinity=7 loadBalancerIP=8
    loadBalancerSourceRanges=9 externalName=10 externalTrafficPolicy=11 healthCheckNodePort=12
    publishNotReadyAddresses=13 sessionAffinityConfig=14 ipFamilies=19 ipFamilyPolicy=17
    allocateLoadBalancerNodePorts=20 loadBalancerClass=21 internalTrafficPolicy=22 trafficDistribution=23
ServiceStatus: loadBalancer=1 conditions=2
SessionAffinityConfig: clientIP=1
SleepAction: seconds=1
StorageOSVolumeSource: volumeName=1 volumeNamespace=2 fsType=3 readOnly=4 secretRef=5
Subject: kind=1 apiGroup=2 name=3 namespace=4
SubjectAccessReviewStatus: allowed=1 denied=4 reason=2 evaluationError=3
SubjectRulesReviewStatus: resourceRules=1 nonResourceRules=2 incomplete=3 evaluationError=4
SuccessPolicy: rules=1
SuccessPolicyRule: succeededIndexes=1 succeededCount=2
Sysctl: name=1 value=2
TCPSocketAction: port=1 host=2
Toleration: key=1 operator=2 value=3 effect=4 tolerationSeconds=5
TopologySpreadConstraint: maxSkew=1 topologyKey=2 whenUnsatisfiable=3 labelSelector=4 minDomains=5
    nodeAffinityPolicy=6 nodeTaintsPolicy=7 matchLabelKeys=8
TypedLocalObjectReference: apiGroup=1 kind=2 name=3
TypedObjectReference: apiGroup=1 kind=2 name=3 namespace=4
UncountedTerminatedPods: succeeded=1 failed=2
UserInfo: username=1 uid=2 groups=3 extra=4
Volume: name=1 VolumeSource<2
VolumeDevice: name=1 devicePath=2
VolumeMount: name=1 readOnly=2 recursiveReadOnly=7 mountPath=3 subPath=4 mountPropagation=5 subPathExpr=6
VolumeMountStatus: name=1 mountPath=2 readOnly=3 recursiveReadOnly=4
VolumeProjection: secret=1 downwardAPI=2 configMap=3 serviceAccountToken=4 clusterTrustBundle=5 podCertificate=6
VolumeResourceRequirements: limits=1 requests=2
VolumeSource: hostPath=1 emptyDir=2 gcePersistentDisk=3 awsElasticBlockStore=4 gitRepo=5 secret=6 nfs=7 iscsi=8
    glusterfs=9 persistentVolumeClaim=10 rbd=11 flexVolume=12 cinder=13 cephfs=14 flocker=15 downwardAPI=16 fc=17
    azureFile=18 configMap=19 vsphereVolume=20 quobyte=21 azureDisk=22 photonPersistentDisk=23 projected=26
    portworxVolume=24 scaleIO=25 storageos=27 csi=28 ephemeral=29 image=30
VsphereVirtualDiskVolumeSource: volumePath=1 fsType=2 storagePolicyName=3 storagePolicyID=4
WeightedPodAffinityTerm: weight=1 podAffinityTerm=2
WindowsSecurityContextOptions: gmsaCredentialSpecName=1 gmsaCredentialSpec=2 runAsUserName=3 hostProcess=4
"""
