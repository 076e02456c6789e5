"""What happens to search results without the database: context, neighbors, diversity and near duplicates."""
