"""The batch session leaves no JVM behind, so that an hour's run does not hold its heap while it publishes."""

from pathlib import Path

import psutil
import pytest

from crypto_intel.resources.spark import BatchSpark


def jvms() -> set[int]:
    """Children of this process: those of its children are a background run's."""
    return {child.pid for child in psutil.Process().children() if "java" in child.name()}


@pytest.mark.stack
def test_the_jvm_ends_with_its_session(java_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyspark import SparkContext

    if SparkContext._active_spark_context is not None:
        pytest.skip("another test's session is running in this process")
    monkeypatch.setenv("JAVA_HOME", str(java_home))
    before = jvms()
    with BatchSpark().session() as session:
        assert session.range(3).count() == 3
        assert session.conf.get("spark.driver.memory") == "700m"
        with BatchSpark().session() as inner:
            assert inner.range(2).count() == 2
        assert session.range(3).count() == 3  # the inner use found a session and left it running
        assert len(jvms() - before) == 1
    assert jvms() == before
    assert SparkContext._gateway is None
