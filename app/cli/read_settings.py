"""The settings in force, for commands that do not ask a service."""

from typing import TYPE_CHECKING, Any

from app.cli.errors import CommandError, Exit

if TYPE_CHECKING:
    from pathlib import Path

    from app.settings import ServerSettings, Settings


def read_settings(**chosen: Any) -> "Settings":
    """The settings in force; a variable that cannot be read is a usage error naming it."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from app.settings import Settings

    try:
        return Settings(**chosen)
    except ValidationError as error:
        found = [": ".join(filter(None, (".".join(map(str, entry["loc"])), entry["msg"]))) for entry in error.errors()]
        raise _wrong_setting("; ".join(found)) from None
    except SettingsError as error:
        raise _wrong_setting(f"{error}: lists and groups are written as JSON") from None


def read_service_settings(*, sandbox: bool, state_dir: "Path | None", home: "Path | None", **chosen: Any) -> "Settings":
    """The settings of the service that these options mean."""
    if state_dir is not None and not sandbox:
        raise CommandError(
            "Wrong options", "--state-dir is for --sandbox; a service for k3d has --home", code=Exit.USAGE
        )
    chosen |= {"sandbox_state_dir": state_dir, "home": home, "driver": "sandbox" if sandbox else None}
    return read_settings(**{key: value for key, value in chosen.items() if value is not None})


def change_server(server: "ServerSettings", **chosen: Any) -> "ServerSettings":
    """The server's settings with what the options say, checked as a whole."""
    from pydantic import ValidationError

    given = {key: value for key, value in chosen.items() if value is not None}
    try:
        return type(server).model_validate(server.model_dump() | given)
    except ValidationError as error:
        raise _wrong_setting(error.errors()[0]["msg"]) from None


def _wrong_setting(detail: str) -> CommandError:
    return CommandError("Wrong setting", detail, remedy="Look at the KECS_STATE_ variables.", code=Exit.USAGE)
