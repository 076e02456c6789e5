"""Writing and deleting chunks and documents."""
