# CPU:    docker build -t maskrcnn_jax .
# NVIDIA: docker build -t maskrcnn_jax --build-arg EXTRA=cuda .     (run it with --gpus all)
#         docker run --rm -v "$PWD:/data" maskrcnn_jax predict street.jpg
FROM python:3.11-slim
ARG EXTRA=
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir ".${EXTRA:+[$EXTRA]}" && rm -rf /source/*
WORKDIR /data
ENV MASKRCNN_JAX_HOME=/data/.maskrcnn_jax
ENTRYPOINT ["maskrcnn-jax"]
