"""Bodies of requests and answers about files."""

from pydantic import Field

from desktop_sandbox.api.shapes import Model, PathText, UserName


class File(Model):
    """One entry of the desktop's file system; `mode` as in stat(2)."""

    path: str
    type: str
    size_bytes: int
    mode: int
    modified_at: str = Field(json_schema_extra={"format": "date-time"})


class FileList(Model):
    """Entries of a folder, 5000 at most; `truncated`: there are more."""

    files: list[File]
    truncated: bool = False


class MakeFolder(Model):
    """A folder to make, with those above it."""

    path: PathText = Field(examples=["/home/user/work"])
    user: UserName = "user"


class MoveFile(Model):
    """A file or folder to move."""

    source: PathText = Field(examples=["/home/user/a"])
    target: PathText = Field(examples=["/home/user/b"])
    user: UserName = "user"
