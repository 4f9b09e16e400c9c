"""Every setting with its unit, default and reason. Read once in ``main``, then passed down.

Environment variables: prefix ``KECS_STATE_``, groups separated by two underscores,
for example ``KECS_STATE_WORKFLOW__PROOF_MAX_AGE_SECONDS=30``.
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

#: How long something may take, or may wait for something else; without end is nothing.
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
#: The same where not to wait at all makes sense too.
SecondsIfAny = Annotated[float, Field(ge=0, allow_inf_nan=False)]

#: Where the sandbox keeps everything, so that nothing of it ever lies below ``~/.kecs``.
SANDBOX_STATE_DIRECTORY = Path("~/.local/share/kecs-state/sandbox")


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is this machine and nothing else."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class ServerSettings(BaseModel):
    """The HTTP server."""

    host: str = "127.0.0.1"
    """Address to bind. Beyond loopback every caller must show a token, so one must exist."""
    port: int = Field(default=5380, ge=0, le=65_535)
    """TCP port; 0 lets the system choose."""
    allowed_hosts: list[str] = []
    """Further values accepted in the Host header, besides loopback names, against DNS rebinding."""
    max_wait_seconds: int = Field(default=60, ge=0)
    """Longest ``wait`` a request may ask for."""
    receive_seconds: Seconds = 20
    """How long a request, head and body, may take to arrive; then it is answered with 408."""
    unread_seconds: Seconds = 60
    """How long a caller may take nothing of an answer that waits for it; then its connection is closed."""
    max_connections: int = Field(default=512, ge=1)
    """Open connections at most, and never more than half of what the process may open at all. Beyond that, those that
    the service waits for are closed, slow and idle ones; where there are none, a request is answered with 503."""
    require_token: bool = False
    """Ask for a token on loopback too, where other users of the machine could call."""
    tls_certificate: Path | None = None
    """PEM file of the certificate, with its chain; serve HTTPS. Needs ``tls_key``."""
    tls_key: Path | None = None
    """PEM file of the key, without a passphrase."""

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key are given together or not at all")
        return self

    @property
    def needs_tokens(self) -> bool:
        """Whether callers must show a token."""
        return self.require_token or not is_loopback(self.host)

    @property
    def url(self) -> str:
        """Where the service is reached."""
        scheme = "https" if self.tls_certificate else "http"
        return f"{scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


class ImageSettings(BaseModel):
    """Container images of the stack; overridable for mirrors and air-gapped machines."""

    velero: str = "docker.io/velero/velero:v1.18.3"
    """The server, and the node-agent where volumes are saved."""
    velero_plugin: str = "docker.io/velero/velero-plugin-for-aws:v1.14.3"
    """Velero's way to S3; its version goes with the server's."""
    minio: str = "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z"
    """The object store in the cluster; not used with an external one."""


class StackSettings(BaseModel):
    """Velero and MinIO in the cluster."""

    mode: Literal["on-demand", "resident"] = "on-demand"
    """``on-demand``: no pod between jobs. ``resident``: never put to sleep."""
    linger_seconds: float = Field(default=0, ge=0, le=3600)
    """How long the stack stays up after a job that leaves the cluster running, so that the next need not wake it."""
    encryption: Literal["none", "at-rest"] = "none"
    """``at-rest``: MinIO encrypts whatever is put into it, with a key of the instance (docs/security.md)."""
    namespace: str = "velero"
    """Where the stack lives in each cluster. A Velero of somebody else there is left alone."""
    bucket: str = "velero"
    """The bucket in MinIO."""
    images: ImageSettings = ImageSettings()
    adopt_foreign: bool = False
    """Use a Velero that someone else installed instead of refusing with 409."""
    rbac: Literal["cluster-admin", "least-privilege"] = "cluster-admin"
    """What Velero's account may do. ``least-privilege``: read what there is and, during a restore, write the kinds
    the backup holds; roles that grant more than that are not restored (docs/security.md)."""
    wake_timeout_seconds: Seconds = 180
    """From the first manifest to an Available BackupStorageLocation, image pulls included."""
    kubelet_directory: str = "/var/lib/kubelet"
    """Where the nodes' kubelet keeps the volumes of pods; file-system backups read and write them there."""
    min_free_bytes: int = Field(default=1024**3, ge=0)
    """Free space the MinIO directory's disk must have before a backup begins (Velero's own advice: 1 GiB)."""


