# The product in one image: one binary, no shell, no package manager, not root.
#   docker build -t taskforce-mailer .
#   docker run --rm taskforce-mailer --help

# The same Bun as package.json's "engines"; a test compares them.
FROM oven/bun:1.4.5 AS build
WORKDIR /build
# First what rarely changes, so that a change of the source installs nothing anew.
COPY package.json bun.lock bunfig.toml ./
RUN bun install --frozen-lockfile
COPY . .
RUN scripts/build && mkdir -p image/data

# glibc, CA certificates and time zones, and nothing else: all the binary asks for is glibc.
FROM gcr.io/distroless/base-nossl-debian12:nonroot
COPY --from=build /build/dist/taskforce-mailer /usr/local/bin/taskforce-mailer
# Captured mails, and the embedded database when there is no other. A volume begins as a copy of
# this folder, so it belongs to the user who writes there.
COPY --from=build --chown=65532:65532 /build/image/data /data

ENV NODE_ENV=production DATA_DIR=/data PORT=3000
# By number, so that an orchestrator can see that it is not root.
USER 65532:65532
WORKDIR /
VOLUME /data
EXPOSE 3000
STOPSIGNAL SIGTERM
# The server itself answers within 4 s, the command gives up after 2.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["/usr/local/bin/taskforce-mailer", "health"]
ENTRYPOINT ["/usr/local/bin/taskforce-mailer"]
CMD ["serve"]
