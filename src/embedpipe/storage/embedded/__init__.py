"""The PostgreSQL server that embedpipe starts by itself where no database is named."""
