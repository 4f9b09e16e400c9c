"""The settings in force, for commands that do not ask a service."""

from typing import TYPE_CHECKING, Any

from app.cli.errors import CommandError, Exit

if TYPE_CHECKING:
    from app.settings import Settings


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


def _wrong_setting(detail: str) -> CommandError:
    return CommandError("Wrong setting", detail, remedy="Look at the KECS_STATE_ variables.", code=Exit.USAGE)
