# The Aether runtime alone, from a checkout of its repository as the build context.
FROM rust:1-bookworm AS build
WORKDIR /runtime
COPY . .
RUN cargo build --release --manifest-path aether-runtime/Cargo.toml --target-dir /target

FROM debian:bookworm-slim
COPY --from=build /target/release/aether-runtime /usr/local/bin/aether-runtime
USER nobody
EXPOSE 3000
ENTRYPOINT ["aether-runtime"]
