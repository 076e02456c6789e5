"""The steps from found passages to a cited answer: chat models, prompts, checked citations, extractive answers."""
