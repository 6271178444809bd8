# Two stages: build with the pinned toolchain, run with nothing but the binary, the C library and the CA certificates.
# Both bases are arguments, so that an air-gapped or a digest-pinned base can be swapped in:
#   docker build --build-arg BASE=registry.example/cc-debian12@sha256:... -t plimsoll .
ARG BUILDER=docker.io/library/rust:1.95-bookworm
ARG BASE=gcr.io/distroless/cc-debian12:nonroot

# hadolint ignore=DL3006
FROM ${BUILDER} AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release --package plimsoll --bin plimsoll

# hadolint ignore=DL3006
FROM ${BASE}
COPY --from=build /src/target/release/plimsoll /usr/local/bin/plimsoll
COPY --from=build /src/config /usr/share/plimsoll/config
COPY LICENSE-MIT LICENSE-APACHE /usr/share/doc/plimsoll/
# By number: an orchestrator that forbids root can check it without a user database.
USER 65532:65532
# The only places that are written to: journal and operator's socket; what daemon and watchdog share. Each is made here so that it
# belongs to the user. Everything else may be mounted read-only.
WORKDIR /var/lib/plimsoll-watch
WORKDIR /var/lib/plimsoll
VOLUME ["/var/lib/plimsoll", "/var/lib/plimsoll-watch"]
# The embedded paper venue, until another configuration is named.
ENV PLIMSOLL_CONFIG=/usr/share/plimsoll/config/default.toml \
    PLIMSOLL__DAEMON__STATE_DIR=/var/lib/plimsoll \
    PLIMSOLL__DAEMON__LOG=json
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 CMD ["/usr/local/bin/plimsoll", "status"]
ENTRYPOINT ["/usr/local/bin/plimsoll"]
CMD ["run"]
