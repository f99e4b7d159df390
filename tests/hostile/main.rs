//! Bad input, by gRPC, by HTTP, by SSYNC and on disk: the right status, nothing changed on disk, the node still serving.

mod grpc_session;
mod grpc_values;
mod http;
mod http2;
mod http_floods;
mod http_shapes;
mod on_disk;
mod peer;
mod scene;
mod ssync;
