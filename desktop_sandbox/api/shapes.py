"""What the bodies of requests and answers have in common: their base, and the types of single fields."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

ImageFormat = Literal["png", "jpeg", "webp", "raw"]
UserName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
PathText = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
SnapshotName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^ss-[0-9a-f]+$")]
Tags = Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=64)]], Field(max_length=32)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Description = Annotated[str, StringConstraints(max_length=4096)]
TimeoutS = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]
WaitForControl = Annotated[
    float,
    Field(
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="Seconds to wait while a person drives, before this is refused.",
    ),
]


class Model(BaseModel):
    """Base: unknown fields are refused, so that a typing error is never ignored in silence."""

    model_config = ConfigDict(extra="forbid")


class Resolution(Model):
    """A screen size in pixels."""

    width: int = Field(ge=1, le=16384, examples=[1280])
    height: int = Field(ge=1, le=16384, examples=[800])


class SetResolution(Resolution):
    """A screen size in pixels to take."""

    wait_for_control: WaitForControl = 0
