# The image of a node, for those who have no Go:
#
#   docker build -t althing .
#   docker run --rm -v "$PWD:/net" --user "$(id -u):$(id -g)" althing testnet compose --dir /net/local
#
# It contains the binary and nothing else. Networks made by `althing testnet compose` build their own image from the very
# binary that made them.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -o /althing ./cmd/althing

FROM scratch
COPY --from=build /althing /althing
# Never root. Who mounts a home runs the container as its owner.
USER 65532:65532
ENTRYPOINT ["/althing"]
