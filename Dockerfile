# syntax=docker/dockerfile:1.7
# The worker's image, in two variants:
#   docker build -t framesift:gpu .                          CUDA 13 wheels from PyPI; the host needs an NVIDIA driver >= 580
#   docker build -t framesift:cpu --build-arg VARIANT=cpu .  without 5 GB of CUDA; needs download.pytorch.org while it builds
# Python 3.11 on Debian 12, since constraints.txt was resolved and tested on exactly that.
FROM python:3.11-slim-bookworm AS python


FROM python AS packages
ARG VARIANT=gpu
# Where the CPU build of torch comes from: PyPI has the CUDA build only. Empty: take that one for `cpu` too.
ARG TORCH_CPU_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /build
COPY pyproject.toml constraints.txt deploy/requirements.py ./
RUN --mount=type=cache,target=/root/.cache/pip \
    python requirements.py pyproject.toml "$VARIANT" > requirements.txt \
    && python -m venv /opt/framesift \
    && if [ "$VARIANT" = cpu ] && [ -n "$TORCH_CPU_INDEX" ]; then \
         /opt/framesift/bin/pip install --no-deps --index-url "$TORCH_CPU_INDEX" --constraint constraints.txt torch torchvision; \
       fi \
    && /opt/framesift/bin/pip install --constraint constraints.txt --requirement requirements.txt


FROM python AS wheel
WORKDIR /build
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY jobs jobs
COPY worker worker
COPY templates templates
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --constraint constraints.txt setuptools \
    && pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .


FROM python
ARG VARIANT=gpu
LABEL org.opencontainers.image.title="Framesift" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.framesift.variant="${VARIANT}" \
      org.framesift.nvidia-driver=">=580 for the gpu variant"

# tini passes SIGTERM on to Celery and reaps decoders; Pango and HarfBuzz lay the PDF out; DejaVu is its font.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
         fontconfig fonts-dejavu-core libharfbuzz-subset0 libpango-1.0-0 libpangoft2-1.0-0 tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 framesift \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin framesift \
    && install --directory --owner framesift --group framesift /var/cache/framesift

COPY --from=packages /opt/framesift /opt/framesift
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    /opt/framesift/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl
COPY --chmod=0755 deploy/healthy /usr/local/bin/healthy

# The root file system may be read-only: what is written goes to /tmp and to the cache, both to be mounted. onnxruntime 1.31
# reports its use to its maker unless it is told not to.
ENV PATH=/opt/framesift/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    ORT_DISABLE_TELEMETRY=1 \
    FRAMESIFT_CACHE_DIR=/var/cache/framesift \
    FRAMESIFT_HEALTH_FILE=/tmp/alive \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video

USER 10001:10001
WORKDIR /tmp
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s --retries=3 CMD ["healthy"]
ENTRYPOINT ["tini", "--", "framesift"]
CMD ["--help"]
