"""A content filter. In: HTTP requests and TLS client hellos, and lists of names and paths. Out: what may pass and what is stopped."""
