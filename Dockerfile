# CPU:    docker build -t maskrcnn_jax .
# NVIDIA: docker build -t maskrcnn_jax --build-arg EXTRA=cuda .     (run it with --gpus all)
#         docker run --rm -v "$PWD:/work" maskrcnn_jax predict street.jpg
FROM python:3.11-slim
ARG EXTRA=
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir ".${EXTRA:+[$EXTRA]}" && rm -rf /source/*
WORKDIR /work
ENV MASKRCNN_JAX_HOME=/work/.maskrcnn_jax
ENTRYPOINT ["maskrcnn-jax"]
