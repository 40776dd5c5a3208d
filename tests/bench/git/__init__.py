"""What Git sources cost."""
