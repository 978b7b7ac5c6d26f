# Metrics of what has no process of ours to tell them: Dagster, Kafka's lag, the stores. Also makes schema and topics.
FROM python:3.11.14-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/platform
WORKDIR /src
# Dependencies first: they change less often than the code.
COPY requirements.lock ./
RUN /opt/platform/bin/pip install --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md ./
COPY crypto_intel crypto_intel
COPY streaming streaming
RUN /opt/platform/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm AS runtime

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home platform \
    && install --directory --owner platform --group platform /data
COPY --from=build /opt/platform /opt/platform
COPY --chmod=0755 docker/entrypoint.sh /usr/local/bin/entrypoint
COPY --chmod=0755 docker/healthy.py /usr/local/bin/healthy
ENV PATH=/opt/platform/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    CRYPTO_INTEL_DATA_DIR=/data \
    CRYPTO_INTEL_LOG_JSON=true \
    CRYPTO_INTEL_METRICS_HOST=0.0.0.0 \
    CRYPTO_INTEL_METRICS_PORT=9464
# By number, so that a cluster can see that it is not root.
USER 10001
WORKDIR /data
EXPOSE 9464
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["healthy", "http://localhost:9464/metrics"]
ENTRYPOINT ["tini", "--", "entrypoint"]
CMD ["python", "-m", "crypto_intel.exporter"]
