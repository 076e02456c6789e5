"""What stands between found passages and a cited answer: models, prompts, checked citations, extractive answers."""
