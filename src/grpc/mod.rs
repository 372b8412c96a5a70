//! The gRPC surface: layers in order, and one file per service.