class ExternalStoreSettings(BaseModel):
    """An S3 store outside of the cluster, in which new instances keep their backups: no MinIO runs for them."""

    endpoint: str
    """URL by which this service reaches the store."""
    cluster_endpoint: str = ""
    """URL by which Velero reaches it from its pod; empty means the same."""
    region: str = "us-east-1"
    """What requests are signed for; stores other than AWS mostly take any."""
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    """Must be there already."""
    prefix: str = Field(
        default="", pattern=r"^([A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?$", max_length=200
    )
    """Each instance keeps everything below ``<prefix>/<its name>/``."""
    path_style: bool = True
    """The bucket in the path, as MinIO wants it; false: in the host name, as AWS does."""
    ca_file: Path | None = None
    """PEM file of the authority behind the store's certificate; none means the system's."""
    access_key: SecretStr | None = None
    """With ``secret_key``; or ``credentials_file``."""
    secret_key: SecretStr | None = None
    """The key that belongs to ``access_key``."""
    credentials_file: Path | None = None
    """AWS file whose profile ``default`` holds the keys; instead of the two above. Read anew for every job."""

    @field_validator("endpoint", "cluster_endpoint")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/")):
            raise ValueError("an address like https://s3.example.com:9000, without a path")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("an address has no user, no password and no query: keys have settings of their own")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _keys_by_one_way(self) -> Self:
        keys = (self.access_key, self.secret_key)
        if (None in keys) == (self.credentials_file is None) or (self.credentials_file and any(keys)):
            raise ValueError("give access_key and secret_key, or credentials_file, and not both")
        return self


class WorkflowSettings(BaseModel):
    """Deadlines and rules of the stories, all in seconds."""

    job_timeout_seconds: Seconds = 900
    """Default deadline of a job; a request may ask for less or more."""
    max_job_timeout_seconds: Seconds = 86_400
    """The longest deadline a request may ask for."""
    resume_grace_seconds: SecondsIfAny = 60
    """A job resumed after a crash has at least this long to reach a safe end."""
    retry_timeout_seconds: SecondsIfAny = 60
    """How long one step tries again after temporary errors before it gives up."""
    # Measured with 80 stops at once, all on one core: 6 took 33 s and 161 MB, and the loop was late by 37 ms (p99); 32
    # took 34 s, 214 MB and 180 ms.
    max_jobs_at_once: int = Field(default=6, ge=1)
    """Jobs that are worked at the same time; further ones wait, the oldest first."""
    max_attempts: int = Field(default=5, ge=1)
    """Runs of one job by successive processes before it fails with the cluster as it is."""
    proof_max_age_seconds: Seconds = 60
    """A proof older than this right before power-off is thrown away and the backup made anew."""
    max_backup_tries: int = Field(default=2, ge=1)
    """Backups made for one stop, where a proof grows too old before the power-off."""
    backup_timeout_seconds: Seconds = 600
    """How long Velero may take for one backup; then the job fails and the cluster runs on."""
    restore_timeout_seconds: Seconds = 600
    """How long Velero may take for one restore."""
    workloads_timeout_seconds: SecondsIfAny = 120
    """How long a start waits for restored workloads before it ends with a warning."""
    api_timeout_seconds: Seconds = 120
    """From power-on to an API server that answers."""
    power_timeout_seconds: Seconds = 120
    """How long a power-on or power-off may take, by whichever driver."""
    preflight_wait_seconds: SecondsIfAny = 30
    """How long Terminating namespaces and dead API services may hold a backup up."""
    prune_timeout_seconds: SecondsIfAny = 15
    """How long a job may delete old backups; what is left goes with the next one."""
    keep_last: int = Field(default=5, ge=1, le=1000)
    """Proven full backups kept per instance."""
    keep_state_copies: int = Field(default=5, ge=0)
    """Copies of KECS's own store kept per instance; 0 makes none and puts none back."""
    state_copy_timeout_seconds: Seconds = 120
    """How long copying that store, or putting it back, may hold a stop or a start up."""
    fallback_timeout_seconds: SecondsIfAny = 60
    """How long a start waits for KECS's own restoration, which gives itself 30."""
    validate_level: Literal["deep", "quick"] = "deep"
    """How a backup is checked: ``quick`` only looks at names and sizes, and such a backup is never ``proven``."""
    on_partial: Literal["fail", "accept"] = "fail"
    """What a backup means that Velero ends as PartiallyFailed; an accepted one is never ``proven``."""
    power_off: Literal["crash-consistent", "drain"] = "crash-consistent"
    """How a cluster is turned off: pods cut off and coming back as they were, or drained first (docs/drivers.md)."""
    volumes: Literal["warn", "refuse", "file-system"] = "warn"
    """What a backup does about volumes of pods: name those it does not hold, refuse because of them, or save them."""
    volume_maintenance_seconds: SecondsIfAny = 60
    """How long a job may clean the repositories of volumes; what does not end then is done by a later one."""
    rerun_tasks: Literal["keep", "skip"] = "keep"
    """Whether tasks outside of services that ran at the stop run once more, from their beginning, after the start."""


