# aether-load as a container: `docker build -t aether-load .`, then `docker run --rm aether-load`. docs/distributed.md
# has the commands for a master and its workers.
FROM python:3.12-slim
WORKDIR /app
ARG VERSION=0.0.0.dev0
COPY pyproject.toml README.md LICENSE ./
COPY aether_load aether_load
COPY locustfiles locustfiles
COPY scenarios scenarios
COPY startup startup
RUN SETUPTOOLS_SCM_PRETEND_VERSION_FOR_AETHER_LOAD="$VERSION" pip install --no-cache-dir ".[charts]"
EXPOSE 5557 8089
VOLUME /app/results
ENTRYPOINT ["locust", "-f", "locustfiles/eval.py", "--results-dir", "results"]
CMD ["--headless"]
