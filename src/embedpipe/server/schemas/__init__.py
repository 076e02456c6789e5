"""The bodies of requests and responses, one module a resource. The route module of the same name imports it."""