class WebhookSettings(BaseModel):
    """Messages to others about jobs."""

    allowed_hosts: list[str] = []
    """Host names and IP addresses that messages may go to, besides loopback."""
    timeout_seconds: Seconds = 15
    """Of one attempt, from the lookup of the name to the answer's head."""


class HistorySettings(BaseModel):
    """How long the database keeps what is over (docs/scale.md)."""

    keep_days: int = Field(default=90, ge=1, le=36_500)
    """After so many days jobs that have ended go, with their steps, events and idempotency keys; rows of deleted
    backups, sent messages and audit events too. Backups never do. 36500 keeps everything."""
    keep_jobs: int = Field(default=50, ge=1)
    """The newest jobs of each instance that has a directory stay, however old."""


class K3dSettings(BaseModel):
    """The programs behind the driver ``k3d`` and how long they may take, in seconds."""

    program: str = "k3d"
    """Name or path of k3d 5."""
    docker_program: str = "docker"
    """Name or path of Docker's client."""
    ask_seconds: Seconds = 10
    """Whatever only reads; a daemon that hangs is found out by this."""
    start_seconds: Seconds = 100
    """Measured: 12 s. Below ``workflow.power_timeout_seconds``, so that the problem says what k3d said."""
    stop_seconds: Seconds = 100
    """Measured: 0.4 s crash-consistent, up to 21 s with a drain."""
    import_seconds: Seconds = 120
    """All images of the stack out of Docker's store into a node."""


#: A command as a list of arguments; ``{name}`` stands for the instance's name.
CommandTemplate = Annotated[list[str], Field(min_length=1)]


