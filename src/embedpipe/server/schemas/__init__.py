"""What requests and responses hold, by resource."""
