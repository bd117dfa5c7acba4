"""The settings of the watch: how often it looks, and when a change is an alarm.

Owns the fields and the limits made of them. Refuses to read the environment: `web.settings` does.
"""

from __future__ import annotations

from pydantic import BaseModel, Field

from dermaloop.monitoring.measures import Limits

_DEFAULT = Limits()


class WatchSettings(BaseModel):
    """What `web.settings.Settings` has for the watch."""

    watch_hours: float = Field(
        default=24.0, ge=0, le=24 * 31, description="The server looks for drift this often, in hours; 0: never."
    )
    watch_false_alarms_a_year: float = Field(
        default=_DEFAULT.false_alarms_a_year,
        gt=0,
        le=1,
        description="Chance of a false alarm within a year, all measures and all looks together.",
    )
    watch_learning: int = Field(
        default=_DEFAULT.learning,
        ge=20,
        le=100_000,
        description="First visits under a model, with which later ones are compared.",
    )
    watch_learning_confirmed: int = Field(
        default=_DEFAULT.learning_confirmed, ge=10, le=100_000, description="The same for confirmed cases."
    )
    watch_least_change: float = Field(
        default=_DEFAULT.least_change,
        ge=0,
        le=1,
        description="Smallest distance between distributions before and after that is an alarm, from 0 to 1.",
    )
    watch_unfamiliar: float = Field(
        default=_DEFAULT.unfamiliar,
        gt=0,
        lt=1,
        description="Largest share of pictures unlike the training's, of which 5 % are so unlike each other.",
    )
    watch_outside_margin: float = Field(
        default=_DEFAULT.outside_margin,
        ge=0,
        lt=1,
        description="By how much the share of pictures outside the model's limit may exceed the model's own figure.",
    )
    watch_declined_margin: float = Field(
        default=_DEFAULT.declined_margin,
        ge=0,
        lt=1,
        description="By how much the share of declined pictures may exceed the model's own figure.",
    )
    watch_sensitivity_margin: float = Field(
        default=_DEFAULT.sensitivity_margin,
        ge=0,
        lt=1,
        description="By how much the sensitivity on confirmed cases may fall short of the model's own figure.",
    )

    @property
    def watch_limits(self) -> Limits:
        """As the statistics take them."""
        return Limits(
            false_alarms_a_year=self.watch_false_alarms_a_year,
            learning=self.watch_learning,
            learning_confirmed=self.watch_learning_confirmed,
            least_change=self.watch_least_change,
            unfamiliar=self.watch_unfamiliar,
            outside_margin=self.watch_outside_margin,
            declined_margin=self.watch_declined_margin,
            sensitivity_margin=self.watch_sensitivity_margin,
        )