class CommandSettings(BaseModel):
    """The commands of the driver ``command``; their contract is docs/drivers.md."""

    list: CommandTemplate
    """Names of all instances."""
    state: CommandTemplate
    """Whether one runs."""
    start: CommandTemplate
    """Power on."""
    stop: CommandTemplate
    """Power off. ``{drain}`` stands for ``true`` or ``false``."""
    access: CommandTemplate
    """Its kubeconfig."""
    mounts: CommandTemplate
    """Host directories that its nodes see."""
    list_seconds: Seconds = 10
    """Deadline of ``list``. After its deadline a command is ended with its process group."""
    state_seconds: Seconds = 10
    """Deadline of ``state``."""
    start_seconds: Seconds = 100
    """Deadline of ``start``. Below ``workflow.power_timeout_seconds``, so that the problem names the command."""
    stop_seconds: Seconds = 100
    """Deadline of ``stop``, with a drain."""
    access_seconds: Seconds = 10
    """Deadline of ``access``."""
    mounts_seconds: Seconds = 10
    """Deadline of ``mounts``."""

    @field_validator("state", "start", "stop", "access", "mounts")
    @classmethod
    def _say_which_instance(cls, template: CommandTemplate) -> CommandTemplate:
        if not any("{name}" in argument for argument in template):
            raise ValueError("no argument says {name}, so it could only ever mean one instance")
        return template


class Settings(BaseSettings):
    """The service's settings."""

    model_config = SettingsConfigDict(env_prefix="KECS_STATE_", env_nested_delimiter="__")

    home: Path = Path("~/.kecs")
    """KECS's directory; instances lie in ``instances/``, ours in ``state/``."""
    database_url: SecretStr | None = None
    """``postgresql+psycopg://USER:PASSWORD@HOST:5432/NAME`` (docs/scale.md); default: ``<home>/state/state.db``."""
    driver: Literal["k3d", "command", "sandbox"] = "k3d"
    """The power driver. ``sandbox`` is never chosen silently."""
    k3d: K3dSettings = Field(default_factory=K3dSettings)
    command: CommandSettings | None = None
    """Only for ``driver: command``, and then needed."""
    sandbox_state_dir: Path = SANDBOX_STATE_DIRECTORY
    """Only for ``driver: sandbox``: its clusters, and then also the home of everything else."""
    rollout: Literal["opt-in", "default", "only"] = "default"
    """ADR-0025's versions 1.0, 1.1 and 1.2: is Velero used if nobody says anything, and must it be?"""
    use_velero_backup: bool | None = None
    """For every instance whose policy and request say nothing; the option of ``serve`` of that name."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least that is logged."""
    log_format: Literal["text", "json"] = "text"
    """``json``: one object a line, for programs."""
    server: ServerSettings = Field(default_factory=ServerSettings)
    stack: StackSettings = Field(default_factory=StackSettings)
    storage: ExternalStoreSettings | None = None
    """None: every instance has a MinIO in its cluster, whose data lies on this host."""
    workflow: WorkflowSettings = Field(default_factory=WorkflowSettings)
    webhooks: WebhookSettings = Field(default_factory=WebhookSettings)
    history: HistorySettings = Field(default_factory=HistorySettings)

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @model_validator(mode="after")
    def _command_driver_has_commands(self) -> Self:
        if self.driver == "command" and self.command is None:
            raise ValueError("driver: 'command' needs its six commands, KECS_STATE_COMMAND__LIST and so on")
        return self

    @model_validator(mode="after")
    def _no_stage_contradicts_the_flag(self) -> Self:
        if self.rollout == "only" and self.use_velero_backup is False:
            raise ValueError("use_velero_backup: cannot be false while the rollout is 'only'")
        return self

    @model_validator(mode="after")
    def _encryption_needs_minio(self) -> Self:
        if self.driver == "sandbox" and self.stack.encryption == "at-rest":
            raise ValueError("stack.encryption: the sandbox's object store is SeaweedFS, not MinIO: 'none' only")
        return self

    @property
    def home_directory(self) -> Path:
        """The resolved directory that holds ``instances/`` and ``state/``."""
        chosen = self.sandbox_state_dir if self.driver == "sandbox" else self.home
        return chosen.expanduser().absolute()

    @property
    def instances_directory(self) -> Path:
        """One directory per instance."""
        return self.home_directory / "instances"

    @property
    def state_directory(self) -> Path:
        """The service's own files: database, host id, secret of callbacks."""
        return self.home_directory / "state"
