# Written and not run: the machine that tests everything else has no Docker.
# Multi-stage; the image holds the binary and CA certificates. Runs as nobody's user, on a read-only file system if /data and /keys are volumes.
FROM rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked && strip target/release/countersign

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home countersign && install -d -o countersign -m 0700 /data /keys
COPY --from=build /src/target/release/countersign /usr/local/bin/countersign
USER countersign
WORKDIR /data
ENV COUNTERSIGN_SERVER__LISTEN=0.0.0.0:4000 COUNTERSIGN_DATABASE__URL=sqlite:///data/countersign.db COUNTERSIGN_KEYS__DIR=/keys COUNTERSIGN_LOG__FORMAT=json
VOLUME ["/data", "/keys"]
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD curl --silent --fail http://127.0.0.1:4000/health/ready
ENTRYPOINT ["countersign"]
