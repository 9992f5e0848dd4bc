"""What every component's settings have in common."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of all settings: frozen; an unknown name is an error, and so is an infinite number.

    Each component defines its own subclass beside the code that reads it;
    :mod:`chiasm.recipe` composes them into one recipe.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )
