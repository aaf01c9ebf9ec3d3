# syntax=docker/dockerfile:1
# Questlake: one binary with its dashboard, built in two stages and alone in the last with the bundled
# project.
#
#   docker build --tag questlake:0.1.0 .
#   docker run --rm -p 127.0.0.1:8080:8080 -v questlake-data:/var/lib/questlake questlake:0.1.0
#
# A project of your own goes to /project:  -v "$PWD:/project:ro"

FROM node:20.19-bookworm-slim AS web
WORKDIR /web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY web .
RUN npm run build

FROM rust:1.95-bookworm AS build
# Some dependencies bring C and C++ libraries as source.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
COPY --from=web /web/dist web/dist
# What was fetched and compiled stays in the builder's cache, which is not part of any image; so the binary
# is copied out of it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --package questlake \
    && install -D target/release/questlake /out/questlake

FROM debian:12.11-slim AS run
# For stores behind TLS, for what Kafka's client takes from the system, and for HDFS with Kerberos.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libgssapi-krb5-2 libssl3 zlib1g \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin questlake \
    && install -d -o questlake -g questlake /var/lib/questlake
COPY --from=build /out/questlake /usr/local/bin/questlake
COPY LICENSE /usr/share/doc/questlake/
COPY questlake.toml /project/
COPY sql /project/sql
COPY queries /project/queries

ENV QUESTLAKE_PROJECT=/project \
    QUESTLAKE_DATA=/var/lib/questlake \
    QUESTLAKE_COLLECTOR_LISTEN=0.0.0.0:8080
USER questlake
WORKDIR /project
VOLUME /var/lib/questlake
EXPOSE 8080
STOPSIGNAL SIGTERM
# bash, because the image has no HTTP client.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3 && grep -q '200 OK' <&3"]
ENTRYPOINT ["questlake"]
CMD ["serve"]
