# flowkit in a container, in the place of flowexport and with its environment:
#   docker build -t flowkit .
#   docker run -d --network=host -e INTERFACE=eth0 -e INTERVAL=60 -e MAXAGE=2 -v /tmp/nfdump:/opt/flowexport/nfdump flowkit
# Any other command stands behind the image's name: docker run … flowkit collect --to /srv/flows
FROM node:24-bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends make binutils libatomic1
WORKDIR /flowkit
COPY package.json package-lock.json tsconfig.json Makefile LICENSE README.md ./
COPY cmd cmd
COPY core core
COPY formats formats
RUN make build

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends libatomic1 libstdc++6 libpcap0.8 \
  && rm -rf /var/lib/apt/lists/*
COPY --from=build /flowkit/dist/flowkit /usr/local/bin/flowkit
ENTRYPOINT ["flowkit"]
CMD ["capture"]
