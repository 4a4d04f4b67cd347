"""What sessionlab costs beside what people use today, measured side by side in one run."""
