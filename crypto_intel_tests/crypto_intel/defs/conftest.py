"""Fixtures of the graph's tests: a sensor's tick as the daemon would make it."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from crypto_intel.definitions import default_resources

Tick = Callable[..., dg.SensorResult]


@pytest.fixture
def tick(lake_resources: dict[str, Any], instance: dg.DagsterInstance) -> Tick:
    """Evaluate a sensor once, as the daemon would; keyword arguments override resources."""

    def evaluate(sensor: dg.SensorDefinition, cursor: str | None = None, **overrides: Any) -> dg.SensorResult:
        resources = {**default_resources(), **lake_resources, **overrides}
        needed = {key: value for key, value in resources.items() if key in sensor.required_resource_keys}
        context = dg.build_sensor_context(instance=instance, cursor=cursor, resources=needed)
        result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    return evaluate
