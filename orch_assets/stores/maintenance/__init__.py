"""What is stored, looked through: listed, verified, removed by age, compacted."""
