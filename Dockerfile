# syntax=docker/dockerfile:1
# One static program and nothing else: no shell, no package manager, no simulators.
#
#   docker build -t guardian-auth .
#   buildah build --isolation chroot --timestamp 0 -t guardian-auth .
#
# BUILDER needs Rust 1.94 or later for its own C library (musl), a C compiler and make; RUNTIME needs nothing. Both are
# arguments, for registries of one's own and for digests.
ARG BUILDER=docker.io/library/rust:1.94-alpine
ARG RUNTIME=scratch

FROM ${BUILDER} AS build
# A C compiler for aws-lc and SQLite.
RUN apk add --no-cache build-base
WORKDIR /src
COPY . .
# Rust for musl links statically by itself. Locked, so that two builds take the same crates. All is compiled for size, and the
# whole is optimized for speed when it is linked: without that the loops of argon2 stay as they were written.
RUN cargo rustc --config .cargo/image.toml --profile image --locked --no-default-features --bin guardian-auth -- -Copt-level=3 \
    && install -D -m 0755 target/image/guardian-auth /image/usr/local/bin/guardian-auth \
    && install -D -m 0644 LICENSE /image/usr/share/doc/guardian-auth/LICENSE

FROM ${RUNTIME}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="guardian-auth" \
    org.opencontainers.image.description="The login service behind parent portals" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image/ /
# A number, since Kubernetes cannot tell from a name that it is not root; that of "nonroot" in distroless images.
USER 65532:65532
# gRPC, gRPC-Web and JWKS; health and metrics.
EXPOSE 50051 9090
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/guardian-auth"]
# Kubernetes has probes of its own and does not read this.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["/usr/local/bin/guardian-auth", "healthcheck"]
CMD ["serve"]
